/** The unit files: systemd itself reads them, and what they promise for the worst day is in them. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readUnit } from './read-unit.js';

const root = mkdtempSync(join(tmpdir(), 'foothold-units-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const UNITS = ['foothold-agent.service', 'foothold-worker.service'];
const analyze = spawnSync('systemd-analyze', ['--version']).status === 0;

/** What systemd says of a unit; the command that it starts need not be installed here. */
function verify(name: string, text: string): { code: number | null; words: string } {
  const file = join(root, name);
  writeFileSync(file, text.replaceAll('/usr/bin/foothold', process.execPath));
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' });
  return { code: status, words: stderr };
}

describe('the unit files', () => {
  it.skipIf(!analyze).each(UNITS)('%s is understood by systemd whole (skipped without systemd-analyze)', (name) => {
    const { text } = readUnit(name);
    expect(verify(name, text)).toEqual({ code: 0, words: '' });
    // An unknown setting is only a warning to systemd.
    expect(verify(name, text.replace('[Service]', '[Service]\nMemoryMost=1G')).words).toContain('MemoryMost');
  });

  it.each(UNITS)('%s restarts for ever, and waits for no network', (name) => {
    const { text, settings } = readUnit(name);
    expect(settings).toMatchObject({ Restart: 'always', StartLimitIntervalSec: '0', KillMode: 'mixed' });
    expect(text).not.toContain('network-online');
  });

  it('bounds the agent in processor, disk, memory and tasks, and never takes it down with a check', () => {
    const { settings } = readUnit('foothold-agent.service');
    for (const limit of ['CPUWeight', 'CPUQuota', 'IOWeight', 'MemoryHigh', 'MemoryMax', 'TasksMax']) {
      expect(settings[limit], limit).toMatch(/^\d+[%M]?$/);
    }
    expect(Number.parseInt(settings['MemoryHigh'] ?? '')).toBeLessThan(Number.parseInt(settings['MemoryMax'] ?? ''));
    expect(settings).toMatchObject({ OOMPolicy: 'continue', StateDirectory: 'foothold' });
  });

  it('starts the command that exists', () => {
    const command = join(import.meta.dirname, '../../../dist/bin/foothold.cjs');
    for (const name of UNITS) {
      const [, ...words] = readUnit(name).settings['ExecStart']?.split(' ') ?? [];
      const asked = words.slice(0, 2);
      const help = execFileSync(process.execPath, [command, ...asked, '--help'], { encoding: 'utf8' });
      expect(help).toContain(`foothold ${asked.join(' ')}`);
      for (const flag of words.filter((word) => word.startsWith('--'))) expect(help).toContain(flag);
    }
  });
});

/** What pip is configured to use is what set-up uses, and pip's settings are read as pip reads them. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parsePipConfig, readPipSettings } from '../../../infra/setup/pip.mjs';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'foothold-pip-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

describe('the configured index', () => {
  it('is read from the file of the user, with further indexes, links, certificate and proxy', async () => {
    await mkdir(join(home, '.config/pip'), { recursive: true });
    const file = ['[global]', 'index-url = http://a.example/simple', 'extra-index-url =', '  http://b.example/simple'];
    file.push(
      '  http://c.example/simple',
      'cert = /etc/ca.pem',
      'proxy = http://p.example:3128',
      '[install]',
      'index-url = http://no.example',
    );
    await writeFile(join(home, '.config/pip/pip.conf'), file.join('\n'));
    expect(await readPipSettings({ HOME: home }, 'linux')).toEqual({
      indexes: ['http://a.example/simple', 'http://b.example/simple', 'http://c.example/simple'],
      links: [],
      certificate: '/etc/ca.pem',
      proxy: 'http://p.example:3128',
    });
  });

  it('is that of the environment, which is stronger than any file', async () => {
    const file = join(home, 'own.conf');
    await writeFile(file, '[global]\nindex-url = http://file.example/simple\nfind-links = /wheels\n');
    const env = { HOME: home, PIP_CONFIG_FILE: file };
    expect((await readPipSettings(env, 'linux')).indexes[0]).toBe('http://file.example/simple');
    const settings = await readPipSettings(
      { ...env, PIP_INDEX_URL: 'http://env.example/simple', PIP_FIND_LINKS: '/x http://y.example/' },
      'linux',
    );
    expect(settings.indexes[0]).toBe('http://env.example/simple');
    expect(settings.links).toEqual(['/x', 'http://y.example/']);
  });

  it('is none when pip may not use one', async () => {
    const settings = await readPipSettings({ HOME: home, PIP_NO_INDEX: '1', PIP_FIND_LINKS: '/wheels' }, 'linux');
    expect(settings.indexes).toEqual([]);
    expect(settings.links).toEqual(['/wheels']);
  });

  it('is one https address when nothing is configured', async () => {
    const { indexes } = await readPipSettings({ HOME: home, PIP_CONFIG_FILE: '/dev/null' }, 'linux');
    expect(indexes).toHaveLength(1);
    expect(new URL(indexes[0] ?? '').protocol).toBe('https:');
  });
});

describe('a configuration file of pip', () => {
  it('may use underscores, colons and comments; the section of the command is the stronger', () => {
    const text =
      '# c\n[download]\nindex-url: http://d.example\n[global]\nindex_url = http://g.example\n; c\n[freeze]\ntimeout = 1\n';
    expect(parsePipConfig(text)).toEqual([
      ['index-url', 'http://g.example'],
      ['index-url', 'http://d.example'],
    ]);
  });
});

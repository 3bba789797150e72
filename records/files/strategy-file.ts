/** Loading strategies: one file, or a directory of them by name. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { MistakeError } from '../../policies/model/failure.js';
import { Strategy } from '../../policies/model/strategy.js';
import { digestOf } from '../../policies/signing/jcs.js';
import { checkFile } from './check-file.js';
import { placeOf, placeText, refusal, type Finding, type SourceFile } from './located.js';
import { asRefusal } from './read-text.js';
import { strategyFaults } from './strategy-rules.js';
import { readYamlFile } from './yaml-file.js';

export interface LoadedStrategy {
  strategy: Strategy;
  /** The file with every default written out; `Strategy.parse` of it gives the same strategy. */
  filled: unknown;
  /** sha256 of the JCS form of `filled`. */
  digest: string;
}

/** Throws MistakeError STRATEGY_INVALID or FILE_NOT_FOUND. */
export async function loadStrategy(path: string): Promise<LoadedStrategy> {
  return readStrategy(await readYamlFile(path, 'STRATEGY_INVALID'));
}

export function readStrategy(source: SourceFile): LoadedStrategy {
  const strategy = checkFile(source, {
    kind: 'Strategy',
    schema: Strategy,
    code: 'STRATEGY_INVALID',
    rules: strategyFaults,
  });
  const filled = z.encode(Strategy, strategy);
  return { strategy, filled, digest: digestOf(filled) };
}

/** Every strategy in `directory` (`*.yaml`, `*.yml`, `*.json`), by name. One bad file, or one name twice, refuses all. */
export async function loadStrategies(directory: string): Promise<Map<string, LoadedStrategy & { path: string }>> {
  const sources: SourceFile[] = [];
  for (const path of await strategyFiles(directory)) sources.push(await readYamlFile(path, 'STRATEGY_INVALID'));
  const loaded = new Map<string, LoadedStrategy & { path: string }>();
  const first = new Map<string, SourceFile>();
  for (const source of sources) {
    const read = readStrategy(source);
    const { name } = read.strategy;
    const earlier = first.get(name);
    if (earlier) throw refusal('STRATEGY_INVALID', [nameTwice(name, source, earlier)]);
    first.set(name, source);
    loaded.set(name, { ...read, path: source.path });
  }
  return loaded;
}

function nameTwice(name: string, source: SourceFile, earlier: SourceFile): Finding {
  const first = placeText(earlier.path, placeOf(earlier, ['name']));
  const message = `the strategy \`${name}\` is there twice; first at ${first}`;
  return { path: source.path, at: placeOf(source, ['name']), message };
}

async function strategyFiles(directory: string): Promise<string[]> {
  try {
    const names = await readdir(directory);
    return names
      .filter((name) => /^[^.].*\.(ya?ml|json)$/.test(name))
      .sort()
      .map((name) => join(directory, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') {
      throw new MistakeError('STRATEGY_INVALID', `${directory}: expected a directory of strategies, found a file`);
    }
    throw asRefusal(error, directory, 'STRATEGY_INVALID');
  }
}

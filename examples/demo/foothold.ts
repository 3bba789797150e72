/** The operator's door, used as an operator uses it: one process a command. */
import { WorldError } from '../../policies/model/failure.js';
import { run } from '../../infra/dev/run.js';
import { FOOTHOLD } from './places.js';

export class Foothold {
  private env: NodeJS.ProcessEnv = {};

  constructor(private readonly cwd: string) {}

  /** Where Temporal is, from now on. */
  use(env: NodeJS.ProcessEnv): void {
    this.env = env;
  }

  /** The command's document. Throws with what the command said if its exit code is not 0. */
  async json(...args: string[]): Promise<unknown> {
    const { code, stdout, stderr } = await run(process.execPath, [FOOTHOLD, ...args, '--json'], {
      cwd: this.cwd,
      env: this.env,
    });
    if (code === 0) return JSON.parse(stdout);
    throw new WorldError('PROGRAM_NOT_READY', `foothold ${args.join(' ')}: exit code ${code}\n${stderr || stdout}`);
  }
}

/** Runs `work` over the items, `width` at a time, and keeps their order. */
export async function eachOf<T, R>(items: readonly T[], width: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const left = [...items.entries()];
  const take = async (): Promise<void> => {
    for (let next = left.shift(); next; next = left.shift()) results[next[0]] = await work(next[1]);
  };
  await Promise.all(Array.from({ length: width }, take));
  return results;
}

/** What the parts of a simulated machine share: whether its process lives. Imports nothing of the site. */

/** Thrown into whatever the agent was doing when its process is killed. */
export class Killed extends Error {
  override readonly name = 'Killed';
  constructor() {
    super('the process was killed');
  }
}

/** One simulated machine a process, as the patched builtins are one a process. */
export const machine = {
  /** Nothing that the agent does after its kill may touch the disk, the clock or the site. */
  dead: false,
  /** Called at every instant at which the process can be killed; throws Killed. */
  mayKill: (_at: 'step' | 'commit' | 'file' | 'fault', _name: string): void => undefined,
};

export function demandAlive(): void {
  if (machine.dead) throw new Killed();
}

export function kill(): never {
  machine.dead = true;
  throw new Killed();
}

/** A promise of a dead process: nobody is left to go on after it. */
export async function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}

/** As an operation of the agent: synchronous inside, so that a seed repeats exactly. */
export async function asAgent<T>(work: () => T): Promise<T> {
  if (machine.dead) return never<T>();
  try {
    return work();
  } catch (error) {
    if (error instanceof Killed) return never<T>();
    throw error;
  }
}

/** From whole processes, timed in turn, to the figures of the bench. Pure. */
import { median } from '../sweep/figures.js';

/** One round: every command once, each straight after its own floor. Milliseconds. */
export interface Round {
  node: number;
  commands: Record<string, { took: number; floor: number }>;
}

export interface CommandFigures {
  medianMs: number;
  floorMs: number;
  /** The median of the pairs' own ratios: the machine is not the same from one pair to the next. */
  ratio: number;
  minMs: number;
}

export interface CliFigures {
  n: number;
  nodeMs: number;
  floorMs: number;
  worstRatio: number;
  commands: Record<string, CommandFigures>;
}

export function cliFigures(rounds: Round[]): CliFigures {
  const names = Object.keys(rounds[0]?.commands ?? {});
  const commands = Object.fromEntries(names.map((name) => [name, commandFigures(rounds, name)]));
  const floors = rounds.flatMap((round) => Object.values(round.commands).map(({ floor }) => floor));
  return {
    n: rounds.length,
    nodeMs: round(median(rounds.map(({ node }) => node))),
    floorMs: round(median(floors)),
    worstRatio: Math.max(...Object.values(commands).map(({ ratio }) => ratio)),
    commands,
  };
}

function commandFigures(rounds: Round[], name: string): CommandFigures {
  const pairs = rounds.flatMap((one) => one.commands[name] ?? []);
  return {
    medianMs: round(median(pairs.map(({ took }) => took))),
    floorMs: round(median(pairs.map(({ floor }) => floor))),
    ratio: round(median(pairs.map(({ took, floor }) => took / floor))),
    minMs: round(Math.min(...pairs.map(({ took }) => took))),
  };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

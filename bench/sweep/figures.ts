/** From pairs of measured runs to the figures of the bench. Pure. */

/** One run over all sites. CPU in ms; `server` is undefined where the system does not tell. */
export interface Sweep {
  /** From the first command scheduled to the last result recorded. */
  seconds: number;
  eventsPerSite: number;
  eventsPerSiteTotal: number;
  /** Used while the run lasted, planning included. */
  cpu: { central: number; sites: number; server: number | undefined };
}

export interface Pair {
  ours: Sweep;
  floor: Sweep;
}

/**
 * `withAgents`: runs of the floor whose sites do the agents' work. Where sites share a machine with the centre, the ratio
 * to those tells what the centre costs, and the ratio to the bare floor what both cost.
 */
export function figuresOf(sites: number, pairs: Pair[], withAgents: Sweep[]): Record<string, unknown> {
  const of = (pick: (pair: Pair) => number) => median(pairs.map(pick));
  const rate = (sweep: Sweep) => sites / sweep.seconds;
  const cpuOf = (sweeps: Sweep[]) => {
    const each = (part: keyof Sweep['cpu']) => round(median(sweeps.map(({ cpu }) => cpu[part] ?? NaN)) / sites);
    return { central: each('central'), sites: each('sites'), server: each('server') };
  };
  const cpu = {
    ours: cpuOf(pairs.map(({ ours }) => ours)),
    floor: cpuOf(pairs.map(({ floor }) => floor)),
    agentsFloor: cpuOf(withAgents),
  };
  return {
    sites,
    pairs: pairs.length,
    sitesPerSecond: round(of(({ ours }) => rate(ours))),
    floorSitesPerSecond: round(of(({ floor }) => rate(floor))),
    // The median of the pairs' own ratios: the machine is not the same from one pair to the next.
    ratio: round(of(({ ours, floor }) => rate(ours) / rate(floor))),
    ratios: pairs.map(({ ours, floor }) => round(rate(ours) / rate(floor))),
    eventsPerSite: round(of(({ ours }) => ours.eventsPerSite)),
    eventsPerSiteTotal: round(of(({ ours }) => ours.eventsPerSiteTotal)),
    floorEventsPerSite: round(of(({ floor }) => floor.eventsPerSiteTotal)),
    centralCpuMsPerSite: cpu.ours.central,
    floorCentralCpuMsPerSite: cpu.floor.central,
    cpuMsPerSite: cpu,
    agentsFloorSitesPerSecond: round(median(withAgents.map(rate))),
    ratioToAgentsFloor: round(of(({ ours }) => rate(ours)) / median(withAgents.map(rate))),
  };
}

/** NaN of nothing. */
export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [below, above] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[Math.floor(sorted.length / 2)]];
  return below === undefined || above === undefined ? NaN : (below + above) / 2;
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}

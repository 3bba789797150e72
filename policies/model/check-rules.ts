/** What §6 asks of the checks of a release beyond their shape. */
import type { Check, MetricCheck } from './check.js';
import { formatDuration } from './duration.js';
import type { Fault, Path } from './fault.js';
import { parseSelector } from './series.js';

interface Confirm {
  within: number;
  healthyFor: number;
}

const HOST_PORT = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):(\d{1,5})$/;

export function checkKindFaults(check: Check, at: Path, confirm: Confirm): Fault[] {
  if ('tls' in check) return hostPortFaults(check.tls, [...at, 'tls']);
  if ('metric' in check) return metricFaults(check, at, confirm);
  if ('peer' in check) return peerFaults(check.peer, [...at, 'peer']);
  if ('person' in check && check.within !== undefined) {
    return leavesTimeFault(check.within, [...at, 'within'], confirm);
  }
  return [];
}

/** Host and port of a text that is rendered already; undefined if it is none. */
export function hostPortOf(text: string): { host: string; port: number } | undefined {
  const port = Number(HOST_PORT.exec(text)?.[1]);
  if (!(port >= 1 && port <= 65_535)) return undefined;
  return { host: text.slice(0, text.lastIndexOf(':')).replace(/^\[|\]$/g, ''), port };
}

/** The address of an echo: `host:port` stands for `http://host:port/echo`. */
export function echoAddressOf(text: string): string | undefined {
  if (isHttpAddress(text)) return text;
  return hostPortOf(text) ? `http://${text}/echo` : undefined;
}

function metricFaults(check: MetricCheck, at: Path, confirm: Confirm): Fault[] {
  const faults: Fault[] = [];
  if (!isHttpAddress(asIfRendered(check.metric))) {
    const message = `expected an address that begins with http:// or https://, found \`${check.metric}\``;
    faults.push({ path: [...at, 'metric'], message });
  }
  for (const key of ['series', 'per'] as const) {
    const text = check[key];
    if (text === undefined || parseSelector(asIfRendered(text, 'a'))) continue;
    const message = `expected a series such as errors_total{unit="a"}, with = or != for its labels, found \`${text}\``;
    faults.push({ path: [...at, key], message });
  }
  if (check.below === undefined && check.above === undefined) {
    faults.push({ path: at, message: 'expected `below`, `above` or both, found neither: nothing would be judged' });
  }
  if (check.below !== undefined && check.above !== undefined && check.above >= check.below) {
    const message = `expected above to be less than below, found above: ${check.above} and below: ${check.below}`;
    faults.push({ path: [...at, 'above'], message });
  }
  if (check.rate === undefined) return faults;
  if (check.rate < check.every) {
    const words = `${formatDuration(check.rate)} with every: ${formatDuration(check.every)}`;
    faults.push({ path: [...at, 'rate'], message: `expected a window of at least \`every\`, found rate: ${words}` });
  }
  return [...faults, ...leavesTimeFault(check.rate, [...at, 'rate'], confirm)];
}

/** What passes for the first time only after so long must still be healthy for `healthyFor` within the deadline. */
function leavesTimeFault(ms: number, path: Path, { within, healthyFor }: Confirm): Fault[] {
  if (ms + healthyFor <= within) return [];
  const sum = `${formatDuration(ms)} and healthyFor: ${formatDuration(healthyFor)} exceed it: ${formatDuration(within)}`;
  return [{ path, message: `expected a time that leaves healthyFor within confirm.within: ${sum}` }];
}

function hostPortFaults(text: string, path: Path): Fault[] {
  if (hostPortOf(asIfRendered(text))) return [];
  return [{ path, message: `expected a host and a port such as 127.0.0.1:8443, found \`${text}\`` }];
}

function peerFaults(text: string, path: Path): Fault[] {
  if (echoAddressOf(asIfRendered(text)) !== undefined) return [];
  const form = 'an http address such as http://osl-02:9464/echo, or a host and a port';
  return [{ path, message: `expected ${form}, found \`${text}\`` }];
}

/** Variables have their value only at the site: each stands for something that is good where it is written. */
function asIfRendered(text: string, value = '1'): string {
  return text.replace(/\{\{[^{}]*\}\}/g, value);
}

function isHttpAddress(text: string): boolean {
  return /^https?:\/\/[^\s/?#]+\S*$/.test(text) && URL.canParse(text);
}

import { describe, expect, it } from 'vitest';
import { countCalls, sum } from '../../bench/rejoin/exhausted.js';
import { waitsOf } from '../../bench/rejoin/figures.js';

const sites = Array.from({ length: 100 }, (_, i) => `s${i}`);
const all = (at: (index: number) => number) => Object.fromEntries(sites.map((site, i) => [site, at(i)]));

describe('the waits of returning sites', () => {
  it('last from the first return until 99 of 100 hold the target', () => {
    const waits = waitsOf({
      returned: all((i) => 1_000 + 10 * i),
      held: all((i) => (i === 99 ? 90_000 : 3_000 + 10 * i)),
    });
    expect(waits).toMatchObject({ seconds: 2.98, medianWait: 2, longestWait: 88.01, starved: 1, never: 0 });
  });

  it('count a site that never got there as starved, and give no time if they are too many', () => {
    const held = all(() => 2_000);
    delete held['s1'];
    const once = waitsOf({ returned: all(() => 1_000), held });
    expect(once).toMatchObject({ seconds: 1, starved: 1, never: 1, longestWait: Infinity });
    delete held['s2'];
    expect(waitsOf({ returned: all(() => 1_000), held })).toMatchObject({ seconds: NaN, starved: 2, never: 2 });
  });
});

describe('the counts of the SDK', () => {
  const exposition = [
    '# TYPE temporal_request counter',
    'temporal_request{operation="StartWorkflowExecution",service_name="temporal-core-sdk"} 7',
    'temporal_request_failure{operation="SignalWorkflowExecution",status_code="RESOURCE_EXHAUSTED"} 3',
    'temporal_long_request{operation="PollActivityTaskQueue"} 5',
    'temporal_long_request_failure{operation="PollActivityTaskQueue",status_code="RESOURCE_EXHAUSTED"} 2',
    'temporal_request_failure{operation="X",status_code="NOT_FOUND"} 1',
    'temporal_request_latency_sum{operation="X"} 99',
  ].join('\n');

  it('hold every attempt that was refused for want of resources, of long polls as well', () => {
    const counted = countCalls(exposition);
    expect(counted).toMatchObject({ requests: 12, resourceExhausted: 5 });
    expect(counted.operations).toEqual({ StartWorkflowExecution: 7, PollActivityTaskQueue: 5 });
    expect(counted.failures).toMatchObject({ 'SignalWorkflowExecution RESOURCE_EXHAUSTED': 3, 'X NOT_FOUND': 1 });
    expect(sum([counted, counted])).toMatchObject({ requests: 24, resourceExhausted: 10 });
  });
});

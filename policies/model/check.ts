/** The checks of a release (design §5 "Checks", §6): one map each, told apart by the key that names the kind. */
import { z } from 'zod';
import { TimerDuration } from './duration.js';
import { Argv, Name, Text } from './names.js';

const Count = z.number().int().min(1).describe('a whole number of at least 1');

const checkCommon = {
  name: Name,
  every: TimerDuration.prefault('5s'),
  timeout: TimerDuration.prefault('2s'),
  failures: Count.default(3),
  // No default in the file: it would be in every manifest from then on, and an older agent refuses what it does not know.
  passes: Count.optional(),
  need: z.enum(['required', 'wanted']).default('required'),
};
const StatusCode = z.number().int().min(100).max(599).describe('an HTTP status from 100 to 599');
const Limit = z.number().describe('a number');
const SUITE = /^[A-Z0-9][A-Z0-9_-]+$/;

const HttpCheck = z.strictObject({ ...checkCommon, http: Text, expect: StatusCode.default(200) });
/**
 * `keepOpen`: a connection stays open between samples, and when it ends the next sample is taken at once. Asked for by name,
 * because it takes a connection from a service that may have few.
 */
const TcpCheck = z.strictObject({ ...checkCommon, tcp: Text, keepOpen: z.literal(true).optional() });
const ExecCheck = z.strictObject({ ...checkCommon, exec: Argv });
/** `ca` is a PEM file, relative to the directory where programs of checks run; without it the system's authorities count. */
export const TlsCheck = z.strictObject({
  ...checkCommon,
  tls: Text.describe('a host and a port, such as 127.0.0.1:8443'),
  serverName: Text.optional(),
  ca: Text.optional(),
  daysLeft: z.number().int().min(0).max(3_650).describe('a whole number of days from 0 to 3650').optional(),
  protocol: z.enum(['TLSv1.2', 'TLSv1.3']).optional(),
  suites: z
    .array(z.string().regex(SUITE).describe('the name of a cipher suite, such as TLS_AES_256_GCM_SHA384'))
    .min(1)
    .optional(),
});
/** `series / per`, each as a rate over the window `rate` if there is one, has to be below and above. */
export const MetricCheck = z.strictObject({
  ...checkCommon,
  metric: Text.describe('the address of an exporter, such as http://127.0.0.1:9100/metrics'),
  series: Text.describe('a series, such as relay_errors_total{unit="a"}'),
  per: Text.describe('a series to divide by, such as relay_requests_total{unit="a"}').optional(),
  several: z.enum(['refuse', 'sum']).optional(),
  rate: TimerDuration.optional(),
  below: Limit.optional(),
  above: Limit.optional(),
});
export const PeerCheck = z.strictObject({
  ...checkCommon,
  peer: Text.describe('the echo of another site: an http address, or a host and a port'),
});
/** The text is the question; `within` counts from the switch, without it the release's deadline does. */
export const PersonCheck = z.strictObject({ ...checkCommon, person: Text, within: TimerDuration.optional() });

export const Check = z
  .union([HttpCheck, TcpCheck, ExecCheck, TlsCheck, MetricCheck, PeerCheck, PersonCheck])
  .describe('a check: a map with `name` and one of `http`, `tcp`, `exec`, `tls`, `metric`, `peer` or `person`');
export type Check = z.infer<typeof Check>;
export type TlsCheck = z.infer<typeof TlsCheck>;
export type MetricCheck = z.infer<typeof MetricCheck>;
export type PersonCheck = z.infer<typeof PersonCheck>;

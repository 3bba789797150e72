/** `fleet enrol` and `fleet replace`: a one-time token that says who a site is, for a person to carry there. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { parseDuration } from '../../policies/model/duration.js';
import type { Keyset, SignedToken, SiteIdentity } from '../../policies/model/enrolment.js';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import { claimedKeyset, signToken } from '../../policies/signing/keyset.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import { centreKeys, keysetNow } from '../control-keys.js';
import type { Execute } from '../execute.js';
import { writtenFleet } from '../inputs.js';
import { suggestions } from '../nearest.js';
import { operatorName, requireReason } from '../operator.js';
import { clock } from '../render/times.js';

export interface EnrolFlags {
  output?: string;
  expires?: string;
  depot?: string;
  reason?: string;
  by?: string;
  dryRun?: boolean;
}
type Verb = 'enrol' | 'replace';

const DEFAULT_EXPIRY = '7d';

export function declareFleetEnrol(fleet: Command, execute: Execute): void {
  const verbs: [Verb, string][] = [
    ['enrol', 'a one-time token for a site: foothold agent enrol takes it in there, offline'],
    ['replace', 'the same id, the next epoch, a new token; from now on the old agent is refused'],
  ];
  for (const [verb, description] of verbs) {
    fleet
      .command(verb)
      .description(description)
      .argument('<site>')
      .option('-o, --output <file>', 'where the token is written, for its owner alone (default: standard output)')
      .option('--expires <duration>', 'by when the site must have reported with it', DEFAULT_EXPIRY)
      .option('--reason <why>', verb === 'replace' ? 'kept with the site; required' : 'kept with the site')
      .option('--by <name>', 'who asks (default: FOOTHOLD_BY, else user@host)')
      .option('--dry-run', 'say what would be done, and do nothing')
      .action((site: string, flags: EnrolFlags, self: Command) =>
        execute(self, (context) => issueToken(context, verb, site, flags)),
      );
  }
}

/**
 * `{ site, epoch, tokenId, expiresAt, keyset: { version, ids }, file? , token? }`; the token itself only where no file was
 * named. Throws MistakeError SITE_NOT_FOUND, SITE_RETIRED, ENROLMENT_USED, CONTROL_KEY, FILE_EXISTS.
 */
export async function issueToken(context: Context, verb: Verb, site: string, flags: EnrolFlags): Promise<Answer> {
  const reason = verb === 'replace' ? requireReason(flags.reason, 'fleet replace') : (flags.reason ?? 'enrolled');
  const now = context.io.now();
  const expiresAt = now + expiryOf(flags.expires ?? DEFAULT_EXPIRY);
  const file = fileOf(context, flags.output);
  const registry = await context.registry();
  const written = (await writtenFleet(context)).sites.map(({ id }) => id);
  if (!written.includes(site)) {
    const message = `expected a site of the fleet, got ${site}: write it into the fleet file first`;
    throw new MistakeError('SITE_NOT_FOUND', message, suggestions(site, new Set(written), 'site'));
  }
  const keys = await centreKeys(context, registry);
  const token = { id: randomUUID(), expiresAt };
  const request = { site, token, by: operatorName(flags.by, context.io.env), reason };
  if (flags.dryRun === true)
    return planned(context, verb, await registry[verb]({ ...request, dryRun: true }, now), expiresAt);
  const keyset = await keysetNow(context, registry, keys);
  const identity = await registry[verb](request, now);
  const { depot } = await context.project();
  const signed = signToken(
    { version: 1, id: token.id, site, epoch: identity.epoch, depot: depot.read, keyset, issuedAt: now, expiresAt },
    keys.signers.map(({ privatePem }) => privatePem),
  );
  if (file !== undefined) await writeToken(file, signed);
  return answered(context, { verb, identity, signed, file, keys: claimedKeyset(keyset) });
}

/** A token that is good for longer is a second key to the site; beyond, a slip of the finger is no date at all. */
const LONGEST_EXPIRY_MS = 10 * 365 * 86_400_000;

function expiryOf(written: string): number {
  const ms = parseDuration(written);
  if (ms !== undefined && ms > 0 && ms <= LONGEST_EXPIRY_MS) return ms;
  throw new MistakeError(
    'BAD_ARGUMENT',
    `expected --expires with a duration such as 7d, at most 3650d, got ${written}`,
  );
}

/** Asked before the token is made: one that cannot be written would be void already. */
function fileOf(context: Context, output: string | undefined): string | undefined {
  if (output === undefined) return undefined;
  const path = context.path(output);
  if (existsSync(path)) throw new MistakeError('FILE_EXISTS', `expected no file at ${path}; it is not written over`);
  return path;
}

async function writeToken(file: string, signed: SignedToken): Promise<void> {
  try {
    await writeFile(file, `${JSON.stringify(signed, undefined, 2)}\n`, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    const message = `expected to write the token to ${file}, could not: have another one made, this one reached nobody`;
    throw new WorldError('FILE_NOT_WRITTEN', message, { cause: error });
  }
}

function planned(context: Context, verb: Verb, { site, epoch, instance }: SiteIdentity, expiresAt: number): Answer {
  const refused = verb === 'replace' ? '; the agent of before would be refused from then on' : '';
  const text = `would make a token for ${site}, epoch ${epoch}, good until ${clock(expiresAt, context.io.now())}${refused}`;
  return done({ site, epoch, instance: instance ?? null, expiresAt, dryRun: true }, text);
}

function answered(
  context: Context,
  of: {
    verb: Verb;
    identity: SiteIdentity;
    signed: SignedToken;
    file: string | undefined;
    keys: Keyset | undefined;
  },
): Answer {
  const { identity, signed, file, keys } = of;
  const { site, epoch, token } = identity;
  const ids = keys?.keys.map(({ id }) => id) ?? [];
  const document = {
    site,
    epoch,
    tokenId: token?.id,
    expiresAt: token?.expiresAt,
    keyset: { version: keys?.version, ids },
    ...(file === undefined ? { token: signed } : { file }),
  };
  if (file === undefined) return done(document, JSON.stringify(signed));
  const until = clock(token?.expiresAt ?? 0, context.io.now());
  const lines = [
    `token for ${site}, epoch ${epoch}, good until ${until}: ${file}`,
    `whoever has it can be ${site}, once; carry it there and run`,
    `  foothold agent enrol ${file} --data /var/lib/foothold`,
    `which trusts the control keys ${ids.join(', ')}`,
    ...(of.verb === 'replace' ? [`the agent of the epoch before is refused from now on`] : []),
  ];
  return done(document, lines.join('\n'));
}

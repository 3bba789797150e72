/** Adoption at a person's request: `foothold agent adopt STREAM --like RELEASE` (design §5 rule 10). */
import { z } from 'zod';
import { MistakeError, WorldError } from '../policies/model/failure.js';
import { Digest, Name, Vars } from '../policies/model/names.js';
import { parseReleaseData, type ManifestFile, type Release } from '../policies/model/release.js';
import { digestOf } from '../policies/signing/jcs.js';
import { isAtRest } from '../policies/site/transitions.js';
import { confirmAdoption, stageAdoption } from './adopt.js';
import type { SiteContext } from './context.js';
import { refuseEscape, stageRelease } from './fetch/fetch-release.js';
import { stageHeld } from './stage.js';

/** `version`: a release in the depot. `release` with `files`: a release directory that the caller has read. */
export const AdoptRequest = z.strictObject({
  stream: Name,
  like: z.union([
    z.strictObject({ version: z.string() }),
    z.strictObject({
      release: z.unknown(),
      files: z.array(z.strictObject({ path: z.string(), mode: z.number().int(), base64: z.string() })),
    }),
  ]),
  /** The site's variables, for the strings of the release. */
  vars: Vars.default({}),
});
export type AdoptRequest = z.input<typeof AdoptRequest>;

export interface Adopted {
  stream: string;
  version: string;
  digest: string;
}

const FETCH_WITHIN_MS = 60_000;
const DepotEntry = z.object({ stream: Name, version: z.string(), digest: Digest });

export async function adoptAtRequest(context: SiteContext, request: AdoptRequest): Promise<Adopted> {
  const parsed = AdoptRequest.parse(request);
  return context.holdings.staging(() => adoptLive(context, parsed));
}

async function adoptLive(context: SiteContext, request: z.output<typeof AdoptRequest>): Promise<Adopted> {
  const { stream, like, vars } = request;
  refuseAdopted(context, stream);
  const { release, files, digest } = await modelOf(context, { stream, like });
  const held = await stageHeld(context, { release, files }, { stream, digest, vars, varsDigest: digestOf(vars) });
  // Not on the books: only what is live is kept, and the model it was found by is swept away.
  const found = await stageAdoption(context, { ...held, id: 0 });
  if ('missing' in found) throw new MistakeError('LKG_MISSING', `expected something live to adopt: ${found.missing}`);
  refuseAdopted(context, stream);
  const adopted = await confirmAdoption(context, stream, found.adoption);
  context.untidy = true;
  return { stream, version: adopted.version, digest: adopted.digest };
}

function refuseAdopted({ store }: SiteContext, stream: string): void {
  const [live] = store.confirmed(stream);
  if (live) {
    const message = `stream ${stream} already has a confirmed release, ${live.version}`;
    throw new MistakeError('BAD_ARGUMENT', `${message}; adoption is only for a stream that has none`);
  }
  const { state } = store.stream(stream);
  if (!isAtRest(state)) throw new MistakeError('AGENT_BUSY', `stream ${stream} is ${state}; adopt once it is at rest`);
}

/** The release that says where to look; it is not applied. Throws MistakeError BAD_ARGUMENT for one of another stream. */
export async function modelOf(
  context: SiteContext,
  { stream, like }: Pick<AdoptRequest, 'stream' | 'like'>,
): Promise<Model> {
  const model = 'version' in like ? await fromDepot(context, stream, like.version) : await fromCaller(context, like);
  if (model.release.stream === stream) return model;
  throw new MistakeError('BAD_ARGUMENT', `expected a release of stream ${stream}, got one of ${model.release.stream}`);
}

interface Model {
  release: Release;
  files: ManifestFile[];
  digest: string;
}

async function fromDepot(context: SiteContext, stream: string, version: string): Promise<Model> {
  const { depot, holdings, clock, log } = context;
  const signal = AbortSignal.timeout(FETCH_WITHIN_MS);
  const entry = DepotEntry.safeParse(parseJson(await depot.release(stream, version, signal)));
  if (!entry.success)
    throw new WorldError('RELEASE_NOT_FOUND', `the depot's entry of ${stream}@${version} is not readable`);
  const until = clock.elapsed() + FETCH_WITHIN_MS;
  const fetched = await stageRelease(entry.data.digest, {
    depot,
    blobs: holdings.blobs,
    incoming: holdings.incoming,
    signal,
    timeLeft: () => until - clock.elapsed(),
    log: (message, detail) => log.warn(detail, message),
  });
  return { ...fetched, digest: entry.data.digest };
}

async function fromCaller(
  context: SiteContext,
  like: { release?: unknown; files: { path: string; mode: number; base64: string }[] },
): Promise<Model> {
  const files: ManifestFile[] = [];
  for (const { path, mode, base64 } of like.files) {
    refuseEscape({ path, mode });
    const bytes = Buffer.from(base64, 'base64');
    files.push({ path, mode, size: bytes.length, digest: await context.holdings.blobs.put(bytes) });
  }
  return { release: parseReleaseData(like.release), files, digest: digestOf({ release: like.release, files }) };
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** Adoption at a person's request: `foothold agent adopt STREAM --like RELEASE` (design §5 rule 10). */
import { realpath } from 'node:fs/promises';
import { z } from 'zod';
import { MistakeError, WorldError } from '../policies/model/failure.js';
import { Digest, Name, Vars } from '../policies/model/names.js';
import { parseReleaseData, type ManifestFile, type Release } from '../policies/model/release.js';
import { digestOf } from '../policies/signing/jcs.js';
import { roomToStage, TROUBLE_CODES } from '../policies/site/judge-disk.js';
import { isAtRest } from '../policies/site/transitions.js';
import { confirmAdoption, stageAdoption } from './adopt.js';
import { messageOf } from './advance.js';
import type { SiteContext } from './context.js';
import { filesBelow } from './disk/measure.js';
import { demandDisk, demandRoom, demandRoomFor } from './disk/room.js';
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

/** Throws WorldError DISK_FULL, STORAGE_FAULT before the site is changed: what is live must not hang on pages that may be lost. */
export async function adoptAtRequest(context: SiteContext, request: AdoptRequest): Promise<Adopted> {
  const parsed = AdoptRequest.parse(request);
  try {
    return await context.holdings.staging(() => adoptLive(context, parsed));
  } catch (error) {
    throw answerOf(context, error);
  }
}

/** What the disk said outweighs what was being done when it said it. */
function answerOf({ storage }: SiteContext, error: unknown): unknown {
  const trouble = storage.note(error, 'an adoption');
  if (trouble === undefined) return error;
  return new WorldError(TROUBLE_CODES[trouble], messageOf(error), { cause: error });
}

async function adoptLive(context: SiteContext, request: z.output<typeof AdoptRequest>): Promise<Adopted> {
  const { stream, like, vars } = request;
  refuseAdopted(context, stream);
  const sent = 'files' in like ? like.files : [];
  demandRoom(context, roomToStage(sent.map(({ base64 }) => ({ size: base64.length, missing: true }))));
  const { release, files, digest } = await modelOf(context, { stream, like }, demandRoomFor);
  context.untidy = true;
  const held = await stageHeld(context, { release, files }, { stream, digest, vars, varsDigest: digestOf(vars) });
  await demandRoomToCopy(context, held.release);
  // Not on the books: only what is live is kept, and the model it was found by is swept away.
  const found = await stageAdoption(context, { ...held, id: 0 });
  if ('missing' in found) throw new MistakeError('LKG_MISSING', `expected something live to adopt: ${found.missing}`);
  // Once more: the disk may have failed while what is live was copied. To the symlinks nothing waits from here.
  refuseAdopted(context, stream);
  demandDisk(context);
  const adopted = await confirmAdoption(context, stream, found.adoption);
  return { stream, version: adopted.version, digest: adopted.digest };
}

/** Of what the directories at its targets hold. How much a program saves is known only once it has. */
async function demandRoomToCopy(context: SiteContext, { components }: Release): Promise<void> {
  const targets = components.flatMap(({ driver }) => (driver.type === 'directory' ? [driver.target] : []));
  const sizes = await Promise.all(targets.map(async (target) => filesBelow(await realpath(target)).catch(() => [])));
  demandRoom(context, roomToStage(sizes.flat().map((size) => ({ size, missing: true }))));
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

/**
 * The release that says where to look; it is not applied. `room` judges what has to be fetched for it. Throws MistakeError
 * BAD_ARGUMENT for one of another stream.
 */
export async function modelOf(
  context: SiteContext,
  { stream, like }: Pick<AdoptRequest, 'stream' | 'like'>,
  room?: typeof demandRoomFor,
): Promise<Model> {
  const model =
    'version' in like ? await fromDepot(context, stream, like.version, room) : await fromCaller(context, like);
  if (model.release.stream === stream) return model;
  throw new MistakeError('BAD_ARGUMENT', `expected a release of stream ${stream}, got one of ${model.release.stream}`);
}

interface Model {
  release: Release;
  files: ManifestFile[];
  digest: string;
}

async function fromDepot(
  context: SiteContext,
  stream: string,
  version: string,
  room?: typeof demandRoomFor,
): Promise<Model> {
  const { depot, holdings, clock, log } = context;
  const signal = AbortSignal.timeout(FETCH_WITHIN_MS);
  const entry = DepotEntry.safeParse(parseJson(await depot.release(stream, version, signal)));
  if (!entry.success)
    throw new WorldError('RELEASE_NOT_FOUND', `the depot's entry of ${stream}@${version} is not readable`);
  const until = clock.elapsed() + FETCH_WITHIN_MS;
  const { digest } = entry.data;
  const fetched = await stageRelease(digest, {
    ...(room && { room: (files: readonly ManifestFile[]) => room(context, files, digest) }),
    depot,
    blobs: holdings.blobs,
    incoming: holdings.incoming,
    signal,
    timeLeft: () => until - clock.elapsed(),
    log: (message, detail) => log.warn(detail, message),
  });
  return { ...fetched, digest };
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

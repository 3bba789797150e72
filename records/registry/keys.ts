/** The control keysets that sites are to learn, and the rotation under way. Public halves only: no private key comes here. */
import { MistakeError } from '../../policies/model/failure.js';
import type { ControlKeys, KeyRotation, SignedKeyset } from '../../policies/model/enrolment.js';
import { vouchingKeys } from '../../policies/signing/judge-rotation.js';
import { claimedKeyset, publicForm } from '../../policies/signing/keyset.js';
import type { Db, Tx } from './tables.js';

export async function controlKeys(db: Db): Promise<ControlKeys> {
  const latest = await latestKeyset(db);
  const rotation = await db.selectFrom('control_rotation').select('body').executeTakeFirst();
  return {
    ...(latest && { keyset: { version: latest.version, envelope: JSON.parse(latest.envelope) as SignedKeyset } }),
    ...(rotation && { rotation: JSON.parse(rotation.body) as KeyRotation }),
  };
}

/**
 * Public halves that have vouched for tokens of this centre, the control key of the worker itself included: a registry that
 * was lost or put back holds no keyset, or not the latest.
 */
export async function believedKeys(db: Db): Promise<string[]> {
  const rows = await db
    .selectFrom('control_keysets')
    .select(['version', 'envelope'])
    .orderBy('version', 'desc')
    .execute();
  return vouchingKeys(
    rows.map(({ version, envelope }) =>
      version === PINNED
        ? [envelope]
        : (claimedKeyset(JSON.parse(envelope))?.keys.map(({ pem }) => publicForm(pem)) ?? []),
    ),
  );
}

/** What sites pin before any keyset is version 0 of it (as in their reports): the control key that the worker started with. */
const PINNED = 0;

export async function knowControlKey(db: Db, publicPem: string, by: string, now: number): Promise<void> {
  const row = { version: PINNED, envelope: publicForm(publicPem), issued_at: now, by };
  await db.transaction().execute(async (tx) => {
    const known = await tx.selectFrom('control_keysets').selectAll().where('version', '=', PINNED).executeTakeFirst();
    if (known?.envelope === row.envelope) return;
    await tx.deleteFrom('control_keysets').where('version', '=', PINNED).execute();
    await tx.insertInto('control_keysets').values(row).execute();
  });
}

export interface KeyStep {
  /** The version that this step was decided upon, 0 without one: somebody else's step in between is not passed over. */
  after: number;
  /** Of a version above `after`: its own. */
  keyset?: SignedKeyset;
  /** Null ends the rotation. */
  rotation?: KeyRotation | null;
  by: string;
}

/** One step of a rotation in one transaction. Throws MistakeError ROTATION_STEP if another came first. */
export async function stepKeys(db: Db, { after, keyset, rotation, by }: KeyStep, now: number): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const version = (await latestKeyset(tx))?.version ?? 0;
    if (version !== after) {
      const message = `expected keyset ${after}, somebody has made keyset ${version} meanwhile: look at foothold keys status`;
      throw new MistakeError('ROTATION_STEP', message);
    }
    if (keyset) {
      const made = claimedKeyset(keyset)?.version ?? 0;
      if (made <= after) throw new TypeError(`expected a keyset above version ${after}, got ${made}`);
      const row = { version: made, envelope: JSON.stringify(keyset), issued_at: now, by };
      await tx.insertInto('control_keysets').values(row).execute();
    }
    if (rotation !== undefined) await putRotation(tx, rotation);
  });
}

async function putRotation(tx: Tx, rotation: KeyRotation | null): Promise<void> {
  await tx.deleteFrom('control_rotation').execute();
  if (rotation)
    await tx
      .insertInto('control_rotation')
      .values({ id: 1, body: JSON.stringify(rotation) })
      .execute();
}

async function latestKeyset(db: Db) {
  return db
    .selectFrom('control_keysets')
    .selectAll()
    .where('version', '>', PINNED)
    .orderBy('version', 'desc')
    .limit(1)
    .executeTakeFirst();
}

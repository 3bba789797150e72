/** Agents that were enrolled with a token, as the registry hears of them. */
import { generateKeyPairSync } from 'node:crypto';
import type { SiteReport } from '../../../policies/model/report.js';
import { publicHalf, signKeyset, signToken } from '../../../policies/signing/keyset.js';

export const newKey = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
/** The control key of this centre. */
export const CENTRE = newKey();

/** What an agent of site osl-01 reports that was enrolled with a token of the centre, or of whoever signs. */
export function proven(
  instance: string,
  tokenId: string,
  epoch: number,
  signer = CENTRE,
): Required<Pick<SiteReport, 'enrolment'>> {
  const keyset = signKeyset(1, [publicHalf(signer)], [signer], 0);
  const of = { version: 1 as const, id: tokenId, site: 'osl-01', epoch, depot: 'http://depot.example/', keyset };
  return { enrolment: { tokenId, instance, token: signToken({ ...of, issuedAt: 0, expiresAt: 1 }, [signer]) } };
}

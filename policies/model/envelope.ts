/** The form of a DSSE envelope; `payload` is base64 of the JCS form of what was signed. */
import { z } from 'zod';

export const envelopeOf = <T extends string>(payloadType: T) =>
  z.strictObject({
    payloadType: z.literal(payloadType),
    payload: z.string(),
    signatures: z.array(z.strictObject({ keyid: z.string(), sig: z.string() })).min(1),
  });

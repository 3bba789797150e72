/** The file of `plan -o`: the document of design §7, with what `start --plan` needs to plan it again and to name the difference. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { MistakeError } from '../policies/model/failure.js';
import type { Plan } from '../policies/model/plan.js';
import { digestOfPlan } from '../policies/signing/plan-digest.js';
import { differences } from './render/difference.js';
import { planDocument } from './render/plan.js';

/** What was planned, as it was written, with paths made absolute: planning it again reads the same files. */
export interface PlanRequest {
  release: string;
  strategy: string;
  /** `key=value[,value]` terms. */
  only: string[];
  fleet?: string;
}

export interface PlanFile {
  digest: string;
  request?: PlanRequest;
  plan?: Plan;
  document: unknown;
}

const Request = z.object({
  release: z.string(),
  strategy: z.string(),
  only: z.array(z.string()).default([]),
  fleet: z.string().optional(),
});
const Document = z.looseObject({
  version: z.literal(1),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  request: Request.optional(),
  plan: z.looseObject({ digest: z.string() }).optional(),
});

/** Throws MistakeError FILE_NOT_FOUND, FILE_INVALID (also for a plan that was edited and does not have its digest). */
export async function readPlanFile(path: string): Promise<PlanFile> {
  const text = await readFile(path, 'utf8').catch(() => {
    throw new MistakeError('FILE_NOT_FOUND', `expected a plan at ${path} of --plan, there is none that can be read`);
  });
  const read = Document.safeParse(parsed(text));
  if (!read.success) throw notAPlan(path, z.prettifyError(read.error));
  const { request, plan, ...document } = read.data;
  const whole = plan as Plan | undefined;
  if (whole && (whole.digest !== document.digest || digestOfPlan(whole) !== document.digest)) {
    throw notAPlan(path, `the plan in it does not have the digest ${document.digest} that it names: was it edited?`);
  }
  return {
    digest: document.digest,
    document,
    ...(request === undefined ? {} : { request: asRequest(request) }),
    ...(whole === undefined ? {} : { plan: whole }),
  };
}

function asRequest({ fleet, ...request }: z.infer<typeof Request>): PlanRequest {
  return fleet === undefined ? request : { ...request, fleet };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function notAPlan(path: string, why: string): MistakeError {
  const form = 'expected a plan as foothold plan RELEASE STRATEGY -o FILE writes it';
  return new MistakeError('FILE_INVALID', `${form}, in ${path}`, why.split('\n'));
}

/** What differs between the plan of the file and the one that planning gives now, one line a place. */
export function planDifference(file: PlanFile, now: Plan): string[] {
  // The whole plan names gates, budgets and variables too; a bare document only shows sites and release.
  if (file.plan) return differences({ ...file.plan, digest: '' }, { ...now, digest: '' });
  const [before, after] = [file.document, planDocument(now, [])].map(comparable);
  const seen = differences(before, after);
  return seen.length > 0 ? seen : ['release, sites and waves are the same: strategy, gates or variables differ'];
}

function comparable(document: unknown): unknown {
  const { release, stages, excluded } = document as Record<string, unknown>;
  return { release, stages, excluded };
}

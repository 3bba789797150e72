/** Why preflight refuses a rollout, in words that name the first findings. */
import type { Finding } from '../model/plan.js';

/** `block`: how many findings block, of which `first` are named. */
export function wordsOfBlock(block: number, first: readonly Finding[]): string {
  const named = first.map((finding) => `${finding.site ?? 'release'}: ${finding.code} (${finding.detail})`).join('; ');
  return `${block} findings block: ${named}`;
}

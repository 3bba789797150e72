/** The workflow types, by their contract names. */
export { arrivals } from './arrivals.js';
export { catchUp } from './catch-up.js';
export { inbox } from './inbox.js';
export { streamLock } from './lock.js';
export { prefetch } from './prefetch.js';
export { rollout } from './rollout.js';
export { shard } from './shard.js';
export { sweep, withdraw } from './sweep.js';

/** Takes a wish for files, durably. It is judged as a command is: by its signature, its site, epoch, instance and journal. */
import type { PrefetchEnvelope } from '../../policies/model/prefetch.js';
import type { Reason } from '../../policies/model/verdict.js';
import { openPrefetch } from '../../policies/signing/dsse.js';
import { judgeAddressee } from '../../policies/site/judge-addressee.js';
import { judgePrefetch } from '../../policies/site/judge-prefetch.js';
import { addresseeOf } from '../accept.js';
import type { SiteContext } from '../context.js';
import { learnFromCommand } from '../trust.js';

/** Undefined once it is taken, else why not. Nothing of the stream is touched: its floor, its state and its commands. */
export async function takePrefetch(context: SiteContext, envelope: PrefetchEnvelope): Promise<Reason | undefined> {
  learnFromCommand(context, envelope);
  const { clock, prefetched, store } = context;
  const wish = openPrefetch(envelope, context.trust.pems);
  if (!wish)
    return { code: 'SIGNATURE_INVALID', detail: 'no control key that this site trusts has signed this prefetch' };
  if (wish.site !== context.site)
    return { code: 'WRONG_SITE', detail: `the prefetch is for site ${wish.site}, this is ${context.site}` };
  const known = store.prefetch(wish.stream);
  const against =
    judgeAddressee(wish, addresseeOf(context)) ?? judgePrefetch(wish, store.stream(wish.stream), known?.wish);
  if (against) return against;
  if (context.observing)
    return { code: 'OBSERVING', detail: 'the agent was started with --observe: it fetches nothing' };
  const sameFiles = known?.wish.digest === wish.digest;
  if (known && !(sameFiles && known.wish.bytesPerSecond === wish.bytesPerSecond)) await context.standAside();
  if (known && !sameFiles) await prefetched.drop(wish.stream);
  store.transact(() => store.putPrefetch({ ...(sameFiles ? known : {}), wish, takenAt: clock.now() }));
  return undefined;
}

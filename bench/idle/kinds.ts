/** What a call of the link asks, by the layout of its request: HTTP/2 hides the path in tables that only its ends have. Pure. */
import type { Kind } from './frames.js';

const NAMESPACE = '\\n[\\x01-\\x7f][^\\x12]+\\x12';
const text = (source: string) => new RegExp(`^${NAMESPACE}${source}`, 's');

/** PollActivityTaskQueue: after the namespace a queue, which is a message with a name. */
const POLL = text('[\\x01-\\x7f]\\n.site-');
/** RecordWorkerHeartbeat: after the namespace an identity, then heartbeats. */
const HEARTBEAT = text('[\\x01-\\x7f]site-[^\\x1a]+\\x1a');
const INBOX = text('[\\x01-\\x7f]*\\n?.?(inbox|arrivals)/');
/** DescribeNamespace: a name, and nothing else; it is what proves contact. */
const CONTACT = /^\n[\x01-\x7f][^\x12]+$/s;

export function kindOf(asked: Buffer): Kind {
  const request = asked.toString('latin1');
  if (POLL.test(request)) return 'poll';
  if (HEARTBEAT.test(request)) return 'heartbeat';
  if (CONTACT.test(request)) return 'contact';
  // The report itself, and what asks how much of the last one was recorded.
  return INBOX.test(request) ? 'report' : 'other';
}

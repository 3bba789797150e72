/** One real agent in a process of its own, without any link: commands come over the parent's channel. */
import { pino } from 'pino';
import type { Envelope, SiteState } from '../../policies/model/command.js';
import { openAgent } from '../../site/open-agent.js';

export interface AgentOrder {
  site: string;
  dataDirectory: string;
  depot: string;
  publicKeyPem: string;
}
export type ToAgent = { open: AgentOrder } | { accept: Envelope };
export type FromAgent =
  { opened: true } | { state: SiteState; commandId: string } | { ended: string; commandId: string };

async function serve(): Promise<void> {
  let door: Awaited<ReturnType<typeof openAgent>>['door'] | undefined;
  const say = (message: FromAgent) => void process.send?.(message);
  process.on('message', (message: ToAgent) => {
    if ('open' in message) {
      const { site, dataDirectory, depot, publicKeyPem } = message.open;
      const log = pino({ level: 'error' }, pino.destination(2));
      void openAgent({ site, dataDirectory, depot, controlKeysPem: [publicKeyPem], log }).then(async (agent) => {
        await agent.start();
        door = agent.door;
        say({ opened: true });
      });
    } else if (door) {
      const opened = door;
      void opened.accept(message.accept).then(async ({ commandId }) => {
        const settled = await opened.observe(commandId, new AbortController().signal, (state) =>
          say({ state, commandId }),
        );
        say({ ended: settled.kind === 'result' ? settled.result.result : 'unsettled', commandId });
      });
    }
  });
}

if (process.send) void serve();

/** What doctor looks at in Temporal, and what `--fix` may add there: the namespace and its search attributes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { SEARCH_ATTRIBUTES } from '../../infra/temporal/settings.js';
import type { Context } from '../context.js';
import type { OpenTemporal } from '../temporal.js';
import { examine, missing, ok, warning, type Examined } from './examined.js';

/** INDEXED_VALUE_TYPE_KEYWORD of the Temporal API. */
const KEYWORD = 2;
const RETENTION = 30 * 86_400_000;

export async function probeTemporal(context: Context, fix: boolean): Promise<Examined[]> {
  return examine(
    'temporal',
    async () => {
      const temporal = await context.temporal();
      const { address, namespace } = temporal.target;
      const server = await temporal.connection.workflowService.getSystemInfo({});
      const reachable = ok('temporal', `${address}, server ${server.serverVersion ?? 'of unknown version'}`);
      const known = await probeNamespace(temporal, fix);
      if (known.result === 'missing') return [reachable, known];
      if (known.result === 'mended') await untilKnown(temporal);
      const attributes = await examine('search attributes', () => probeAttributes(temporal, fix));
      const worker = await examine('control worker', () => probeWorker(temporal, namespace));
      return [reachable, known, ...attributes, ...worker];
    },
    'temporal server start-dev, or say where it is: --address, TEMPORAL_ADDRESS, --profile',
  );
}

async function probeNamespace({ connection, target }: OpenTemporal, fix: boolean): Promise<Examined> {
  const { namespace, address } = target;
  const exists = await connection.workflowService.describeNamespace({ namespace }).then(
    () => true,
    (error: unknown) => {
      if ((error as { code?: unknown }).code === NOT_FOUND) return false;
      throw error;
    },
  );
  if (exists) return ok('namespace', namespace);
  const mend = `temporal operator namespace create --address ${address} --namespace ${namespace} --retention 720h`;
  if (!fix) return missing('namespace', `${namespace} does not exist`, mend);
  const { msToTs } = await import('@temporalio/common/lib/time.js');
  const workflowExecutionRetentionPeriod = msToTs(RETENTION);
  await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod });
  return { what: 'namespace', result: 'mended', detail: `${namespace} was created` };
}

/** The server's parts learn of a new namespace one after the other, each within some seconds. */
async function untilKnown({ connection, target: { namespace } }: OpenTemporal): Promise<void> {
  for (let tries = 0; tries < 40; tries++) {
    const known = await connection.operatorService.listSearchAttributes({ namespace }).then(
      () => true,
      () => false,
    );
    if (known) return;
    await sleep(500);
  }
}
const NOT_FOUND = 5;

async function probeAttributes({ connection, target }: OpenTemporal, fix: boolean): Promise<Examined[]> {
  const { namespace, address } = target;
  const listed = await connection.operatorService.listSearchAttributes({ namespace });
  const known = new Map<string, number>(Object.entries(listed.customAttributes ?? {}));
  const wanted = Object.keys(SEARCH_ATTRIBUTES);
  const wrong = wanted.filter((name) => known.has(name) && known.get(name) !== KEYWORD);
  if (wrong.length > 0)
    return [missing('search attributes', `expected type Keyword for ${wrong.join(', ')}, got another`)];
  const absent = wanted.filter((name) => !known.has(name));
  if (absent.length === 0) return [ok('search attributes', wanted.join(', '))];
  if (fix) {
    const searchAttributes = Object.fromEntries(absent.map((name) => [name, KEYWORD]));
    await connection.operatorService.addSearchAttributes({ namespace, searchAttributes });
    return [{ what: 'search attributes', result: 'mended', detail: `added ${absent.join(', ')}` }];
  }
  const each = absent.map((name) => `--name ${name} --type Keyword`).join(' ');
  const mend = `temporal operator search-attribute create --address ${address} --namespace ${namespace} ${each}`;
  return [missing('search attributes', `${absent.join(', ')} are not registered`, mend)];
}

/** A rollout that nobody works on stands still: worth saying before it is three in the morning. */
async function probeWorker({ connection }: OpenTemporal, namespace: string): Promise<Examined[]> {
  const { TASK_QUEUE } = await import('../../policies/model/rollout.js');
  const queue = await connection.workflowService.describeTaskQueue({
    namespace,
    taskQueue: { name: TASK_QUEUE },
    taskQueueType: 1,
  });
  const pollers = queue.pollers?.length ?? 0;
  if (pollers > 0) return [ok('control worker', `${pollers} polling queue ${TASK_QUEUE}`)];
  return [warning('control worker', `none polls queue ${TASK_QUEUE}`, 'foothold worker run')];
}

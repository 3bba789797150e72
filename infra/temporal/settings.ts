/**
 * What Foothold needs of a Temporal server: registered by the development stack, looked at by `foothold doctor`.
 */

/** Search attributes of the namespace, all of type Keyword. SQL visibility has room for ten Keywords a namespace. */
export const SEARCH_ATTRIBUTES = {
  FootholdRollout: 'Keyword',
  FootholdStream: 'Keyword',
  FootholdRelease: 'Keyword',
  FootholdState: 'Keyword',
} as const;

/**
 * Dynamic configuration. One partition a queue: a site's queue has one poller, and with four partitions a task waits
 * until that poll happens to be where the task is. `frontend.namespaceCount` bounds the open long polls of a
 * namespace for each API method: every direct site holds one.
 */
export const DYNAMIC_CONFIG: Readonly<Record<string, number>> = {
  'matching.numTaskqueueReadPartitions': 1,
  'matching.numTaskqueueWritePartitions': 1,
  'frontend.namespaceCount': 20_000,
};

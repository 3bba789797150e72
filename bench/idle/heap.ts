/** Loaded before the agent's own command: answers its parent with what its memory is, and ends with it. Nothing else. */
export interface Memory {
  rss: number;
  heapUsed: number;
  heapTotal: number;
}

process.on('message', () => {
  const { rss, heapUsed, heapTotal } = process.memoryUsage();
  process.send?.({ rss, heapUsed, heapTotal } satisfies Memory);
});
process.on('disconnect', () => process.exit(1));
// The agent ends when it has nothing to do, as it would without this.
process.channel?.unref();

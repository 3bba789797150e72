// @ts-check
/**
 * Progress of set-up, on standard error: standard output belongs to the command that set-up is for (`demo -- --json`).
 * A line per step; on a terminal the running step rewrites its line, elsewhere it gives a sign of life every ten seconds.
 */

const SIGN_OF_LIFE_MS = 10_000;

/**
 * @typedef {{ update: (text: string) => void, done: (text?: string) => void, failed: () => void }} Step
 * @typedef {{ step: (title: string) => Step, say: (text: string) => void }} Progress
 */

/**
 * @param {NodeJS.WriteStream} [stream]
 * @returns {Progress}
 */
export function createProgress(stream = process.stderr) {
  return {
    say: (text) => void stream.write(`set-up  ${text}\n`),
    step: (title) => startStep(stream, title),
  };
}

/** @param {NodeJS.WriteStream} stream @param {string} title @returns {Step} */
function startStep(stream, title) {
  const started = Date.now();
  const seconds = () => `${((Date.now() - started) / 1000).toFixed(1)} s`;
  let latest = '';
  const line = () => `set-up  ${title}${latest && `: ${latest}`} (${seconds()})`;
  const draw = stream.isTTY ? () => void stream.write(`\r\x1b[2K${line()}`) : () => void stream.write(`${line()}\n`);
  if (!stream.isTTY) stream.write(`set-up  ${title} …\n`);
  const timer = setInterval(draw, stream.isTTY ? 250 : SIGN_OF_LIFE_MS);
  timer.unref();
  const end = (/** @type {string} */ text) => {
    clearInterval(timer);
    latest = text;
    draw();
    if (stream.isTTY) stream.write('\n');
  };
  return {
    update: (text) => void (latest = text),
    done: (text = 'done') => end(text),
    failed: () => end('failed'),
  };
}

/**
 * Runs one step with its progress line.
 * @template T
 * @param {Progress} progress
 * @param {string} title
 * @param {(step: Step) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withStep(progress, title, work) {
  const step = progress.step(title);
  try {
    const result = await work(step);
    step.done();
    return result;
  } catch (error) {
    step.failed();
    throw error;
  }
}

// A byte source that ends when a signal aborts, even while it is being read and gives nothing.
import { asCoffreError } from '../errors.ts';

/**
 * `body`, which fails with the signal's reason as soon as it aborts. Errors leave as CoffreErrors (E_INTERRUPTED for a
 * plain abort, E_INTERNAL for a foreign error of the source) and are told to `onFailure` first.
 */
export async function* untilAborted(
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  onFailure: (error: Error) => void = () => {},
): AsyncGenerator<Uint8Array> {
  const iterator = body[Symbol.asyncIterator]();
  // One promise for each read, not a race against one that lives as long as the stream: that one would keep every chunk.
  let rejectRead: (reason: Error) => void = () => {};
  const stopped = (): Error => asCoffreError(signal.reason, 'E_INTERRUPTED', 'writing was stopped');
  const onAbort = (): void => rejectRead(stopped());
  signal.addEventListener('abort', onAbort, { once: true });
  let ended = false;
  try {
    while (true) {
      const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        rejectRead = reject;
        if (signal.aborted) reject(stopped());
        else iterator.next().then(resolve, reject);
      });
      if (next.done) {
        ended = true;
        return;
      }
      yield next.value;
    }
  } catch (error) {
    const failure = asCoffreError(error, 'E_INTERNAL', 'the stream to store failed');
    onFailure(failure);
    throw failure;
  } finally {
    signal.removeEventListener('abort', onAbort);
    // Not awaited: a source that hangs must not keep its reader from cleaning up.
    if (!ended) iterator.return?.()?.catch(() => {});
  }
}

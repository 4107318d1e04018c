// Makes an iteration stop at once when a signal aborts, even while its source is stuck.

/**
 * `source`, item by item, until `signal` aborts: then throws the signal's reason without waiting for the source,
 * which is asked to close as soon as it can. A consumer that stops early closes the source and waits for that.
 */
export async function* abortable<T>(source: AsyncIterable<T> | Iterable<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
  if (signal === undefined) {
    yield* source;
    return;
  }
  signal.throwIfAborted();
  const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : fromSync(source);
  // One reject for the step under way: racing every step against one long-lived promise would keep every step alive.
  let rejectStep: (reason: unknown) => void = () => {};
  const onAbort = (): void => rejectStep(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  let ended = false;
  try {
    for (;;) {
      signal.throwIfAborted();
      const step = await new Promise<IteratorResult<T>>((resolve, reject) => {
        rejectStep = reject;
        iterator.next().then(resolve, (error: unknown) => {
          ended = true;
          reject(error);
        });
      });
      if (step.done) {
        ended = true;
        return;
      }
      yield step.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    if (!ended) {
      const closing = iterator.return?.();
      if (signal.aborted) closing?.catch(() => {});
      else await closing;
    }
  }
}

async function* fromSync<T>(source: Iterable<T>): AsyncGenerator<T> {
  yield* source;
}

// One stream read by several readers at the pace of the slowest; a reader that leaves does not hold the others up.

export interface Branch {
  readonly body: AsyncIterable<Uint8Array>;
  /** Must be called when the reader is done with it for whatever reason, even if it never read: idempotent. */
  leave(): Promise<void>;
}

/**
 * `count` iterables over one source. A chunk is asked of the source when every remaining reader has taken the last one,
 * so at most one chunk is held. When all have left, the source is closed.
 */
export function tee(source: AsyncIterable<Uint8Array>, count: number): Branch[] {
  const iterator = source[Symbol.asyncIterator]();
  const readers = Array.from({ length: count }, () => ({ taken: 0, open: true }));
  let produced = 0;
  let current: IteratorResult<Uint8Array> | null = null;
  let failure: { readonly error: unknown } | null = null;
  let pulling = false;
  let wake: () => void = () => {};
  let changed = new Promise<void>((resolve) => {
    wake = resolve;
  });
  const notify = (): void => {
    const previous = wake;
    changed = new Promise<void>((resolve) => {
      wake = resolve;
    });
    previous();
  };
  const pull = (): void => {
    if (pulling || failure || current?.done) return;
    if (readers.some((r) => r.open && r.taken < produced)) return;
    pulling = true;
    iterator.next().then(
      (result) => {
        pulling = false;
        current = result;
        produced++;
        notify();
      },
      (error: unknown) => {
        pulling = false;
        failure = { error };
        notify();
      },
    );
  };
  const leave = async (reader: { open: boolean }): Promise<void> => {
    if (!reader.open) return;
    reader.open = false;
    notify();
    if (readers.every((r) => !r.open)) await iterator.return?.();
  };
  return readers.map((reader) => ({
    leave: () => leave(reader),
    body: {
      async *[Symbol.asyncIterator]() {
        try {
          for (;;) {
            if (reader.taken === produced) {
              if (failure) throw failure.error;
              if (current?.done) return;
              const wait = changed;
              pull();
              await wait;
              continue;
            }
            reader.taken++;
            const result = current as IteratorResult<Uint8Array>;
            if (result.done) return;
            yield result.value;
          }
        } finally {
          await leave(reader);
        }
      },
    },
  }));
}

// Runs a query and turns its rows into chunks of bytes, never holding more than a few of them.
import type { OnRow } from '../../target/mariadb/row-tap.ts';
import type { Session } from '../../target/mariadb/session.ts';
import type { ByteWriter } from './encode.ts';
import type { Pace } from './reading.ts';

/** Complete chunks beyond this make the server wait. */
export const HIGH_WATER_BYTES = 2 * 1024 * 1024;

/**
 * Yields the writer's complete chunks while `onRow` writes into it; an unfinished chunk stays in the writer.
 * When the consumer stops early, the rest of the rows is read and dropped, so that the connection stays usable.
 * Throws ServerError and what `onRow` throws.
 */
export async function* pump(
  session: Session,
  sql: string,
  writer: ByteWriter,
  pace: Pace | null,
  onRow: OnRow,
): AsyncGenerator<Buffer, void, undefined> {
  let wake = (): void => {};
  let paused = false;
  let ended = false;
  let dropping = false;
  let rows = 0;
  let failure: { readonly error: unknown } | null = null;
  const flow = session.flow(sql, (bytes, from, to) => {
    if (dropping || failure) return;
    try {
      onRow(bytes, from, to);
      rows++;
    } catch (error) {
      failure = { error };
    }
    if (writer.readyBytes >= HIGH_WATER_BYTES && !paused) {
      paused = true;
      flow.pause();
    }
    if (writer.readyBytes > 0) wake();
  });
  flow.ended.then(
    () => {
      ended = true;
      wake();
    },
    (error: unknown) => {
      ended = true;
      failure ??= { error };
      wake();
    },
  );
  const somethingToDo = (): boolean => writer.readyBytes > 0 || ended;
  try {
    for (;;) {
      let bytes = 0;
      for (let chunk = writer.take(); chunk; chunk = writer.take()) {
        bytes += chunk.length;
        yield chunk;
      }
      if (ended) break;
      const wait = pace?.spend(rows, bytes);
      rows = 0;
      if (wait) await wait;
      if (paused) {
        paused = false;
        flow.resume();
      }
      if (!somethingToDo()) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    const failed = failure as { readonly error: unknown } | null;
    if (failed) throw failed.error;
  } finally {
    dropping = true;
    if (paused) flow.resume();
    await flow.ended.catch(() => {});
  }
}

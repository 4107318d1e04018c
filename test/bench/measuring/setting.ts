// What every benchmark stands on: a store, a folder, a list of what to stop; all of it goes with the process, however it ends.
import { makeRig } from '../../servers/rig.ts';
import { type RunningStore, startStore } from '../../servers/store.ts';

export interface Setting {
  readonly store: RunningStore;
  /** Empty; where temporary files go as well. */
  readonly dir: string;
  /** Aborts when the benchmark is interrupted. */
  readonly signal: AbortSignal;
  /** Called in reverse order in the end. */
  readonly stops: (() => Promise<void>)[];
}

/** Runs `work` and cleans up behind it. `storeBytes`: what a store of ours can hold. What fails after an interruption fails with that. */
export async function inSetting<T>(work: (setting: Setting) => Promise<T>, storeBytes?: number): Promise<T> {
  const interruption = new AbortController();
  const { signal } = interruption;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => interruption.abort(new Error(`interrupted by ${name}`)));
  const rig = makeRig('bench');
  const stops: (() => Promise<void>)[] = [() => rig.stop()];
  try {
    const store = await startStore(process.env, storeBytes === undefined ? {} : { sizeBytes: storeBytes });
    stops.push(() => store.stop());
    signal.throwIfAborted();
    process.env.TMPDIR = rig.dir;
    return await work({ store, dir: rig.dir, signal, stops });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    for (const stop of stops.toReversed()) await stop().catch((error: Error) => console.error(error.message));
  }
}

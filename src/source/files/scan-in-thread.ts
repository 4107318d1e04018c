// A walk in a thread of its own: lstat costs the thread that sends to the vaults nothing, and a hung file system does not hold it up.
import { Worker } from 'node:worker_threads';
import { settledWithin, systemClock } from '../../clock.ts';
import { CoffreError } from '../../errors.ts';
import type { PathPattern } from '../path-pattern.ts';
import type { Warning } from '../source.ts';
import { type ScanBatch, stepsOf } from './scan-batch.ts';
import type { Found, FoundDirectory, FoundFiles } from './walk.ts';

export interface TreeToScan {
  readonly root: string;
  readonly rootFound: Found;
  readonly exclude: readonly PathPattern[];
  /** A directory on another device than the root is a mount point: reported, not listed. */
  readonly oneFileSystem: boolean;
}

export interface ScanOrder extends TreeToScan {
  /** One Int32: how many batches may still be sent. */
  readonly leave: SharedArrayBuffer;
}

/** Batches that wait to be looked at: so many that the scan of most shops is done when the older index has been read. */
const BATCHES_AHEAD = 48;
/** What a thread that was told to end has for it: a call of the system at most. */
const ENDS_WITHIN_MS = 5_000;
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 8 };

/** A scan that has begun. */
export interface Scan {
  /**
   * Once: what was found, as walk() gives it. Throws the signal's reason when it aborts, E_INTERNAL when the thread fails; everything
   * else becomes a warning.
   */
  steps(warn: (warning: Warning) => void): AsyncGenerator<FoundFiles | FoundDirectory>;
  /** Ends the thread. Idempotent. */
  stop(): Promise<void>;
}

/** Begins at once, and goes some way ahead of whoever asks for the steps. Throws the signal's reason. */
export function beginScan(tree: TreeToScan, signal: AbortSignal): Scan {
  signal.throwIfAborted();
  const leave = new SharedArrayBuffer(4);
  const left = new Int32Array(leave);
  left[0] = BATCHES_AHEAD;
  const order: ScanOrder = { ...tree, leave };
  const worker = new Worker(new URL('./scan-thread.ts', import.meta.url), {
    name: 'scan',
    execArgv: [],
    workerData: order,
    resourceLimits: RESOURCE_LIMITS,
  });
  const arrived: (ScanBatch | null)[] = [];
  let failure: unknown;
  let wake: () => void = () => {};
  const fail = (error: unknown): void => {
    failure ??= error;
    wake();
  };
  worker.on('message', (batch: ScanBatch | null) => {
    arrived.push(batch);
    wake();
  });
  worker.on('error', (error) => fail(new CoffreError('E_INTERNAL', `the scan stopped: ${error.message}`, { cause: error })));
  worker.on('exit', () => fail(new CoffreError('E_INTERNAL', 'the scan ended early')));
  const onAbort = (): void => fail(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const stop = async (): Promise<void> => {
    signal.removeEventListener('abort', onAbort);
    // one that hangs in the kernel ends when that answers, and until then keeps nothing but itself
    await settledWithin(worker.terminate(), ENDS_WITHIN_MS, systemClock);
  };
  return {
    stop,
    async *steps(warn) {
      try {
        for (;;) {
          // what a thread said before it ended counts
          while (arrived.length === 0 && failure === undefined) {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
          signal.throwIfAborted();
          const batch = arrived.shift();
          if (batch === undefined) throw failure;
          if (batch === null) return;
          Atomics.add(left, 0, 1);
          Atomics.notify(left, 0);
          for (const warning of batch.warnings) warn(warning);
          yield* stepsOf(batch);
        }
      } finally {
        await stop();
      }
    },
  };
}

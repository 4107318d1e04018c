// Checks, opens and extracts segments in other threads: this one only fetches them.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { asCoffreError, CoffreError } from '../errors.ts';
import type { ThreadedTarget } from '../target/target.ts';
import type { ExtractJob, Failure, FromExtractThread, ThreadData, ThreadTimes, ToExtractThread } from './extract-messages.ts';

/** Each holds one plaintext, and the shop's server wants to run too. */
const MOST_THREADS = 3;
/**
 * Old and young generation of a thread: besides buffers it holds the names in one segment, which must not outlive a young generation that is
 * too small for them, or the old one is marked for each segment.
 */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 8 };

const NO_TIME: ThreadTimes = { openMs: 0, writeMs: 0 };

interface Job {
  readonly id: number;
  /** null: everything extracted is to be written. */
  readonly work: ExtractJob | null;
  readonly onOpened: () => void;
  readonly end: (failure: CoffreError | null, took: ThreadTimes) => void;
}

class Thread {
  readonly #worker: Worker;
  readonly #target: ThreadedTarget;
  readonly #ended: Promise<void>;
  job: Job | null = null;
  #closed = (): void => {};
  /** Why it is of no use any more. */
  failure: CoffreError | null = null;

  constructor(target: ThreadedTarget, onIdle: () => void) {
    this.#target = target;
    const data: ThreadData = { module: target.module.href, data: target.data };
    this.#worker = new Worker(new URL('./extract-worker.ts', import.meta.url), {
      name: 'extract',
      execArgv: [],
      workerData: data,
      resourceLimits: RESOURCE_LIMITS,
    });
    this.#worker.on('message', (message: FromExtractThread) => {
      if (message.type === 'closed') this.#closed();
      if (message.type === 'closed' || message.job !== this.job?.id) return;
      if (message.type === 'opened') this.job.onOpened();
      else if (message.type === 'admit') this.send({ type: 'admitted', job: message.job, refused: this.#admit(message.members) });
      else {
        this.#end(message.failure && errorOf(message.failure), message.took);
        onIdle();
      }
    });
    const fail = (error: Error): void => {
      this.failure ??= new CoffreError('E_INTERNAL', `an extracting thread stopped: ${error.message}`, { cause: error });
      this.#end(this.failure, NO_TIME);
      onIdle();
    };
    this.#worker.on('error', fail);
    this.#worker.on('messageerror', fail);
    this.#ended = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        fail(new Error(`it ended with status ${code}`));
        resolve();
      });
    });
  }

  send(message: ToExtractThread): void {
    this.#worker.postMessage(message);
  }

  begin(job: Job): void {
    this.job = job;
    this.send(job.work ? { type: 'extract', job: job.id, work: job.work } : { type: 'finish', job: job.id });
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#closed = resolve;
    });
    // what it started must not outlive it, writing
    this.send({ type: 'close' });
    await Promise.race([closed, this.#ended]);
    await this.#worker.terminate();
    await this.#ended;
  }

  #end(failure: CoffreError | null, took: ThreadTimes): void {
    const { job } = this;
    this.job = null;
    job?.end(failure, took);
  }

  #admit(members: Parameters<ThreadedTarget['admit']>[0]): Failure | null {
    try {
      this.#target.admit(members);
      return null;
    } catch (error) {
      const { code, message, hint } = asCoffreError(error);
      return { code, message, hint: hint ?? null };
    }
  }
}

export class ExtractPool {
  readonly #target: ThreadedTarget;
  readonly #threads: Thread[] = [];
  readonly #waiting: Job[] = [];
  #nextJob = 1;
  #closing: Promise<void> | null = null;
  /** How many segments are extracted at once, at most. */
  readonly size: number;

  /** Starts no thread yet. */
  constructor(target: ThreadedTarget, size = Math.min(MOST_THREADS, Math.max(2, availableParallelism()))) {
    this.#target = target;
    this.size = size;
  }

  /** Starts all threads, for work that is sure to come: they load what they need while others find out which. */
  start(): void {
    while (this.#threads.length < this.size) this.#add();
  }

  /**
   * Resolves when the target has taken the segment, with how long that took a thread; it is written for certain only after `finish`. `onOpened`: its `stored` may be used again; called once in any case, at the end at the latest.
   * Throws as the target's `extract` and `openInto` do, E_INTERNAL when a thread died, the signal's reason once nothing writes any more.
   */
  async extract(work: ExtractJob, signal: AbortSignal, onOpened: () => void): Promise<ThreadTimes> {
    let opened = false;
    const open = (): void => {
      if (!opened) onOpened();
      opened = true;
    };
    try {
      return await this.#run(signal, (id, end) => {
        this.#waiting.push({ id, work, onOpened: open, end });
        this.#assign();
      });
    } finally {
      open();
    }
  }

  /** After all segments: resolves when they are written. Throws as `extract` does: what went wrong last is only known now. */
  async finish(signal: AbortSignal): Promise<readonly ThreadTimes[]> {
    const busy = this.#waiting.length > 0 || this.#threads.some((thread) => thread.job !== null);
    if (busy) throw new CoffreError('E_INTERNAL', 'segments are still being extracted');
    return await Promise.all(
      this.#threads.map(async (thread) => {
        if (thread.failure) throw thread.failure;
        return await this.#run(signal, (id, end) => thread.begin({ id, work: null, onOpened: () => {}, end }));
      }),
    );
  }

  async #run(signal: AbortSignal, begin: (id: number, end: Job['end']) => void): Promise<ThreadTimes> {
    signal.throwIfAborted();
    if (this.#closing) throw new CoffreError('E_INTERNAL', 'the extracting threads have ended');
    const id = this.#nextJob++;
    const onAbort = (): void => {
      const at = this.#waiting.findIndex((job) => job.id === id);
      if (at >= 0) this.#waiting.splice(at, 1)[0]?.end(null, NO_TIME);
      this.#threads.find((thread) => thread.job?.id === id)?.send({ type: 'stop', job: id });
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const { failure, took } = await new Promise<{ failure: CoffreError | null; took: ThreadTimes }>((resolve) =>
        begin(id, (failure, took) => resolve({ failure, took })),
      );
      signal.throwIfAborted();
      if (failure) throw failure;
      return took;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Ends the threads; what they were extracting fails. Idempotent. */
  async close(): Promise<void> {
    this.#closing ??= this.#end();
    await this.#closing;
  }

  async #end(): Promise<void> {
    for (const job of this.#waiting.splice(0)) job.end(new CoffreError('E_INTERNAL', 'the extracting threads have ended'), NO_TIME);
    await Promise.all(this.#threads.map((thread) => thread.stop()));
  }

  #assign(): void {
    while (this.#waiting.length > 0 && !this.#closing) {
      const thread = this.#idleThread();
      if (!thread) return;
      thread.begin(this.#waiting.shift() as Job);
    }
  }

  #idleThread(): Thread | null {
    const usable = this.#threads.filter((thread) => thread.failure === null);
    const idle = usable.find((thread) => thread.job === null);
    if (idle || usable.length >= this.size) return idle ?? null;
    return this.#add();
  }

  #add(): Thread {
    const thread = new Thread(this.#target, () => this.#assign());
    this.#threads.push(thread);
    return thread;
  }
}

function errorOf({ code, message, hint }: Failure): CoffreError {
  return new CoffreError(code, message, hint === null ? {} : { hint });
}

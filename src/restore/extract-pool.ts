// Checks, opens and extracts segments in other threads: this one only fetches them.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { asCoffreError, CoffreError } from '../errors.ts';
import type { ThreadedTarget } from '../target/target.ts';
import type { ExtractJob, Failure, FromExtractThread, ThreadData, ToExtractThread } from './extract-messages.ts';

/** Each holds one plaintext, and the shop's server wants to run too. */
const MOST_THREADS = 3;
/**
 * Old and young generation of a thread: besides buffers it holds the names in one segment, which must not outlive a young generation that is
 * too small for them, or the old one is marked for each segment.
 */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 8 };

interface Job {
  readonly id: number;
  readonly work: ExtractJob;
  readonly onOpened: () => void;
  readonly end: (failure: CoffreError | null) => void;
}

class Thread {
  readonly #worker: Worker;
  readonly #target: ThreadedTarget;
  readonly #ended: Promise<void>;
  job: Job | null = null;
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
      if (message.job !== this.job?.id) return;
      if (message.type === 'opened') this.job.onOpened();
      else if (message.type === 'admit') this.send({ type: 'admitted', job: message.job, refused: this.#admit(message.members) });
      else {
        this.#end(message.failure && errorOf(message.failure));
        onIdle();
      }
    });
    const fail = (error: Error): void => {
      this.failure ??= new CoffreError('E_INTERNAL', `an extracting thread stopped: ${error.message}`, { cause: error });
      this.#end(this.failure);
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

  async stop(): Promise<void> {
    await this.#worker.terminate();
    await this.#ended;
  }

  #end(failure: CoffreError | null): void {
    const { job } = this;
    this.job = null;
    job?.end(failure);
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
  #closed = false;
  /** How many segments are extracted at once, at most. */
  readonly size: number;

  /** Starts no thread yet. */
  constructor(target: ThreadedTarget, size = Math.min(MOST_THREADS, Math.max(2, availableParallelism()))) {
    this.#target = target;
    this.size = size;
  }

  /**
   * Resolves when the segment is in the target. `onOpened`: its `stored` may be used again; called once in any case, at the end at the latest.
   * Throws as the target's `extract` and `openInto` do, E_INTERNAL when a thread died, the signal's reason once nothing writes any more.
   */
  async extract(work: ExtractJob, signal: AbortSignal, onOpened: () => void): Promise<void> {
    let opened = false;
    const open = (): void => {
      if (!opened) onOpened();
      opened = true;
    };
    const id = this.#nextJob++;
    const onAbort = (): void => {
      const at = this.#waiting.findIndex((job) => job.id === id);
      if (at >= 0) this.#waiting.splice(at, 1)[0]?.end(null);
      this.#threads.find((thread) => thread.job?.id === id)?.send({ type: 'stop', job: id });
    };
    try {
      signal.throwIfAborted();
      if (this.#closed) throw new CoffreError('E_INTERNAL', 'the extracting threads have ended');
      const ended = new Promise<CoffreError | null>((resolve) => {
        this.#waiting.push({ id, work, onOpened: open, end: resolve });
      });
      signal.addEventListener('abort', onAbort, { once: true });
      this.#assign();
      const failure = await ended;
      signal.throwIfAborted();
      if (failure) throw failure;
    } finally {
      signal.removeEventListener('abort', onAbort);
      open();
    }
  }

  /** Ends the threads; what they were extracting fails. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const job of this.#waiting.splice(0)) job.end(new CoffreError('E_INTERNAL', 'the extracting threads have ended'));
    await Promise.all(this.#threads.map((thread) => thread.stop()));
  }

  #assign(): void {
    while (this.#waiting.length > 0 && !this.#closed) {
      const thread = this.#idleThread();
      if (!thread) return;
      const job = this.#waiting.shift() as Job;
      thread.job = job;
      thread.send({ type: 'extract', job: job.id, work: job.work });
    }
  }

  #idleThread(): Thread | null {
    const usable = this.#threads.filter((thread) => thread.failure === null);
    const idle = usable.find((thread) => thread.job === null);
    if (idle || usable.length >= this.size) return idle ?? null;
    const thread = new Thread(this.#target, () => this.#assign());
    this.#threads.push(thread);
    return thread;
  }
}

function errorOf({ code, message, hint }: Failure): CoffreError {
  return new CoffreError(code, message, hint === null ? {} : { hint });
}

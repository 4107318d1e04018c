// Seals segments in worker threads: compressing, encrypting and hashing cost the thread that reads and sends nothing but one copy.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { type Clock, settledWithin, systemClock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import type { ThreadWork } from '../source/source.ts';
import { abortable } from './abortable.ts';
import { beginAge } from './age.ts';
import { LARGEST_ROOM_BYTES, roomBytes } from './frame-sealer.ts';
import type { Overflow, SealedOrSpilled, SealOptions } from './seal.ts';
import type { FromWorker, ToWorker } from './seal-messages.ts';
import { FRAME_BYTES } from './zstd.ts';

/** More threads would wait for each other's memory, and the shop's server wants to run too. */
const MOST_THREADS = 4;
/** Pieces of one job that were sent and not yet given back: one being sealed, one that waits, so that no thread waits for us. */
const PIECES_UNDER_WAY = 2;
/**
 * Large buffers that are kept for objects to come: as many as there may ever be at once. One that is let go lives on until both
 * threads that knew it have collected their garbage, and meanwhile another one is made.
 */
const MOST_ROOMS = 8;
/** Old and young generation of a thread: it holds buffers, hardly any objects. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 };

/** A thread that was told to drop a job, or to end, has this long. One that was only slow ends by itself then. */
const ANSWERS_WITHIN_MS = 10_000;

type Answer = Extract<FromWorker, { type: 'sealed' }>;

class Job {
  readonly id: number;
  /** Aborts when nothing will come of it any more, with the reason. */
  readonly stop = new AbortController();
  readonly sealed: Promise<Answer>;
  readonly dropped: Promise<void>;
  /** Pieces that were sent and did not come back yet. */
  underWay = 0;
  /** Called with what the thread's own packing returned. */
  packed: (result: unknown) => void = () => {};
  seal: (answer: Answer) => void = () => {};
  drop: () => void = () => {};
  /** Called when a piece came back, or none will. */
  wake: () => void = () => {};

  constructor(id: number) {
    this.id = id;
    this.sealed = new Promise((resolve, reject) => {
      this.seal = resolve;
      this.stop.signal.addEventListener('abort', () => reject(this.stop.signal.reason), { once: true });
    });
    this.sealed.catch(() => {});
    this.dropped = new Promise((resolve) => {
      this.drop = resolve;
    });
  }

  fail(reason: unknown): void {
    this.stop.abort(reason);
    this.wake();
  }
}

/** One worker with its jobs. */
class Thread {
  readonly jobs = new Map<number, Job>();
  readonly #worker: Worker;
  readonly #onBuffer: (buffer: SharedArrayBuffer) => void;
  /** Why it is of no use any more. */
  failure: CoffreError | null = null;
  #abandoned = false;
  readonly ended: Promise<void>;

  constructor(script: URL, onBuffer: (buffer: SharedArrayBuffer) => void, onEnd: (thread: Thread) => void) {
    this.#onBuffer = onBuffer;
    this.#worker = new Worker(script, { name: 'seal', execArgv: [], resourceLimits: RESOURCE_LIMITS });
    this.#worker.on('message', (message: FromWorker) => this.#hear(message));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('messageerror', (error) => this.#fail(error));
    this.ended = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        this.#fail(new Error(`it ended with status ${code}`));
        onEnd(this);
        resolve();
      });
    });
  }

  send(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
    await this.ended;
  }

  /** Why it was abandoned; null: it was not. */
  get stuck(): CoffreError | null {
    return this.#abandoned ? this.failure : null;
  }

  /**
   * It hangs in the kernel and cannot be ended before that answers. Nobody waits for it; should it come back, what it says is not heard
   * and the memory that it holds not used again.
   */
  abandon(failure: CoffreError): void {
    this.#abandoned = true;
    this.failure = failure;
    this.#fail(failure);
    this.#worker.terminate().catch(() => {});
  }

  #hear(message: FromWorker): void {
    if (this.#abandoned) return;
    if (message.type === 'taken') this.#onBuffer(message.buffer);
    const job = this.jobs.get(message.job);
    if (!job) return;
    switch (message.type) {
      case 'taken':
        job.underWay--;
        job.wake();
        return;
      case 'packed':
        job.packed(message.result);
        return;
      case 'sealed':
        this.jobs.delete(job.id);
        job.seal(message);
        // stopped while this was on its way: the thread has forgotten it, and the answer to our drop will find nobody
        job.drop();
        return;
      case 'failed':
        job.fail(errorOf(message));
        return;
      case 'dropped':
        this.jobs.delete(job.id);
        job.drop();
        return;
    }
  }

  #fail(error: Error): void {
    this.failure ??= new CoffreError('E_INTERNAL', `a sealing thread stopped: ${error.message}`, { cause: error });
    for (const job of this.jobs.values()) {
      job.fail(this.failure);
      job.drop();
    }
    this.jobs.clear();
  }
}

export interface SealPoolOptions {
  /** Default: one for each core, at most 4. */
  readonly threads?: number;
  /** Another script than seal-worker.ts: for tests. */
  readonly script?: URL;
  readonly clock?: Clock;
  readonly answersWithinMs?: number;
}

export class SealPool {
  readonly #size: number;
  readonly #script: URL;
  readonly #clock: Clock;
  readonly #answersWithinMs: number;
  #stuck: CoffreError | null = null;
  readonly #threads = new Set<Thread>();
  /** Buffers of FRAME_BYTES that came back: their pages are there already. */
  readonly #idle: SharedArrayBuffer[] = [];
  /** Buffers in which sealed objects lay. */
  readonly #rooms: SharedArrayBuffer[] = [];
  readonly #given = new WeakSet<ArrayBufferLike>();
  #nextJob = 1;
  #closed = false;

  /** Starts no thread yet: a run that seals nothing large needs none. */
  constructor(options: SealPoolOptions = {}) {
    this.#size = options.threads ?? Math.min(MOST_THREADS, availableParallelism());
    this.#script = options.script ?? new URL('./seal-worker.ts', import.meta.url);
    this.#clock = options.clock ?? systemClock;
    this.#answersWithinMs = options.answersWithinMs ?? ANSWERS_WITHIN_MS;
  }

  /** E_FILES_STUCK once a thread did not come back from its own packing; it is left behind until the process ends. */
  get stuck(): CoffreError | null {
    return this.#stuck;
  }

  /** Threads that run now. */
  get threads(): number {
    return this.#threads.size;
  }

  /**
   * What `sealOrSpill` gives, made elsewhere. `work` gives the beginning of the plaintext, in the thread itself; then chunks of `plaintext` are copied into pieces of FRAME_BYTES, each of which becomes one zstd frame.
   * Takes no more of `plaintext` than a few pieces beyond what is sealed. Throws E_KEY, the source's errors, the signal's reason,
   * E_STATE_SPACE and E_STATE when the overflow file cannot be written, E_INTERNAL when the thread died, E_FILES_STUCK when, told to stop, it did not.
   */
  async seal(
    plaintext: AsyncIterable<Uint8Array>,
    options: SealOptions,
    overflow: Overflow,
    work: ThreadWork | null = null,
  ): Promise<SealedOrSpilled> {
    const { recipients, signal, estimatedBytes } = options;
    signal?.throwIfAborted();
    const age = recipients === 'none' ? null : await beginAge(recipients);
    signal?.throwIfAborted();
    const thread = this.#thread();
    const job = new Job(this.#nextJob++);
    thread.jobs.set(job.id, job);
    const estimate = estimatedBytes === undefined ? {} : { estimatedBytes };
    let piece: SharedArrayBuffer | null = null;
    const onAbort = (): void => job.fail(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const room = roomBytes(estimatedBytes ?? 0) === LARGEST_ROOM_BYTES ? this.#rooms.pop() : undefined;
      thread.send({ type: 'begin', job: job.id, options: { age, overflow, ...estimate, ...(room ? { room } : {}) } });
      if (work !== null) await this.#pack(thread, job, work);
      let used = 0;
      for await (const chunk of abortable(plaintext, job.stop.signal)) {
        for (let at = 0; at < chunk.length; ) {
          piece ??= await this.#room(job);
          const bytes = Math.min(chunk.length - at, FRAME_BYTES - used);
          new Uint8Array(piece, used, bytes).set(chunk.subarray(at, at + bytes));
          at += bytes;
          used += bytes;
          if (used < FRAME_BYTES) continue;
          this.#send(thread, job, piece, used);
          piece = null;
          used = 0;
        }
      }
      if (piece !== null) {
        if (used > 0) this.#send(thread, job, piece, used);
        else this.#idle.push(piece);
        piece = null;
      }
      thread.send({ type: 'end', job: job.id });
      const { stored, facts } = await job.sealed;
      if (stored !== null) this.#given.add(stored);
      return { stored: stored === null ? null : Buffer.from(stored, 0, facts.storedBytes), facts };
    } catch (error) {
      if (piece !== null) this.#idle.push(piece);
      if (thread.jobs.has(job.id)) {
        thread.send({ type: 'drop', job: job.id });
        if (!(await settledWithin(job.dropped, this.#answersWithinMs, this.#clock))) this.#abandon(thread, error);
      }
      throw thread.stuck ?? error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** The thread's own packing, to its end. */
  async #pack(thread: Thread, job: Job, work: ThreadWork): Promise<void> {
    const packed = new Promise<unknown>((resolve, reject) => {
      job.packed = resolve;
      job.stop.signal.addEventListener('abort', () => reject(job.stop.signal.reason), { once: true });
    });
    job.stop.signal.throwIfAborted();
    thread.send({ type: 'pack', job: job.id, module: work.module, input: work.input });
    work.done(await packed);
  }

  /** Takes back the memory of an object that nobody reads any more, or ever will: the next one goes there. Leaves alone what it did not give. */
  recycle(stored: Buffer): void {
    const { buffer } = stored;
    if (!this.#given.delete(buffer) || this.#closed || this.#rooms.length >= MOST_ROOMS) return;
    if (buffer.byteLength !== LARGEST_ROOM_BYTES) return;
    this.#rooms.push(buffer as SharedArrayBuffer);
  }

  /** Ends the threads; what they were sealing fails. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#idle.length = 0;
    this.#rooms.length = 0;
    await Promise.all(
      [...this.#threads].map(async (thread) => {
        if (!(await settledWithin(thread.stop(), this.#answersWithinMs, this.#clock))) this.#abandon(thread, null);
      }),
    );
  }

  #abandon(thread: Thread, cause: unknown): void {
    this.#stuck ??= new CoffreError('E_FILES_STUCK', 'a thread hangs in the kernel over the files of the shop: it is left behind', {
      cause,
    });
    thread.abandon(this.#stuck);
    this.#threads.delete(thread);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The least busy thread; a new one while all are busy and there may be more. */
  #thread(): Thread {
    if (this.#closed) throw new CoffreError('E_INTERNAL', 'the sealing threads have ended');
    const usable = [...this.#threads].filter((thread) => thread.failure === null);
    usable.sort((a, b) => a.jobs.size - b.jobs.size);
    const [first] = usable;
    if (first && (first.jobs.size === 0 || usable.length >= this.#size)) return first;
    const thread = new Thread(
      this.#script,
      (buffer) => {
        if (!this.#closed) this.#idle.push(buffer);
      },
      (ended) => this.#threads.delete(ended),
    );
    this.#threads.add(thread);
    return thread;
  }

  /** An empty piece, when few enough of this job are under way. Throws why the job came to nothing. */
  async #room(job: Job): Promise<SharedArrayBuffer> {
    while (job.underWay >= PIECES_UNDER_WAY && !job.stop.signal.aborted) {
      await new Promise<void>((resolve) => {
        job.wake = resolve;
      });
    }
    job.stop.signal.throwIfAborted();
    return this.#idle.pop() ?? new SharedArrayBuffer(FRAME_BYTES);
  }

  #send(thread: Thread, job: Job, buffer: SharedArrayBuffer, bytes: number): void {
    job.stop.signal.throwIfAborted();
    job.underWay++;
    thread.send({ type: 'piece', job: job.id, buffer, bytes });
  }
}

function errorOf(message: Extract<FromWorker, { type: 'failed' }>): CoffreError {
  if (message.code !== null) return new CoffreError(message.code, message.message);
  const full = message.system === 'ENOSPC' || message.system === 'EDQUOT';
  if (message.system !== null) return new CoffreError(full ? 'E_STATE_SPACE' : 'E_STATE', `a scratch file: ${message.message}`);
  return new CoffreError('E_INTERNAL', `sealing: ${message.message}`);
}

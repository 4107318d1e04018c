// Where the two halves of a restore in place wait for each other: nothing takes its place before all of it is loaded and checked.
import type { Clock } from '../clock.ts';
import type { BytePath, FileEntry, SourceKind } from '../source/source.ts';
import type { FilesTarget, HeldDatabase, IncomingSegment, ThreadedTarget, WantedMember } from '../target/target.ts';

export interface TurnSteps {
  /** All is loaded and checked, nothing has its place. Runs to its end, whoever is told to stop meanwhile. */
  everythingReady(): Promise<void>;
  /** The database is the new one; the files come next. */
  databaseSwapped(): Promise<void>;
}

/** The database goes first: its swap can fail and leave all as it was. */
export class Turn {
  readonly #awaited: Set<SourceKind>;
  readonly #withDatabase: boolean;
  readonly #steps: TurnSteps;
  readonly #ready = Promise.withResolvers<void>();
  readonly #swapped = Promise.withResolvers<void>();
  #begun: Promise<void> | null = null;

  constructor(sources: readonly { readonly source: SourceKind }[], steps: TurnSteps) {
    this.#awaited = new Set(sources.map(({ source }) => source));
    this.#withDatabase = this.#awaited.has('database');
    this.#steps = steps;
    this.#ready.promise.catch(() => {});
    this.#swapped.promise.catch(() => {});
  }

  /** Resolves when it is this source's turn. Throws what the steps throw, and the signal's reason. */
  async wait(source: SourceKind, signal: AbortSignal): Promise<void> {
    // nothing begins for one that is told to stop
    signal.throwIfAborted();
    this.#awaited.delete(source);
    if (this.#awaited.size === 0) {
      this.#begun = this.#steps.everythingReady();
      this.#begun.then(this.#ready.resolve, this.#ready.reject);
    }
    const turn = source === 'files' && this.#withDatabase ? this.#swapped.promise : this.#ready.promise;
    try {
      await Promise.race([turn, aborted(signal)]);
      signal.throwIfAborted();
    } catch (error) {
      // what it closes and writes down is not to come after whoever opens the shop again
      await this.#begun?.catch(() => {});
      throw error;
    }
  }

  async databaseSwapped(): Promise<void> {
    await this.#steps.databaseSwapped();
    this.#swapped.resolve();
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

/** A clock for measuring one half: it stands while that half waits for the other. */
export class StandingClock {
  readonly clock: Clock;
  #stoodMs = 0;
  readonly #inner: Clock;

  constructor(inner: Clock) {
    this.#inner = inner;
    this.clock = { ...inner, monotonicMs: () => inner.monotonicMs() - this.#stoodMs };
  }

  async standing<T>(work: () => Promise<T>): Promise<T> {
    const startedMs = this.#inner.monotonicMs();
    try {
      return await work();
    } finally {
      this.#stoodMs += this.#inner.monotonicMs() - startedMs;
    }
  }
}

/** The same database, whose swap waits for `turn`; `swapped` is called once the new tables are in. */
export function waitingDatabase(inner: HeldDatabase, turn: () => Promise<void>, swapped: () => Promise<void>): HeldDatabase {
  const publish = inner.publish.bind(inner);
  return Object.assign(inner, {
    publish: async (): Promise<void> => {
      await turn();
      await publish();
      await swapped();
    },
  });
}

export interface WaitingFilesOptions {
  /** Called with the staged folders once all but the directories was extracted, before anything has its place. */
  readonly arrange: (staged: readonly string[]) => Promise<void>;
  readonly turn: () => Promise<void>;
  /** What `arrange` may have changed: not compared with the snapshot. */
  readonly arranged: ReadonlySet<BytePath>;
}

/** Files that are put in place when it is their turn: at the tail where that is by renames, at the end where the whole tree is swapped. */
export class WaitingFiles implements FilesTarget {
  readonly dropsPrivileges: boolean;
  readonly comparesBesideTail = false;
  /** From `prepare` on, where there are any. */
  threads?: ThreadedTarget;
  readonly #inner: FilesTarget;
  readonly #options: WaitingFilesOptions;
  #readied: Promise<void> | null = null;

  constructor(inner: FilesTarget, options: WaitingFilesOptions) {
    this.#inner = inner;
    this.#options = options;
    this.dropsPrivileges = inner.dropsPrivileges ?? false;
  }

  async prepare(snapshot: string): Promise<{ readonly everythingMissing: boolean }> {
    const prepared = await this.#inner.prepare(snapshot);
    if (this.#inner.threads) this.threads = this.#inner.threads;
    return prepared;
  }

  missing(entries: AsyncIterable<FileEntry>): AsyncIterable<FileEntry> {
    return this.#inner.missing(entries);
  }

  async extract(segment: IncomingSegment, members: readonly WantedMember[] | null, signal: AbortSignal): Promise<void> {
    if (segment.phase === 'tail') await this.#ready();
    await this.#inner.extract(segment, members, signal);
  }

  async compare(entries: AsyncIterable<FileEntry>): Promise<readonly string[]> {
    await this.#ready();
    const { arranged } = this.#options;
    async function* others(): AsyncGenerator<FileEntry> {
      for await (const entry of entries) if (!arranged.has(entry.path)) yield entry;
    }
    return await this.#inner.compare(others());
  }

  async publish(): Promise<void> {
    if (!this.#inner.publish) return;
    await this.#options.turn();
    await this.#inner.publish();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  #ready(): Promise<void> {
    this.#readied ??= (async () => {
      await this.#options.arrange(this.#inner.staged ?? []);
      if (!this.#inner.publish) await this.#options.turn();
    })();
    return this.#readied;
  }
}

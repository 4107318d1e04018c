// Turns a reading into stored segments: several parts at a time are read and sealed, and each goes to every vault of the run.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { asCoffreError, CoffreError } from '../errors.ts';
import { newId } from '../segment/id.ts';
import type { IndexWriter } from '../segment/index-file.ts';
import { type SealedOrSpilled, sealOrSpill } from '../segment/seal.ts';
import type { SealPool } from '../segment/seal-pool.ts';
import { type Carry, type IndexEntry, LARGE_PART_BYTES, type Part, type Reading, type SourceKind } from '../source/source.ts';
import type { MemoryShare } from './memory.ts';
import type { OnProgress } from './progress.ts';
import type { Candidate, ReuseBase } from './reuse.ts';
import { type Release, Slots } from './slots.ts';
import { newSegment, type RunSegment, type StoreContext, storeLarge, storeSealed } from './store-part.ts';

export interface PackContext extends StoreContext {
  readonly sealing: SealPool;
  readonly reuse: ReuseBase;
  /** Bytes of sealed segments in memory at once, those that are being sealed counted with what they may become. */
  readonly memory: MemoryShare;
  readonly scratchDir: string;
  /** What the last snapshot of this source read; null: there is none. */
  readonly lastPlainBytes: number | null;
  /** Whether after this failure the source is read anew: then what is being stored is stored to its end, for the next reading to find. */
  readonly readAgain: (error: CoffreError) => boolean;
  /** Stops the whole run, for the reason given. */
  readonly abort: (reason: unknown) => void;
  readonly onProgress: OnProgress;
  readonly onStored: (segment: RunSegment) => void;
}

export interface Packed {
  /** In restore order. */
  readonly segments: readonly RunSegment[];
  readonly indexEntries: number;
  readonly plainBytes: number;
}

/** A sealed part beyond this goes to a file, although it was estimated to be small. */
const SPILL_BYTES = LARGE_PART_BYTES + 16 * 1024 * 1024;

/** What streaming a large part takes of the memory: the pieces of a multipart upload, in each vault. */
const LARGE_STREAM_BYTES = 2 * LARGE_PART_BYTES;

/** A source that was told to stop has this long until its reading is closed under it. */
const READERS_END_WITHIN_MS = 5_000;

/** Below this a part is sealed beside everything else: a thread would cost more than it saves. */
const SMALL_PART_BYTES = 1024 * 1024;

/** A database's phases in restore order; `data` and `rows` mix. */
const RANK: Readonly<Record<string, number>> = { pre: 0, data: 1, rows: 1, keys: 2, post: 3 };

/**
 * Reads everything, `reading.parallel` parts at a time. Of each part: its segment is durable and locked in every vault of the run,
 * then its entries are in the journal; so a killed run's journal never names a segment that is not stored. The journal has the order
 * in which the parts were handed out; the entries of a part that is stored while one before it is not are in `ahead` meanwhile, for the
 * next run to find should this one be cut off. When one part fails the others are stopped, and waited for.
 * Throws what the source threw, or the reason of the last vault that left.
 */
export async function packParts(context: PackContext, reading: Reading, index: IndexWriter, ahead: IndexWriter): Promise<Packed> {
  return await new Packing(context, reading, index, ahead).run();
}

class Packing {
  readonly #context: PackContext;
  readonly #reading: Reading;
  readonly #index: IndexWriter;
  readonly #ahead: IndexWriter;
  /** Stops the reading; storing stops with the run's signal. */
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  /** For each item handed out, in that order, what became of it. */
  readonly #places: RunSegment[][] = [];
  readonly #used = new Map<string, RunSegment>();
  readonly #underWay = new Set<Promise<unknown>>();
  /** Parts whose source has not ended yet. */
  readonly #readers = new Set<Promise<void>>();
  #journal: Promise<void> = Promise.resolve();
  /** Items that were handed out, and those of them whose entries are in the journal. */
  #handedOut = 0;
  #journalled = 0;
  #plainBytes = 0;
  #carriedBytes = 0;
  #storedBytes = 0;
  #segments = 0;
  #indexEntries = 0;
  #files = 0;
  #reusedSegments = 0;

  constructor(context: PackContext, reading: Reading, index: IndexWriter, ahead: IndexWriter) {
    this.#context = context;
    this.#reading = reading;
    this.#index = index;
    this.#ahead = ahead;
    this.#signal = AbortSignal.any([context.signal, this.#stop.signal]);
  }

  async run(): Promise<Packed> {
    const { signal } = this.#context;
    try {
      await this.#readAll();
      await this.#journal;
    } catch (error) {
      this.#fail(error);
      // what was read to its end is stored all the same: the next reading, or the next run, takes it up
      await Promise.all(this.#underWay);
      await this.#readersEnded();
      const reason: unknown = signal.aborted ? signal.reason : this.#stop.signal.reason;
      if (!this.#context.readAgain(asCoffreError(reason))) this.#context.abort(reason);
      throw reason;
    }
    return {
      segments: restoreOrder(this.#places.flat(), this.#context.source),
      indexEntries: this.#indexEntries,
      plainBytes: this.#plainBytes,
    };
  }

  /** Hands every item to its own work. Items are asked for one by one, and never while as many parts as allowed are being read. */
  async #readAll(): Promise<void> {
    const reads = new Slots(Math.max(1, this.#reading.parallel));
    const items = this.#reading.items()[Symbol.asyncIterator]();
    let asking: Promise<IteratorResult<Part | Carry>> | null = null;
    try {
      for (;;) {
        const endRead = await reads.acquire(this.#signal);
        asking = items.next();
        const next = await unlessAborted(asking, this.#signal);
        asking = null;
        if (next.done) return;
        if (next.value.type === 'carry') {
          this.#carry(next.value);
          endRead();
          continue;
        }
        const part = next.value;
        const place: RunSegment[] = [];
        this.#places.push(place);
        const stored = this.#pack(part, place, endRead).finally(endRead);
        this.#watch(stored);
        this.#record(stored);
      }
    } finally {
      const returned = items.return?.();
      // a source that is still looking for its next part learns that nobody wants it when the reading is closed
      if (asking === null) await returned;
      else {
        asking.catch(() => {});
        returned?.catch(() => {});
      }
    }
  }

  /** Nothing of this reading goes on when it is over, and whatever fails first fails it. */
  #watch(work: Promise<unknown>): void {
    const ended = work.catch((error: unknown) => this.#fail(error)).finally(() => this.#underWay.delete(ended));
    this.#underWay.add(ended);
  }

  #fail(error: unknown): void {
    const reason = asCoffreError(error);
    if (!this.#stop.signal.aborted) this.#stop.abort(reason);
  }

  #carry(item: Carry): void {
    const place: RunSegment[] = [];
    this.#places.push(place);
    for (const entry of item.entries) {
      this.#reused(this.#candidate(entry.segment), true, place).liveBytes += memberBytes(entry);
      this.#plainBytes += entry.sizeBytes;
      this.#carriedBytes += entry.sizeBytes;
    }
    this.#files += item.entries.length;
    this.#record(Promise.resolve(item.entries));
    this.#progress(item.entries.at(-1)?.path ?? '');
  }

  /** Reads, seals and stores one part. Gives its index entries, once they may be in the journal. */
  async #pack(part: Part, place: RunSegment[], endRead: Release): Promise<IndexEntry[]> {
    const large = part.estimatedBytes > LARGE_PART_BYTES;
    const bytes = large ? LARGE_STREAM_BYTES : Math.max(part.estimatedBytes, SMALL_PART_BYTES);
    const release = await this.#context.memory.acquire(this.#signal, bytes);
    try {
      const segment = large ? await this.#packLarge(part, place, endRead) : await this.#packWhole(part, place, endRead, release);
      this.#progress(part.name);
      const { entries } = part.outcome();
      this.#files += entries.filter((entry) => entry.type !== 'directory').length;
      return entries.map((entry) => this.#placed(entry, segment, place));
    } finally {
      release();
    }
  }

  /** An entry found stored elsewhere keeps that segment. */
  #placed(entry: IndexEntry, segment: string, place: RunSegment[]): IndexEntry {
    if (entry.segment === undefined) {
      // not in this part's place when another part brought it into use
      const own = place.find(({ row }) => row.id === segment) ?? this.#used.get(segment);
      if (own) own.liveBytes += memberBytes(entry);
      return { ...entry, segment };
    }
    this.#reused(this.#candidate(entry.segment), true, place).liveBytes += memberBytes(entry);
    if ('sizeBytes' in entry) this.#plainBytes += entry.sizeBytes;
    return entry;
  }

  #candidate(segment: string | undefined): Candidate {
    const candidate = this.#context.reuse.byId.get(segment ?? '');
    if (!candidate) throw new CoffreError('E_INTERNAL', `an entry names segment ${segment}, which was not offered`);
    return candidate;
  }

  async #packLarge(part: Part, place: RunSegment[], endRead: Release): Promise<string> {
    const segment = await this.#unlessStopped(storeLarge(this.#context, part, this.#read(part, endRead), this.#signal));
    place.push(segment);
    this.#stored(segment);
    return segment.row.id;
  }

  async #packWhole(part: Part, place: RunSegment[], endRead: Release, release: Release): Promise<string> {
    const context = this.#context;
    const spill = join(context.scratchDir, `${newId(context.clock)}.spill`);
    const sealed = await this.#unlessStopped(this.#seal(part, endRead, spill));
    // what is held from here on is what was sealed, as a rule a fraction of what was read
    release(sealed.stored?.length ?? 0);
    if (isNothingNew(part)) {
      await this.#drop(sealed, spill);
      return '';
    }
    const twin = context.reuse.find(part.name, sealed.facts.plainSha256);
    if (twin) {
      this.#reused(twin, false, place).partial = false;
      await this.#drop(sealed, spill);
      return twin.row.id;
    }
    const segment = newSegment(context, part, sealed.facts);
    // what a restorer takes from it stands in no index line: a help for restoring by hand
    segment.partial = part.kind === 'tar' && part.outcome().entries.length === 0;
    place.push(segment);
    this.#segments++;
    const vaults = context.vaults.active.length;
    await storeSealed(context, segment, sealed.stored ?? spill);
    // a vault that left meanwhile may still be sending from it
    if (sealed.stored !== null && segment.copies.size === vaults) context.sealing.recycle(sealed.stored);
    this.#stored(segment);
    return segment.row.id;
  }

  async #drop(sealed: SealedOrSpilled, spill: string): Promise<void> {
    if (sealed.stored === null) await rm(spill);
    else this.#context.sealing.recycle(sealed.stored);
  }

  /** Estimates can be wrong (a file grows, a row is huge): memory stays bounded all the same. */
  async #seal(part: Part, endRead: Release, spill: string): Promise<SealedOrSpilled> {
    const { to, sealing } = this.#context;
    const partial = new AbortController();
    const onStop = (): void => partial.abort(this.#stop.signal.reason);
    if (this.#stop.signal.aborted) onStop();
    this.#stop.signal.addEventListener('abort', onStop, { once: true });
    const ended = (): void => {
      this.#stop.signal.removeEventListener('abort', onStop);
      endRead();
    };
    const signal = AbortSignal.any([this.#context.signal, partial.signal]);
    const options = { recipients: to, signal, estimatedBytes: part.estimatedBytes };
    const overflow = { aboveBytes: SPILL_BYTES, path: spill };
    // what a thread can read it shall read, however small: a file system that hangs must not hold up everybody
    if (part.estimatedBytes < SMALL_PART_BYTES && !part.threadWork) return await sealOrSpill(this.#read(part, ended), options, overflow);
    // whoever is asked about the files may hang with their file system
    const work = part.threadWork ? await unlessAborted(part.threadWork(this.#signal), this.#signal) : null;
    const own = { bytes: 0 };
    const sealed = await sealing.seal(this.#read(part, ended, own), options, overflow, work);
    this.#plainBytes += sealed.facts.plainBytes - own.bytes;
    return sealed;
  }

  /** The part's plaintext; when it ended, the next part may be asked for, although this one is not sealed yet. */
  async *#read(part: Part, endRead: Release, counted = { bytes: 0 }): AsyncGenerator<Uint8Array> {
    const reader = Promise.withResolvers<void>();
    this.#readers.add(reader.promise);
    try {
      for await (const chunk of part.read(this.#signal)) {
        this.#plainBytes += chunk.length;
        counted.bytes += chunk.length;
        this.#progress(part.name);
        yield chunk;
      }
      endRead();
    } finally {
      this.#readers.delete(reader.promise);
      reader.resolve();
    }
  }

  /** Sealing ends at once when it is told to, reading when the source has noticed; one that does not is ended by closing the reading. */
  async #readersEnded(): Promise<void> {
    const enough = new AbortController();
    const patience = this.#context.clock.sleep(READERS_END_WITHIN_MS, enough.signal).catch(() => {});
    await Promise.race([Promise.all(this.#readers), patience]);
    enough.abort();
  }

  /** What a part says once it was told to stop is not the reason why it was. */
  async #unlessStopped<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw this.#signal.aborted ? this.#signal.reason : error;
    }
  }

  #stored(segment: RunSegment): void {
    this.#storedBytes += segment.row.storedBytes;
    this.#context.onStored(segment);
  }

  #reused({ row, copies }: Candidate, partial: boolean, place: RunSegment[]): RunSegment {
    const known = this.#used.get(row.id);
    if (known) return known;
    const segment: RunSegment = { row, fresh: row.runId === this.#context.runId, partial, liveBytes: 0, copies: new Map(copies) };
    this.#used.set(row.id, segment);
    place.push(segment);
    this.#segments++;
    if (!segment.fresh) this.#reusedSegments++;
    return segment;
  }

  /** Journal lines follow the order of the items, whatever the order in which they were stored. */
  #record(stored: Promise<readonly IndexEntry[]>): void {
    const turn = this.#handedOut++;
    const kept = stored.then(async (lines) => {
      // killed now, or failing, this run leaves a segment that the journal does not name: it would be read and sent again
      if (this.#journalled < turn) await this.#ahead.append(lines);
    });
    this.#journal = Promise.all([stored, this.#journal]).then(async ([lines]) => {
      this.#indexEntries += lines.length;
      await this.#index.append(lines);
      this.#journalled++;
    });
    this.#watch(kept);
    this.#watch(this.#journal);
  }

  #progress(current: string): void {
    this.#context.onProgress({
      shop: this.#context.shop,
      source: this.#context.source,
      step: 'read',
      plainBytes: this.#plainBytes,
      carriedBytes: this.#carriedBytes,
      // a shop is about as large as it was: better than a bar without an end
      expectedBytes: this.#reading.expectedBytes ?? this.#context.lastPlainBytes,
      expectedExactly: this.#reading.expectedBytes !== null,
      storedBytes: this.#storedBytes,
      segments: this.#segments,
      reusedSegments: this.#reusedSegments,
      files: this.#files,
      current,
    });
  }
}

/** What a file takes of an archive: its content, two headers and the records of one. */
function memberBytes(entry: IndexEntry): number {
  return 'sizeBytes' in entry ? entry.sizeBytes + 1536 : 0;
}

/** Everything of the part was found stored already: its archive is empty. */
function isNothingNew(part: Part): boolean {
  const { entries } = part.outcome();
  return entries.length > 0 && entries.every((entry) => entry.segment !== undefined);
}

/**
 * Files: older segments first, so that by hand a newer one overwrites, the tail last. Database: by phase, and within one in the order
 * in which the parts were handed out, reused ones in their places.
 */
function restoreOrder(segments: readonly RunSegment[], source: SourceKind): RunSegment[] {
  const rank = (segment: RunSegment): number => RANK[segment.row.phase] ?? 0;
  if (source === 'database') return [...segments].sort((a, b) => rank(a) - rank(b));
  const tail = segments.filter((segment) => segment.row.phase === 'tail');
  const reused = segments.filter((segment) => !segment.fresh && segment.row.phase !== 'tail');
  const fresh = segments.filter((segment) => segment.fresh && segment.row.phase !== 'tail');
  reused.sort((a, b) => (a.row.id < b.row.id ? -1 : 1));
  return [...reused, ...fresh, ...tail];
}

/** Waits for `work`, but no longer than until `signal` aborts: then throws its reason. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort: () => void = () => {};
  try {
    return await Promise.race([
      work,
      new Promise<never>((_, reject) => {
        onAbort = () => reject(signal.reason);
        if (signal.aborted) onAbort();
        else signal.addEventListener('abort', onAbort, { once: true });
      }),
    ]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

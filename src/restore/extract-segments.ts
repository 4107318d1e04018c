// The segments of a tree into their target: fetched ahead within a memory limit, extracted side by side, directories last.
import type { Clock } from '../clock.ts';
import type { ManifestSegment } from '../segment/manifest-types.ts';
import type { FilesTarget, WantedMember } from '../target/target.ts';
import { inParallel } from '../vault/in-parallel.ts';
import { READ_RETRY, retrying } from '../vault/retry.ts';
import type { ExtractPool } from './extract-pool.ts';
import {
  type CopyOrder,
  type FetchedSegment,
  fetchObject,
  fetchStored,
  fromAnyCopy,
  type Identities,
  isStreamed,
  type Problem,
  segmentIn,
} from './fetch.ts';
import type { MembersOf } from './members.ts';
import type { PhaseMeter } from './phases.ts';
import type { RestoreProgress } from './progress.ts';
import { StoredRooms } from './stored-rooms.ts';

export interface ExtractContext {
  readonly clock: Clock;
  readonly identities: Identities;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: RestoreProgress) => void;
  readonly onProblem: (problem: Problem) => void;
  /** Hears where the time goes. */
  readonly phases: PhaseMeter;
}

/** Segments on their way at once where this thread does all of it: one is written while the next one is fetched. */
export const SEGMENTS_IN_FLIGHT = 2;
/** Holds any segment but the few that one large file fills. What of it no segment has needed yet takes no memory. */
const ROOM_BYTES = 36 * 1024 * 1024;
/** Stored bytes that are being fetched, or wait for a thread: with what the threads hold and tar uses, well below 512 MiB. */
const STORED_BYTES_IN_FLIGHT = 2 * ROOM_BYTES;
/** Segments fetched while others are written. */
const READ_AHEAD = 2;

/**
 * Extracts what `members` names of `segments`. Resolves when all but the directories is written, with a function that writes these. Both throw
 * target, vault and integrity codes, and the signal's reason: when they end, nothing writes any more. `pool`, of the target's threads, is
 * closed in the end.
 */
export async function extractSegments(
  context: ExtractContext,
  order: CopyOrder,
  target: FilesTarget,
  segments: readonly ManifestSegment[],
  members: MembersOf,
  pool: ExtractPool | null,
): Promise<() => Promise<void>> {
  const workers = pool?.size ?? SEGMENTS_IN_FLIGHT;
  const meter = new SegmentMeter(context.onProgress, segments);
  const wantedOf = (segment: ManifestSegment): readonly WantedMember[] | null => members.get(segment.id) ?? null;
  const { clock, identities, signal, onProblem } = context;
  const extractHere = async (segment: ManifestSegment, phases: PhaseMeter | null): Promise<void> => {
    await fromAnyCopy(order, segment.key, signal, onProblem, async (copy) => {
      const object = segmentIn(copy, segment.id);
      const { name } = copy.vault;
      const fetch = (): Promise<FetchedSegment> => fetchObject(copy, object, identities, signal);
      const streamed = isStreamed(segment);
      const { plaintext, unverified } = await (phases === null || streamed ? fetch() : phases.download(name, object.storedBytes, fetch));
      const opening = { ms: 0 };
      const counted =
        phases === null
          ? plaintext
          : streamed
            ? phases.downloading(name, object.storedBytes, plaintext)
            : phases.opening(object.plainBytes, plaintext, opening);
      const startedMs = clock.monotonicMs();
      const incoming = { id: segment.id, phase: segment.phase, plaintext: counted, unverified };
      await target.extract(incoming, wantedOf(segment), signal);
      const tookMs = clock.monotonicMs() - startedMs - opening.ms;
      // one that streams is alone: no other worker works meanwhile
      phases?.work('write', streamed ? tookMs * workers : tookMs, object.plainBytes);
    });
    meter.done(segment);
  };
  // Segments of different snapshots never hold the same live path, so their order is free; directories come last.
  const body = segments.filter((segment) => segment.phase !== 'tail');
  const inMemory = body.filter((segment) => !isStreamed(segment));
  if (pool) {
    await extractInThreads(context, order, pool, inMemory, wantedOf, (segment) => meter.done(segment));
  } else {
    await inParallel(inMemory, SEGMENTS_IN_FLIGHT, (segment) => extractHere(segment, context.phases));
  }
  // One at a time: each holds a connection open for as long as it takes to write.
  for (const segment of body.filter(isStreamed)) await extractHere(segment, context.phases);
  return async () => {
    for (const segment of segments.filter((segment) => segment.phase === 'tail')) await extractHere(segment, null);
    meter.check();
  };
}

async function extractInThreads(
  { clock, identities, signal, onProblem, phases }: ExtractContext,
  order: CopyOrder,
  pool: ExtractPool,
  segments: readonly ManifestSegment[],
  wantedOf: (segment: ManifestSegment) => readonly WantedMember[] | null,
  onDone: (segment: ManifestSegment) => void,
): Promise<void> {
  const rooms = new StoredRooms(STORED_BYTES_IN_FLIGHT, ROOM_BYTES);
  // What fails ends the others at once: a vault that hangs must not hold up the news of a full disk.
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  try {
    await inParallel(segments, pool.size + READ_AHEAD, async (segment) => {
      try {
        await fromAnyCopy(order, segment.key, either, onProblem, async (copy) => {
          const object = segmentIn(copy, segment.id);
          const stored = await rooms.take(object.storedBytes, either);
          let fetched = false;
          try {
            const fetch = (): Promise<void> =>
              phases.download(copy.vault.name, object.storedBytes, () => fetchStored(copy, object, stored, either));
            // where there is another vault it is asked instead: this one may be gone
            await (order.copies.length > 1 ? fetch() : retrying(clock, READ_RETRY, fetch, either));
            fetched = true;
          } finally {
            if (!fetched) rooms.give(stored);
          }
          const work = {
            what: `${copy.vault.name}: ${object.key}`,
            expected: factsOf(object),
            identities,
            stored,
            wanted: wantedOf(segment),
          };
          const { openMs, writeMs } = await pool.extract(work, either, () => rooms.give(stored));
          phases.work('open', openMs, object.plainBytes);
          phases.work('write', writeMs, object.plainBytes);
        });
        onDone(segment);
      } catch (error) {
        if (!stop.signal.aborted) stop.abort(error);
        throw error;
      }
    });
    for (const { writeMs } of await pool.finish(either)) phases.work('write', writeMs, 0);
  } catch (error) {
    signal.throwIfAborted();
    throw stop.signal.aborted ? stop.signal.reason : error;
  } finally {
    await pool.close();
  }
}

function factsOf({ plainBytes, plainSha256, storedBytes, storedSha256 }: ManifestSegment) {
  return { plainBytes, plainSha256, storedBytes, storedSha256 };
}

class SegmentMeter {
  readonly #tellProgress: (progress: RestoreProgress) => void;
  readonly #totalBytes: number;
  #doneBytes = 0;

  constructor(tell: (progress: RestoreProgress) => void, segments: readonly ManifestSegment[]) {
    this.#tellProgress = tell;
    this.#totalBytes = segments.reduce((total, segment) => total + segment.plainBytes, 0);
  }

  done(segment: ManifestSegment): void {
    this.#doneBytes += segment.plainBytes;
    this.#tell('segments', segment.name);
  }

  check(): void {
    this.#tell('check', '');
  }

  #tell(step: RestoreProgress['step'], current: string): void {
    this.#tellProgress({ step, doneBytes: this.#doneBytes, totalBytes: this.#totalBytes, doneRows: 0, totalRows: 0, current });
  }
}

// Turns a reading into stored segments: each part is sealed once and goes to every vault of the run under a provisional lock.
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Temporal } from 'temporal-polyfill';
import type { Ledger } from '../billing/ledger.ts';
import type { Catalog } from '../catalog/open.ts';
import { insertSegment, type SegmentRow } from '../catalog/segments.ts';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import { newId } from '../segment/id.ts';
import type { IndexWriter } from '../segment/index-file.ts';
import { segmentKey } from '../segment/layout.ts';
import type { SealedFacts } from '../segment/manifest-types.ts';
import { type SealOptions, sealOrSpill, sealStream } from '../segment/seal.ts';
import { type IndexEntry, LARGE_PART_BYTES, type Part, type Reading, type SourceKind } from '../source/source.ts';
import type { Vault } from '../vault/vault.ts';
import type { OnProgress } from './progress.ts';
import type { Candidate, Copy, ReuseBase } from './reuse.ts';
import { Slots } from './slots.ts';
import { type Stored, storeObject, storeStream } from './store.ts';
import { type Branch, tee } from './tee.ts';
import type { VaultSet } from './vault-set.ts';

export type SealTo = SealOptions['recipients'];

/** A segment of the snapshot in the making. */
export interface RunSegment {
  readonly row: SegmentRow;
  readonly fresh: boolean;
  /** Only some of its members belong to this snapshot. */
  partial: boolean;
  readonly copies: Map<string, Copy>;
}

export interface PackContext {
  readonly catalog: Catalog;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly shop: string;
  readonly source: SourceKind;
  readonly runId: string;
  /** The shop's recipient, or `none` when the configuration says so aloud. */
  readonly to: SealTo;
  readonly vaults: VaultSet;
  readonly reuse: ReuseBase;
  readonly provisionalUntil: Temporal.Instant;
  readonly scratchDir: string;
  /** What the last snapshot of this source read; null: there is none. */
  readonly lastPlainBytes: number | null;
  readonly signal: AbortSignal;
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

/** Sealed segments held in memory at once, each at most about LARGE_PART_BYTES: what bounds a run's memory. */
const SEGMENTS_IN_FLIGHT = 3;

/**
 * Reads everything. After each part: its segment is durable and locked in every vault of the run, then its entries are
 * in the journal; so a killed run's journal never names a segment that is not stored.
 * Throws what the source threw, or the reason of the last vault that left.
 */
export async function packParts(context: PackContext, reading: Reading, index: IndexWriter): Promise<Packed> {
  const { reuse, signal } = context;
  const slots = new Slots(SEGMENTS_IN_FLIGHT);
  const inOrder: RunSegment[] = [];
  const used = new Map<string, RunSegment>();
  let plainBytes = 0;
  let storedBytes = 0;
  let indexEntries = 0;
  let files = 0;
  let reusedSegments = 0;
  let journal: Promise<void> = Promise.resolve();

  const progress = (current: string): void =>
    context.onProgress({
      shop: context.shop,
      source: context.source,
      step: 'read',
      plainBytes,
      // a shop is about as large as it was: better than a bar without an end
      expectedBytes: reading.expectedBytes ?? context.lastPlainBytes,
      storedBytes,
      segments: inOrder.length,
      reusedSegments,
      files,
      current,
    });
  const reused = ({ row, copies }: Candidate, partial: boolean): RunSegment => {
    const known = used.get(row.id);
    if (known) return known;
    const segment: RunSegment = { row, fresh: false, partial, copies: new Map(copies) };
    used.set(row.id, segment);
    inOrder.push(segment);
    reusedSegments++;
    return segment;
  };
  // journal lines follow the order of the parts, whatever the order in which their uploads end
  const record = (stored: Promise<void>, entries: () => readonly IndexEntry[]): void => {
    journal = Promise.all([journal, stored]).then(async () => {
      const lines = entries();
      indexEntries += lines.length;
      await index.append(lines);
    });
    journal.catch((error) => context.abort(error));
  };

  try {
    for await (const item of reading.items()) {
      signal.throwIfAborted();
      if (item.type === 'carry') {
        for (const entry of item.entries) {
          const candidate = reuse.byId.get(entry.segment ?? '');
          if (!candidate) throw new CoffreError('E_INTERNAL', `a carried entry names segment ${entry.segment}, which was not offered`);
          reused(candidate, true);
          plainBytes += entry.sizeBytes;
        }
        files += item.entries.length;
        record(Promise.resolve(), () => item.entries);
        progress(item.entries.at(-1)?.path ?? '');
        continue;
      }
      const part = item;
      const release = await slots.acquire(signal);
      const count = (chunkBytes: number): void => {
        plainBytes += chunkBytes;
        progress(part.name);
      };
      try {
        if (part.estimatedBytes > LARGE_PART_BYTES) {
          const segment = await storeLarge(context, part, count);
          inOrder.push(segment);
          storedBytes += segment.row.storedBytes;
          context.onStored(segment);
          record(Promise.resolve(), () => placed(part.outcome().entries, segment.row.id));
          release();
        } else {
          // estimates can be wrong (a file grows, a row is huge): memory stays bounded all the same
          const overflow = { aboveBytes: SPILL_BYTES, path: join(context.scratchDir, `${newId(context.clock)}.spill`) };
          const options = { recipients: context.to, signal, estimatedBytes: part.estimatedBytes };
          const sealed = await sealOrSpill(counted(part.read(signal), count), options, overflow);
          const outcome = part.outcome();
          const twin = reuse.find(part.name, sealed.facts.plainSha256);
          if (twin) {
            reused(twin, false).partial = false;
            record(Promise.resolve(), () => placed(outcome.entries, twin.row.id));
            if (sealed.stored === null) await rm(overflow.path);
            release();
          } else {
            const row = newRow(context, part, sealed.facts, outcome.load);
            const segment: RunSegment = { row, fresh: true, partial: false, copies: new Map() };
            inOrder.push(segment);
            storedBytes += row.storedBytes;
            // the slot is held until the upload ended: that is what bounds memory
            const upload = storeSealed(context, segment, sealed.stored ?? overflow.path).finally(release);
            upload.then(() => context.onStored(segment)).catch((error) => context.abort(error));
            record(upload, () => placed(outcome.entries, row.id));
          }
        }
      } catch (error) {
        release();
        throw error;
      }
      files += part.outcome().entries.length;
      progress(part.name);
    }
    await journal;
  } catch (error) {
    context.abort(error);
    await journal.catch(() => {});
    await slots.drained();
    throw signal.aborted ? signal.reason : error;
  }
  return { segments: restoreOrder(inOrder, context.source), indexEntries, plainBytes };
}

/**
 * Files: older segments first, so that by hand a newer one overwrites, the tail last. Database: the order of the parts,
 * reused ones in their places.
 */
function restoreOrder(segments: readonly RunSegment[], source: SourceKind): RunSegment[] {
  if (source === 'database') return [...segments];
  const tail = segments.filter((segment) => segment.row.phase === 'tail');
  const reused = segments.filter((segment) => !segment.fresh && segment.row.phase !== 'tail');
  const fresh = segments.filter((segment) => segment.fresh && segment.row.phase !== 'tail');
  reused.sort((a, b) => (a.row.id < b.row.id ? -1 : 1));
  return [...reused, ...fresh, ...tail];
}

function placed(entries: readonly IndexEntry[], segment: string): IndexEntry[] {
  return entries.map((entry) => ({ ...entry, segment }));
}

function newRow(context: PackContext, part: Part, facts: SealedFacts, load: ReturnType<Part['outcome']>['load']): SegmentRow {
  const id = newId(context.clock);
  return {
    id,
    shop: context.shop,
    source: context.source,
    kind: part.kind,
    phase: part.phase,
    name: part.name,
    key: segmentKey(context.shop, id, part.kind, context.to !== 'none'),
    ...facts,
    sealedTo: sealedTo(context.to),
    load: load ? JSON.stringify(load) : null,
    runId: context.runId,
    createdAt: context.clock.nowMs(),
  };
}

/** As the catalog keeps it. */
export function sealedTo(to: SealTo): string {
  return to === 'none' ? 'none' : to.join(' ');
}

/** `body`: the object itself, or the file that it was spilled to, which is removed afterwards. */
async function storeSealed(context: PackContext, segment: RunSegment, body: Buffer | string): Promise<void> {
  const { row } = segment;
  await insertSegment(context.catalog.db, row);
  const base = request(context, row.id, row.key);
  const stored = await context.vaults.each(context.signal, (vault) =>
    typeof body === 'string'
      ? storeStream(context.ledger, vault, base, createReadStream(body), row.storedBytes, () => row)
      : storeObject(context.ledger, context.clock, vault, { ...base, sha256: row.storedSha256 }, body),
  );
  if (typeof body === 'string') await rm(body);
  addCopies(segment, stored);
}

/** A part too large for memory: read once, sealed once, given to every vault at the pace of the slowest. */
async function storeLarge(context: PackContext, part: Part, count: (bytes: number) => void): Promise<RunSegment> {
  const id = newId(context.clock);
  const key = segmentKey(context.shop, id, part.kind, context.to !== 'none');
  const sealing = sealStream(counted(part.read(context.signal), count), { recipients: context.to, signal: context.signal });
  const vaults = context.vaults.active;
  const branches = new Map<string, Branch>();
  tee(sealing.stored, vaults.length).forEach((branch, i) => {
    branches.set((vaults[i] as Vault).name, branch);
  });
  const stored = await context.vaults.each(context.signal, async (vault) => {
    const branch = branches.get(vault.name) as Branch;
    try {
      return await storeStream(context.ledger, vault, request(context, id, key), branch.body, part.estimatedBytes, () => sealing.facts());
    } finally {
      await branch.leave();
    }
  });
  const row: SegmentRow = { ...newRow(context, part, sealing.facts(), part.outcome().load), id, key };
  await insertSegment(context.catalog.db, row);
  const segment: RunSegment = { row, fresh: true, partial: false, copies: new Map() };
  addCopies(segment, stored);
  return segment;
}

function request(context: PackContext, id: string, key: string) {
  return {
    shop: context.shop,
    key,
    kind: 'segment' as const,
    refId: id,
    runId: context.runId,
    retainUntil: context.provisionalUntil,
    signal: context.signal,
  };
}

function addCopies(segment: RunSegment, stored: ReadonlyMap<string, Stored>): void {
  for (const [vault, { objectId, object }] of stored) {
    segment.copies.set(vault, { objectId, versionId: object.versionId, lock: object.lock });
  }
}

async function* counted(chunks: AsyncIterable<Uint8Array>, count: (bytes: number) => void): AsyncIterable<Uint8Array> {
  for await (const chunk of chunks) {
    count(chunk.length);
    yield chunk;
  }
}

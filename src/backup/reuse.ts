// What a run may build on: segments of the newest snapshot in all vaults of the run and of runs that were cut off, pinned before they are relied on.
import { existsSync } from 'node:fs';
import type { Kysely } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import { pinSegments, type SegmentRow } from '../catalog/segments.ts';
import { latestIn, listSnapshots, objectsOf } from '../catalog/snapshots.ts';
import type { Tables } from '../catalog/tables.ts';
import { readIndexLines } from '../segment/index-file.ts';
import { type IndexEntry, isFileEntry, type PreviousIndex, type SourceKind } from '../source/source.ts';
import { isAsStrong } from '../vault/lock-mode.ts';
import type { Lock } from '../vault/vault.ts';
import { aheadPath, indexCopyPath, journalPath } from './state-files.ts';
import type { VaultSet } from './vault-set.ts';

/** A segment of which less is used is not built on. */
const LEAST_LIVE_SHARE = 0.5;

export interface ReuseRules {
  readonly shop: string;
  readonly source: SourceKind;
  readonly runId: string;
  /** fresh: only what cut-off runs left. reread: read everything, keep equal content. increment: skip what did not change. */
  readonly mode: 'fresh' | 'reread' | 'increment';
  /** Vaults of this run: a segment counts only when every one of them holds it. */
  readonly vaults: readonly string[];
  /** As `sealedTo` says: one identity opens the whole of a snapshot, or it is not encrypted at all. */
  readonly sealedTo: string;
  readonly nowMs: number;
  readonly maxAgeMs: number;
  /** A cut-off run is taken up only this long after its start: as long as its provisional locks last. */
  readonly adoptWithinMs: number;
}

/** One vault's copy of a segment. */
export interface Copy {
  readonly objectId: number;
  readonly versionId: string;
  /** As last read back; null when the catalog does not know (an interrupted run's). */
  lock: Lock | null;
}

export interface Candidate {
  readonly row: SegmentRow;
  /** By vault. */
  readonly copies: ReadonlyMap<string, Copy>;
}

/** What was chosen and pinned, not yet confirmed by the vaults. */
export interface Choice {
  readonly rows: readonly SegmentRow[];
  /** Ids of segments that cut-off runs stored and no snapshot of a run that ended well has taken up. */
  readonly left: ReadonlySet<string>;
  /** Runs whose leftovers were considered. */
  readonly interruptedRuns: readonly string[];
  /** The snapshot an increment builds on. */
  readonly baseSnapshot: string | null;
  /** Why it is not the newest, in words: why more is stored than changed; null: it is the newest, or none is looked for. */
  readonly passedOver: string | null;
}

export interface ReuseBase {
  readonly byId: ReadonlyMap<string, Candidate>;
  /** A stored segment with this part name and plaintext, or null. */
  find(name: string, plainSha256: string): Candidate | null;
  /** Indexes for the source to compare with, newest knowledge first. */
  readonly previous: readonly PreviousIndex[];
  /** The source reads every content, and takes from these indexes only what it has found equal. */
  readonly reread: boolean;
  /** As of Choice. */
  readonly left: ReadonlySet<string>;
  readonly interruptedRuns: readonly string[];
  /** As of Choice. */
  readonly passedOver: string | null;
}

/**
 * Chooses and pins in one transaction: from then on prune leaves these segments alone until the run ends, even when
 * their snapshots go.
 */
export async function chooseReuse(catalog: Catalog, rules: ReuseRules): Promise<Choice> {
  return await catalog.transaction(async (tx) => {
    const interrupted = await tx
      .selectFrom('runs')
      .select('id')
      .where('shop', '=', rules.shop)
      .where('source', '=', rules.source)
      .where('kind', '=', 'backup')
      .where('state', 'in', ['interrupted', 'failed', 'cancelled'])
      .where('startedAt', '>=', rules.nowMs - rules.adoptWithinMs)
      .orderBy('id', 'desc')
      .execute();
    // Not the newest good one: while a vault is away, or a file unreadable, none is good, and each increment would store all anew.
    const base = rules.mode === 'fresh' ? null : await latestIn(catalog, rules.shop, rules.source, rules.vaults, tx);
    const interruptedRuns = interrupted.map((run) => run.id);
    let candidates = tx
      .selectFrom('segments')
      .selectAll('segments')
      .where('segments.shop', '=', rules.shop)
      .where('segments.source', '=', rules.source)
      .where('segments.createdAt', '>=', rules.nowMs - rules.maxAgeMs)
      // a clock that was set back leaves segments of the future, whose age nobody knows
      .where('segments.createdAt', '<=', rules.nowMs)
      .where('segments.sealedTo', '=', rules.sealedTo);
    candidates = candidates.where((eb) => {
      const inBase = eb.exists(
        eb
          .selectFrom('snapshotSegments')
          .select('snapshotSegments.segmentId')
          .whereRef('snapshotSegments.segmentId', '=', 'segments.id')
          .where('snapshotSegments.snapshotId', '=', base?.id ?? ''),
      );
      return interruptedRuns.length > 0 ? eb.or([eb('segments.runId', 'in', interruptedRuns), inBase]) : inBase;
    });
    for (const vault of rules.vaults) {
      candidates = candidates.where((eb) =>
        eb.exists(
          eb
            .selectFrom('objects')
            .select('objects.id')
            .whereRef('objects.refId', '=', 'segments.id')
            .where('objects.kind', '=', 'segment')
            .where('objects.state', '=', 'stored')
            .where('objects.vault', '=', vault),
        ),
      );
    }
    const dead = new Set(base === null ? [] : await mostlyDead(tx, base.id));
    const found = rules.vaults.length === 0 ? [] : await candidates.orderBy('segments.id', 'desc').execute();
    // taken up by a run that ended well, it is that one's: a full archive stores everything anew beside it
    const left = await leftovers(tx, interruptedRuns);
    const rows = found.filter((row) => !dead.has(row.id) && (rules.mode !== 'fresh' || left.has(row.id)));
    await pinSegments(
      tx,
      rules.runId,
      rows.map((row) => row.id),
    );
    const passedOver = rules.mode === 'fresh' ? null : await whyPassedOver(catalog, rules, base?.id ?? null, tx);
    return { rows, left, interruptedRuns, baseSnapshot: base?.id ?? null, passedOver };
  });
}

async function leftovers(tx: Kysely<Tables>, interruptedRuns: readonly string[]): Promise<ReadonlySet<string>> {
  if (interruptedRuns.length === 0) return new Set();
  const rows = await tx
    .selectFrom('segments')
    .select('segments.id')
    .where('segments.runId', 'in', interruptedRuns)
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('snapshotSegments')
            .select('snapshotSegments.segmentId')
            .whereRef('snapshotSegments.segmentId', '=', 'segments.id')
            .where('snapshotSegments.snapshotId', 'not in', interruptedRuns),
        ),
      ),
    )
    .execute();
  return new Set(rows.map(({ id }) => id));
}

/** What was found wrong with the newest snapshot, if that is why `base` is another. A vault that simply lacks it is told elsewhere. */
async function whyPassedOver(catalog: Catalog, rules: ReuseRules, base: string | null, tx: Kysely<Tables>): Promise<string | null> {
  const [newest] = await listSnapshots(catalog, { shop: rules.shop, source: rules.source }, tx);
  const bad = newest?.copies.find((copy) => copy.verifyError !== null && rules.vaults.includes(copy.vault));
  if (!newest || !bad || newest.id === base) return null;
  const instead = base === null ? 'everything is stored anew' : `snapshot ${base} is`;
  return `snapshot ${newest.id} is damaged in vault ${bad.vault} (${bad.verifyError}) and not built on: ${instead}`;
}

/**
 * Of the segments of a snapshot those that it uses less than half of: what is alive in them is stored anew, so that no restore fetches more
 * dead bytes than live ones for long.
 */
async function mostlyDead(tx: Kysely<Tables>, snapshot: string): Promise<string[]> {
  const rows = await tx
    .selectFrom('snapshotSegments')
    .innerJoin('segments', 'segments.id', 'snapshotSegments.segmentId')
    .select(['segments.id', 'segments.plainBytes', 'snapshotSegments.liveBytes'])
    .where('snapshotSegments.snapshotId', '=', snapshot)
    .where('segments.phase', '=', 'files')
    .execute();
  return rows.filter(({ liveBytes, plainBytes }) => liveBytes !== null && liveBytes < plainBytes * LEAST_LIVE_SHARE).map(({ id }) => id);
}

/**
 * Asks every vault whether it still holds what was chosen (one listing each) and leaves out what it does not: a segment that
 * somebody removed must be stored anew, not be relied on. A vault that cannot list leaves the run.
 */
export async function confirmCopies(
  catalog: Catalog,
  rules: Pick<ReuseRules, 'shop' | 'source' | 'mode'>,
  choice: Choice,
  vaults: VaultSet,
  signal: AbortSignal,
  onMissing: (vault: string, key: string) => void,
): Promise<ReuseBase> {
  const confirmed = new Map(choice.rows.map((row) => [row.id, { row, copies: new Map<string, Copy>() }]));
  if (choice.rows.length > 0) {
    await vaults.each(signal, async (vault) => {
      const there = new Map<string, number>();
      for await (const version of vault.listVersions(`${rules.shop}/segments/`)) {
        if (!version.isDeleteMarker) there.set(`${version.key}\0${version.versionId}`, version.sizeBytes);
      }
      const ids = choice.rows.map((row) => row.id);
      for (const object of await objectsOf(catalog, vault.name, ids, 'segment')) {
        const candidate = confirmed.get(object.refId ?? '');
        if (!candidate || object.versionId === null) continue;
        if (there.get(`${object.key}\0${object.versionId}`) !== candidate.row.storedBytes) {
          onMissing(vault.name, object.key);
          continue;
        }
        const lock = lockOf(object);
        // no extension changes a lock's mode: under a weaker one than the vault has by now it must be stored anew
        if (lock && !isAsStrong(lock.mode, vault.lockMode)) continue;
        candidate.copies.set(vault.name, { objectId: object.id, versionId: object.versionId, lock });
      }
    });
  }
  const byId = new Map<string, Candidate>();
  const byContent = new Map<string, Candidate>();
  // rows come newest first: of equal segments the youngest serves, so that its maximum age is reached as late as possible
  for (const candidate of confirmed.values()) {
    if (!vaults.active.every((vault) => candidate.copies.has(vault.name))) continue;
    byId.set(candidate.row.id, candidate);
    const content = `${candidate.row.name}\0${candidate.row.plainSha256}`;
    if (!byContent.has(content)) byContent.set(content, candidate);
  }
  const previous: PreviousIndex[] = [];
  if (rules.source !== 'database') {
    const indexes = choice.interruptedRuns.flatMap((run) => [journalPath(catalog.stateDir, run), aheadPath(catalog.stateDir, run)]);
    if (rules.mode !== 'fresh' && choice.baseSnapshot !== null)
      indexes.push(indexCopyPath(catalog.stateDir, rules.shop, choice.baseSnapshot));
    for (const path of indexes) if (existsSync(path)) previous.push(onlyReusable(readIndexLines(path), byId));
  }
  return {
    byId,
    find: (name, plainSha256) => byContent.get(`${name}\0${plainSha256}`) ?? null,
    previous,
    reread: rules.mode === 'reread',
    left: choice.left,
    interruptedRuns: choice.interruptedRuns,
    passedOver: choice.passedOver,
  };
}

function lockOf(object: { readonly lockMode: string | null; readonly retainUntil: number | null }): Lock | null {
  if (object.lockMode === null || object.retainUntil === null) return null;
  return { mode: object.lockMode as Lock['mode'], retainUntil: Temporal.Instant.fromEpochMilliseconds(object.retainUntil) };
}

/** What lies in a segment that may be reused. Directories too, although they are packed anew each time: the source learns which have attributes. */
async function* onlyReusable(index: AsyncIterable<readonly IndexEntry[]>, byId: ReadonlyMap<string, Candidate>): PreviousIndex {
  for await (const entries of index) {
    yield entries
      .filter(isFileEntry)
      .filter((entry) => entry.type === 'directory' || (entry.segment !== undefined && byId.has(entry.segment)));
  }
}

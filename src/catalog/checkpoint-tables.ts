// What of the catalog no listing of a vault gives back, as plain rows: read for a checkpoint, put back by a rebuild.
import { type Insertable, type Kysely, type Selectable, sql } from 'kysely';
import { slices } from './segments.ts';
import type { CheckpointsTable } from './tables/daemon.ts';
import type { SnapshotsTable, SnapshotVaultsTable } from './tables/snapshots.ts';
import type { Tables } from './tables.ts';

export type PlainRow = Readonly<Record<string, string | number | null>>;
export type PlainTables = Readonly<Record<string, readonly PlainRow[]>>;

/** How far each growing table was told: the highest id, of runs the latest end. */
export type Positions = Readonly<Record<string, number>>;

/** Rows are only ever added, under rising ids: each checkpoint tells those since the one before. */
const GROWING = [
  'audit',
  'probes',
  'certificates',
  'requestEvents',
  'drills',
  'statements',
  'corrections',
  'ledgerStarts',
  'shopFacts',
] as const;
/**
 * Small tables whose rows change: told whole each time. Not tokens: one that was revoked since would be in force again; the audit names
 * them. Nor restores that are open: what they closed went with the machine, or is found where it is. Nor alarms and messages: a machine that was made anew tells anew what is red. Nor steps of runs, which say how one went while somebody
 * watched; its result is told with it.
 */
const WHOLE = [
  'shopStates',
  'pauses',
  'holds',
  'slots',
  'incidents',
  'restoreRates',
  'requests',
  'breachCases',
  'breachIncidents',
] as const;
/** Runs end later than they begin, and clocks are set back: what ended within this time before the last checkpoint is told again. */
const RUNS_OVERLAP_MS = 3_600_000;
/** Levels of anchors that are younger are told. */
const LEVELS_TOLD_MS = 60 * 86_400_000;
const ROWS_AT_ONCE = 500;

/** What a listing says of a snapshot is completed with this. */
export type SnapshotHint = Pick<
  Selectable<SnapshotsTable>,
  'id' | 'shop' | 'source' | 'completedAt' | 'keepUntil' | 'state' | 'requiredVaults' | 'durationMs' | 'purpose'
>;
export type CopyHint = Pick<Selectable<SnapshotVaultsTable>, 'snapshotId' | 'vault' | 'committedAt' | 'verifiedAt' | 'verifyError'>;

export interface TablesRead {
  readonly tables: PlainTables;
  readonly positions: Positions;
  /** The limit cut something off. */
  readonly more: boolean;
}

/** At most `limit` rows of each growing table after `since`. */
export async function readTables(tx: Kysely<Tables>, since: Positions, limit: number): Promise<TablesRead> {
  const tables: Record<string, PlainRow[]> = {};
  const positions: Record<string, number> = { ...since };
  let more = false;
  for (const name of GROWING) {
    const rows = await tx
      .selectFrom(name)
      .selectAll()
      .where('id', '>', since[name] ?? 0)
      .orderBy('id')
      .limit(limit)
      .execute();
    tables[name] = rows as unknown as PlainRow[];
    more ||= rows.length === limit;
    positions[name] = rows.at(-1)?.id ?? since[name] ?? 0;
  }
  const runs = await tx
    .selectFrom('runs')
    .selectAll()
    .where('endedAt', '>=', since.runs ?? 0)
    .orderBy('endedAt')
    .orderBy('id')
    .limit(limit)
    .execute();
  tables.runs = runs as unknown as PlainRow[];
  const lastEnd = runs.at(-1)?.endedAt ?? null;
  if (runs.length === limit) more = true;
  if (lastEnd !== null) positions.runs = runs.length === limit ? lastEnd : Math.max(since.runs ?? 0, lastEnd - RUNS_OVERLAP_MS);
  tables.anchors = await anchorsToTell(tx);
  for (const name of WHOLE) tables[name] = (await tx.selectFrom(name).selectAll().execute()) as unknown as PlainRow[];
  tables.snapshots = await tx
    .selectFrom('snapshots')
    .select(['id', 'shop', 'source', 'completedAt', 'keepUntil', 'state', 'requiredVaults', 'durationMs', 'purpose'])
    .where('state', '!=', 'removed')
    .orderBy('id')
    .execute();
  tables.snapshotVaults = await tx
    .selectFrom('snapshotVaults')
    .select(['snapshotId', 'vault', 'committedAt', 'verifiedAt', 'verifyError'])
    .orderBy('snapshotId')
    .execute();
  return { tables, positions, more };
}

/**
 * All of them, each time: checkpoints go, and anchors stay. Their levels are told of the last days, and of the ends of months, in whose zone
 * the month may begin up to a day earlier or later.
 */
async function anchorsToTell(tx: Kysely<Tables>): Promise<PlainRow[]> {
  return await tx
    .selectFrom('anchors')
    .select(['id', 'until', 'row', 'rows', 'head', 'levelsHash', 'hash'])
    .select(
      sql<string | null>`case
        when "until" > (select max("until") from "anchors") - ${LEVELS_TOLD_MS} then "levels"
        when '01' in (strftime('%d', "until" / 1000, 'unixepoch'), strftime('%d', "until" / 1000 + 86400, 'unixepoch')) then "levels"
      end`.as('levels'),
    )
    .orderBy('id')
    .execute();
}

export const snapshotHints = (tables: PlainTables): readonly SnapshotHint[] => (tables.snapshots ?? []) as unknown as SnapshotHint[];
export const copyHints = (tables: PlainTables): readonly CopyHint[] => (tables.snapshotVaults ?? []) as unknown as CopyHint[];

/**
 * Puts one checkpoint's rows into an empty catalog; those of a later one go over those of an earlier one. Snapshots are left to the
 * listing. Returns the tables that this coffre does not know.
 */
export async function insertTables(tx: Kysely<Tables>, tables: PlainTables): Promise<string[]> {
  const known: readonly string[] = [...GROWING, ...WHOLE, 'runs', 'anchors'];
  const unknown: string[] = [];
  for (const [name, rows] of Object.entries(tables)) {
    if (name === 'snapshots' || name === 'snapshotVaults') continue;
    if (!known.includes(name)) {
      unknown.push(name);
      continue;
    }
    if (name === 'anchors') {
      await insertAnchors(tx, rows);
      continue;
    }
    // the newest checkpoint's whole table is the truth: a row that is not in it any more was deleted
    const table = name as 'slots';
    if (WHOLE.includes(name as (typeof WHOLE)[number])) await tx.deleteFrom(table).execute();
    for (const some of slices(name === 'requests' ? rows.map(asFound) : rows, ROWS_AT_ONCE)) {
      await tx
        .replaceInto(table)
        .values(some as unknown as Insertable<Tables['slots']>[])
        .execute();
    }
  }
  return unknown;
}

/**
 * What was to be restored, or was being, when the checkpoint was written: whether it was done since nobody knows here, and a machine that is
 * made anew must not overwrite a shop by itself. An operator has it tried again, or not.
 */
function asFound(row: PlainRow): PlainRow {
  if (row.state !== 'approved' && row.state !== 'held' && row.state !== 'running' && row.state !== 'verifying') return row;
  return {
    ...row,
    state: 'failed',
    errorCode: 'E_INTERRUPTED',
    errorMessage: 'the catalog was rebuilt since: nobody knows whether it was done',
  };
}

/** Levels that one checkpoint leaves out another may tell. */
async function insertAnchors(tx: Kysely<Tables>, rows: readonly PlainRow[]): Promise<void> {
  for (const some of slices(rows, ROWS_AT_ONCE)) {
    await tx
      .insertInto('anchors')
      .values(some as unknown as Insertable<Tables['anchors']>[])
      .onConflict((conflict) =>
        conflict
          .column('id')
          .doUpdateSet((eb) => ({ levels: eb.ref('excluded.levels') }))
          .where('anchors.levels', 'is', null),
      )
      .execute();
  }
}

/**
 * The newest checkpoint that a vault still has, null when it has none: one that is gone (a replaced disk) is nothing to go on from.
 */
export async function lastCheckpoint(db: Kysely<Tables>, vault: string): Promise<Selectable<CheckpointsTable> | null> {
  const row = await db
    .selectFrom('checkpoints')
    .innerJoin('objects', 'objects.id', 'checkpoints.objectId')
    .selectAll('checkpoints')
    .where('checkpoints.vault', '=', vault)
    .where('objects.state', 'in', ['stored', 'tombstone'])
    .orderBy('checkpoints.id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row ?? null;
}

// Drills as the catalog keeps them: who was drilled from where, with which outcome, and the signed evidence. Rows are never deleted.
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import { type Kysely, type Selectable, sql } from 'kysely';
import { CoffreError } from '../errors.ts';
import type { Catalog } from './open.ts';
import type { DrillsTable } from './tables/restores.ts';
import type { Tables } from './tables.ts';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** Without the evidence itself, which is large. */
export type DrillRow = Omit<Selectable<DrillsTable>, 'document' | 'snapshots'> & { readonly snapshots: readonly string[] };

export interface NewDrill extends Omit<DrillRow, 'id'> {
  /** The signed evidence, as text: exactly what was signed is in it. */
  readonly document: string;
}

const BRIEF = [
  ...(['id', 'drill', 'shop', 'vault', 'startedAt', 'endedAt', 'outcome', 'code'] as const),
  ...(['said', 'restoreMs', 'targetMs', 'snapshots'] as const),
] as const;

export async function recordDrill(catalog: Catalog, { document, snapshots, ...drill }: NewDrill): Promise<void> {
  const packed = (await compress(Buffer.from(document))).toString('base64');
  await catalog.transaction((tx) =>
    tx
      .insertInto('drills')
      .values({ ...drill, snapshots: JSON.stringify(snapshots), document: packed })
      .execute(),
  );
}

export interface DrillPage {
  /** Only these shops; all when left out. */
  readonly shops?: readonly string[] | undefined;
  /** Drills recorded before this one. */
  readonly before?: string | undefined;
  readonly limit: number;
}

/** Newest first. */
export async function pageOfDrills(db: Kysely<Tables>, { shops, before, limit }: DrillPage): Promise<DrillRow[]> {
  let query = db.selectFrom('drills').select(BRIEF);
  if (shops !== undefined) query = query.where('shop', 'in', shops);
  if (before !== undefined) query = query.where('drill', '<', before);
  return (await query.orderBy('drill', 'desc').limit(limit).execute()).map(brief);
}

/** Of each vault the newest, of whichever vaults the shop was ever drilled from. */
export async function lastDrills(db: Kysely<Tables>, shop: string): Promise<DrillRow[]> {
  const rows = await db
    .selectFrom('drills')
    .select(BRIEF)
    .where('id', 'in', (inner) =>
      inner
        .selectFrom('drills as own')
        .select(({ fn }) => fn.max('own.id').as('last'))
        .where('own.shop', '=', shop)
        .groupBy('own.vault'),
    )
    .orderBy('id', 'desc')
    .execute();
  return rows.map(brief);
}

/** How a snapshot fared in the newest drill that read it. */
export interface DrilledSnapshot {
  readonly snapshot: string;
  readonly drill: string;
  readonly at: number;
  readonly outcome: 'passed' | 'failed';
  readonly code: string | null;
}

/** By snapshot; of one shop, or of all. */
export async function drilledSnapshots(db: Kysely<Tables>, shop?: string): Promise<ReadonlyMap<string, DrilledSnapshot>> {
  const { rows } = await sql<DrilledSnapshot>`
    select "each"."value" as "snapshot", "drill", "endedAt" as "at", "outcome", "code", max("drills"."id") as "last"
    from "drills", json_each("drills"."snapshots") as "each"
    ${shop === undefined ? sql`` : sql`where "shop" = ${shop}`} group by "each"."value"`.execute(db);
  return new Map(rows.map((row) => [row.snapshot, row]));
}

/** One drill by its id or the beginning of one, with its evidence. `shops`: only of these. Throws E_NOT_FOUND, E_USAGE for a beginning of several. */
export async function readDrill(
  db: Kysely<Tables>,
  id: string,
  shops?: readonly string[],
): Promise<{ readonly drill: DrillRow; readonly document: string }> {
  let query = db.selectFrom('drills').selectAll();
  query = /^[0-9a-z]+$/.test(id) ? query.where('drill', '>=', id).where('drill', '<', `${id}~`) : query.where('drill', '=', id);
  if (shops !== undefined) query = query.where('shop', 'in', shops);
  const rows = await query.limit(2).execute();
  const [row] = rows;
  if (row === undefined) throw new CoffreError('E_NOT_FOUND', `no drill ${JSON.stringify(id)}`, { hint: 'coffre drill list shows them' });
  if (rows.length > 1) throw new CoffreError('E_USAGE', `several drills begin with ${id}`);
  const { document, ...rest } = row;
  return { drill: brief(rest), document: (await decompress(Buffer.from(document, 'base64'))).toString('utf8') };
}

const brief = ({ snapshots, ...row }: Omit<Selectable<DrillsTable>, 'document'>): DrillRow => ({
  ...row,
  snapshots: JSON.parse(snapshots) as string[],
});

/** How far back is looked for a drill of both sources: others may be of one alone. */
const LOOK_BACK = 30;

/** The evidence of the newest drills of the shop that were passed, newest first. */
export async function* passedDrills(db: Kysely<Tables>, shop: string): AsyncGenerator<string> {
  const rows = await db
    .selectFrom('drills')
    .select('id')
    .where('shop', '=', shop)
    .where('outcome', '=', 'passed')
    .orderBy('id', 'desc')
    .limit(LOOK_BACK)
    .execute();
  for (const { id } of rows) {
    const { document } = await db.selectFrom('drills').select('document').where('id', '=', id).executeTakeFirstOrThrow();
    yield (await decompress(Buffer.from(document, 'base64'))).toString('utf8');
  }
}

// Which objects made up a level: what a vault held of some shops at an instant, by the ledger, and what it holds of it now.
import { type Kysely, sql } from 'kysely';
import type { Tables } from '../catalog/tables.ts';

/** A version of an object, the parts of an unfinished upload, or (with an empty key) the sum of rows that are gone. Sizes in bytes. */
export interface LiveObject {
  readonly shop: string;
  readonly key: string;
  readonly versionId: string;
  /** At the instant. */
  readonly bytes: number;
  /** Now. */
  readonly bytesNow: number;
}

/** Last row of the ledger at an instant (epoch milliseconds) or before; 0: none. */
export async function rowAt(db: Kysely<Tables>, atMs: number): Promise<number> {
  const row = await db
    .selectFrom('ledger')
    .select('id')
    .where('at', '<=', atMs)
    .orderBy('at', 'desc')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.id ?? 0;
}

/** Everything that was there then, or is there now. Reads all rows of the vault: for a thread where there may be millions. */
export async function liveAt(db: Kysely<Tables>, vault: string, covers: (shop: string) => boolean, atMs: number): Promise<LiveObject[]> {
  const row = await rowAt(db, atMs);
  const { rows } = await sql<LiveObject>`
    select "shop", "key", "versionId", sum(case when "id" <= ${row} then "bytes" else 0 end) as "bytes", sum("bytes") as "bytesNow"
      from "ledger" where "vault" = ${vault} group by "shop", "key", "versionId"
      having sum(case when "id" <= ${row} then "bytes" else 0 end) != 0 or sum("bytes") != 0`.execute(db);
  return rows.filter(({ shop }) => covers(shop));
}

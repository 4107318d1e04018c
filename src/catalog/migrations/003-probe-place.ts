// Where a vault was when it was probed: a proof of one bucket must not serve a vault of the same name in another.
import { type Kysely, type Migration, sql } from 'kysely';

export const probePlace: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    // Null in rows from before: nobody wrote down where it was, so they prove nothing and the next run probes anew.
    await sql`alter table "probes" add column "place" text`.execute(db);
    await sql`drop index "probesOfVault"`.execute(db);
    await sql`create index "probesOfPlace" on "probes" ("place", "id")`.execute(db);
  },
};

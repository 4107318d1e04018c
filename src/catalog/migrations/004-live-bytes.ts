// How much of a segment a snapshot still uses: one that is mostly dead is not built on any further.
import { type Kysely, type Migration, sql } from 'kysely';

export const liveBytes: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    // Null in rows from before: nobody counted, and all of it counts as used.
    await sql`alter table "snapshotSegments" add column "liveBytes" integer`.execute(db);
  },
};

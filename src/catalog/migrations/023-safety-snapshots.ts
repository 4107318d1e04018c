// What a snapshot was taken for, when it was not the shop as it should be.
import { type Kysely, type Migration, sql } from 'kysely';

export const safetySnapshots: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(`alter table "snapshots" add column "purpose" text`).execute(db);
  },
};

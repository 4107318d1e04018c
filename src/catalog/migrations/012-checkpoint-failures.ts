// Vaults that did not get the newest checkpoint of the daemon's state, and why: status says so at once, not when the last one is old.
import { type Kysely, type Migration, sql } from 'kysely';

export const checkpointFailures: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql
      .raw(
        `create table "checkpointFailures" (
          "vault" text primary key not null,
          "at" integer not null,
          "code" text not null,
          "message" text not null
        ) strict, without rowid`,
      )
      .execute(db);
  },
};

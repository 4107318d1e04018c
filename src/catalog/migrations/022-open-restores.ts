// Shops in which a restore in place has begun and not ended.
import { type Kysely, type Migration, sql } from 'kysely';

export const openRestores: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql
      .raw(`create table "openRestores" (
      "shop" text not null primary key,
      "since" integer not null,
      "runId" text not null,
      "who" text not null
    ) strict`)
      .execute(db);
  },
};

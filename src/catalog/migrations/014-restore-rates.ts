// What restores and drills measured of each phase, for the estimate of the next one.
import { type Kysely, type Migration, sql } from 'kysely';

const STATEMENTS = [
  `create table "restoreRates" (
    "id" integer primary key autoincrement not null,
    "at" integer not null,
    "host" text not null,
    "shop" text not null,
    "source" text not null check ("source" in ('database', 'files', 'server')),
    "kind" text not null check ("kind" in ('restore', 'drill')),
    "runId" text,
    "beside" integer not null,
    "phase" text not null,
    "vault" text,
    "bytes" integer not null,
    "files" integer not null,
    "rows" integer not null,
    "ms" integer not null
  ) strict`,
  `create index "restoreRatesAt" on "restoreRates" ("at")`,
];

export const restoreRates: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

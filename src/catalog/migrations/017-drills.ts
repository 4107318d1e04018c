// Drills: what was restored to prove that it can be, and what came of it.
import { type Kysely, type Migration, sql } from 'kysely';

const STATEMENTS = [
  `create table "drills" (
    "id" integer primary key autoincrement not null,
    "drill" text not null unique,
    "shop" text not null,
    "vault" text not null,
    "startedAt" integer not null,
    "endedAt" integer not null,
    "outcome" text not null check ("outcome" in ('passed', 'failed')),
    "code" text,
    "said" text,
    "restoreMs" integer not null,
    "targetMs" integer not null,
    "snapshots" text not null,
    "document" text not null
  ) strict`,
  `create index "drillsOfShop" on "drills" ("shop", "vault", "id")`,
];

export const drills: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

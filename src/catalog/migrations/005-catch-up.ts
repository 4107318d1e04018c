// What a catch-up needs: why a vault lacks a snapshot, which objects were found damaged, and runs of its own kind.
import { type Kysely, type Migration, sql } from 'kysely';

const STATEMENTS = [
  // SQLite cannot alter a check: the table is made anew, without one on `kind`, which tables.ts types and each new kind would break.
  `create table "runsNew" (
    "id" text primary key not null,
    "kind" text not null,
    "shop" text not null,
    "source" text check ("source" in ('database', 'files', 'server')),
    "state" text not null check ("state" in ('running', 'done', 'failed', 'interrupted')),
    "startedAt" integer not null,
    "endedAt" integer,
    "errorCode" text,
    "errorMessage" text,
    "detail" text
  ) strict`,
  `insert into "runsNew" select "id", "kind", "shop", "source", "state", "startedAt", "endedAt", "errorCode", "errorMessage", "detail" from "runs"`,
  `drop table "runs"`,
  `alter table "runsNew" rename to "runs"`,
  `create index "runsOfShop" on "runs" ("shop", "kind", "source", "startedAt")`,
  `create index "runsRunning" on "runs" ("shop") where "state" = 'running'`,

  `create table "gaps" (
    "snapshotId" text not null references "snapshots" ("id"),
    "vault" text not null,
    "code" text not null,
    "message" text not null,
    "at" integer not null,
    "failures" integer not null,
    primary key ("snapshotId", "vault")
  ) strict, without rowid`,

  // Null in rows from before: nobody wrote down which object it was.
  `alter table "objects" add column "damage" text`,
];

export const catchUp: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

// What the service keeps: runs that wait for their turn, who asked for them, the steps that they took, and shops that are paused.
import { type Kysely, type Migration, sql } from 'kysely';

const STATEMENTS = [
  // Made anew for its check on "state", which tables.ts types and each new state would break.
  `create table "runsNew" (
    "id" text primary key not null,
    "kind" text not null,
    "shop" text not null,
    "source" text check ("source" in ('database', 'files', 'server')),
    "state" text not null,
    "startedAt" integer not null,
    "endedAt" integer,
    "errorCode" text,
    "errorMessage" text,
    "detail" text,
    "who" text,
    "task" text,
    "takesUp" text,
    "slot" text
  ) strict`,
  `insert into "runsNew" ("id", "kind", "shop", "source", "state", "startedAt", "endedAt", "errorCode", "errorMessage", "detail")
    select "id", "kind", "shop", "source", "state", "startedAt", "endedAt", "errorCode", "errorMessage", "detail" from "runs"`,
  `drop table "runs"`,
  `alter table "runsNew" rename to "runs"`,
  `create index "runsOfShop" on "runs" ("shop", "kind", "source", "startedAt")`,
  `create index "runsRunning" on "runs" ("shop") where "state" = 'running'`,
  `create index "runsQueued" on "runs" ("id") where "state" = 'queued'`,
  `create index "runsSubmitted" on "runs" ("startedAt") where "task" is not null`,
  `create index "runsTakenUp" on "runs" ("takesUp") where "takesUp" is not null`,
  `create index "runsOfSlot" on "runs" ("id") where "slot" is not null`,
  `create index "runsPages" on "runs" ("shop", "id")`,

  `create table "runSteps" (
    "runId" text not null,
    "seq" integer not null,
    "step" text not null,
    "at" integer not null,
    primary key ("runId", "seq")
  ) strict, without rowid`,

  `create table "pauses" (
    "shop" text primary key not null,
    "since" integer not null,
    "until" integer,
    "who" text not null,
    "reason" text
  ) strict, without rowid`,
];

export const service: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

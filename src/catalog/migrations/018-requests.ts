// Restores that people ask for: how each stands, and everything that was done to it.
import { type Kysely, type Migration, sql } from 'kysely';

const STATEMENTS = [
  `create table "requests" (
    "id" text primary key not null,
    "shop" text not null,
    "state" text not null,
    "wanted" text not null,
    "preview" text not null,
    "createdAt" integer not null,
    "createdBy" text not null,
    "createdRole" text not null,
    "approvedAt" integer,
    "approvedBy" text,
    "approvedRole" text,
    "promise" text,
    "deadline" integer,
    "startedAt" integer,
    "verifyingAt" integer,
    "endedAt" integer,
    "runId" text,
    "errorCode" text,
    "errorMessage" text,
    "outcome" text,
    "countedMs" integer,
    "leftMs" integer,
    "toldEvent" integer not null default 0
  ) strict, without rowid`,
  `create index "requestsOfShop" on "requests" ("shop", "id")`,
  `create index "requestsOpen" on "requests" ("id") where "state" in ('requested', 'approved', 'held', 'running', 'verifying')`,
  `create table "requestEvents" (
    "id" integer primary key autoincrement not null,
    "requestId" text not null,
    "shop" text not null,
    "at" integer not null,
    "verb" text not null,
    "state" text not null,
    "who" text not null,
    "role" text not null,
    "reason" text,
    "detail" text
  ) strict`,
  `create index "eventsOfRequest" on "requestEvents" ("requestId", "id")`,
  `create trigger "requestEventsStay" before update on "requestEvents" begin select raise(abort, 'requestEvents is append-only'); end`,
  `create trigger "requestEventsRemain" before delete on "requestEvents" begin select raise(abort, 'requestEvents is append-only'); end`,
];

export const requests: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

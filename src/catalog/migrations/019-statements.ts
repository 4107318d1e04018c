// Statements that were issued, and corrections of them: both are only ever added.
import { type Kysely, type Migration, sql } from 'kysely';

const STATEMENTS = [
  `create table "statements" (
    "id" integer primary key autoincrement,
    "number" text not null unique,
    "contract" text not null,
    "kind" text not null check ("kind" in ('period', 'correction')),
    "period" text not null,
    "currency" text not null,
    "net" text not null,
    "issuedAt" integer not null,
    "issuedBy" text not null,
    "corrections" text not null,
    "document" text not null,
    "hash" text not null
  ) strict`,
  // a period is billed once
  `create unique index "statementsOfPeriod" on "statements" ("contract", "period") where "kind" = 'period'`,
  `create index "statementsOfContract" on "statements" ("contract", "id")`,
  `create trigger "statementsNoUpdate" before update on "statements" begin select raise(abort, 'statements stay as they were issued'); end`,
  `create trigger "statementsNoDelete" before delete on "statements" begin select raise(abort, 'statements stay'); end`,

  `create table "corrections" (
    "id" integer primary key autoincrement,
    "correction" text not null unique,
    "contract" text not null,
    "statement" text not null,
    "at" integer not null,
    "who" text not null,
    "shop" text,
    "amount" text not null,
    "reason" text not null
  ) strict`,
  `create index "correctionsOfContract" on "corrections" ("contract", "id")`,
  `create trigger "correctionsNoUpdate" before update on "corrections" begin select raise(abort, 'corrections stay as they were made'); end`,
  `create trigger "correctionsNoDelete" before delete on "corrections" begin select raise(abort, 'corrections stay'); end`,
];

export const statements: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

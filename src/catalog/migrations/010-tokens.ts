// Tokens of the API: what is kept of each is a hash.
import { type Kysely, type Migration, sql } from 'kysely';

const STATEMENTS = [
  `create table "tokens" (
    "id" text primary key not null,
    "name" text not null,
    "hash" text not null,
    "role" text not null check ("role" in ('admin', 'client', 'billing', 'monitor')),
    "shops" text,
    "createdAt" integer not null,
    "createdBy" text not null,
    "expiresAt" integer,
    "lastUsedAt" integer,
    "lastUsedFrom" text,
    "revokedAt" integer,
    "revokedBy" text,
    check (("role" = 'client') = ("shops" is not null))
  ) strict`,
  // a name says in the audit who did something: two tokens in force cannot share one
  `create unique index "tokensInForce" on "tokens" ("name") where "revokedAt" is null`,
];

export const tokens: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

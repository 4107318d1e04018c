// A tenant's life, legal holds, and the certificates of what was erased.
import { type Kysely, type Migration, sql } from 'kysely';

const STATEMENTS = [
  // no row: active, and never anything else
  `create table "shopStates" (
    "shop" text primary key not null,
    "state" text not null check ("state" in ('active', 'suspended', 'closing', 'erased')),
    "since" integer not null,
    "endsAt" integer,
    "who" text not null,
    "reason" text,
    check (("state" = 'closing') = ("endsAt" is not null))
  ) strict`,
  `create table "holds" (
    "id" text primary key not null,
    "shop" text not null,
    "snapshotId" text,
    "reason" text not null,
    "placedAt" integer not null,
    "placedBy" text not null,
    "releasedAt" integer,
    "releasedBy" text,
    "releaseReason" text
  ) strict`,
  `create index "holdsOfShop" on "holds" ("shop")`,
  `create table "certificates" (
    "id" integer primary key autoincrement,
    "shop" text not null,
    "at" integer not null,
    "kind" text not null check ("kind" in ('closing', 'erasure')),
    "final" integer not null,
    "document" text not null
  ) strict`,
  `create index "certificatesOfShop" on "certificates" ("shop", "id")`,
];

export const shopLife: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

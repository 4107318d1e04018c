// What watchfulness and verification keep: incidents, and when each object's bytes were last read.
import { type Kysely, type Migration, sql } from 'kysely';

const STATEMENTS = [
  `create table "incidents" (
    "id" text primary key not null,
    "vault" text not null,
    "shop" text not null,
    "kind" text not null,
    "key" text not null,
    "versionId" text not null,
    "sizeBytes" integer not null,
    "detail" text,
    "firstSeenAt" integer not null,
    "lastSeenAt" integer not null,
    "goneAt" integer,
    "acknowledgedAt" integer,
    "acknowledgedBy" text,
    "reason" text
  ) strict`,
  `create unique index "incidentsOpen" on "incidents" ("vault", "shop", "kind", "key", "versionId") where "goneAt" is null`,

  // Null: never since it was stored.
  `alter table "objects" add column "readAt" integer`,
];

export const watch: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

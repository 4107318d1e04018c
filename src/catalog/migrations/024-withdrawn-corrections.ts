// Whether a correction was computed or given, and which one it takes back: those of before have neither, and their hashes stay.
import { type Kysely, type Migration, sql } from 'kysely';

const STATEMENTS = [
  `alter table "corrections" add column "recomputed" integer check ("recomputed" in (0, 1))`,
  `alter table "corrections" add column "withdraws" text`,
  `create unique index "correctionsWithdrawn" on "corrections" ("withdraws") where "withdraws" is not null`,
];

export const withdrawnCorrections: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

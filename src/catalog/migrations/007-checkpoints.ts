// How far the checkpoints in each vault have come: the next one goes on from there.
import { type Kysely, type Migration, sql } from 'kysely';

const STATEMENTS = [
  `create table "checkpoints" (
    "id" integer primary key autoincrement,
    "vault" text not null,
    "at" integer not null,
    "objectId" integer not null references "objects" ("id"),
    "ledgerRow" integer not null,
    "ledgerHash" text not null,
    "positions" text not null,
    "setting" text not null
  ) strict`,
  `create index "checkpointsOfVault" on "checkpoints" ("vault", "id")`,
];

export const checkpoints: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

// What a shop ran and was promised over time: versions and the terms of its plan, a row for each change.
import { type Kysely, type Migration, sql } from 'kysely';

const STATEMENTS = [
  `create table "shopFacts" (
    "id" integer primary key autoincrement not null,
    "shop" text not null,
    "at" integer not null,
    "name" text not null,
    "value" text not null
  ) strict`,
  `create index "factsOfShop" on "shopFacts" ("shop", "name", "id")`,
];

export const shopFacts: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

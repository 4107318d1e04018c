// That the dead-man's ping does not get through: status and metrics tell it, not the log alone.
import { type Kysely, type Migration, sql } from 'kysely';

export const pingFailures: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql
      .raw(
        `create table "pingFailures" (
          "id" integer primary key not null check ("id" = 1),
          "since" integer not null,
          "code" text not null,
          "error" text not null
        ) strict`,
      )
      .execute(db);
  },
};

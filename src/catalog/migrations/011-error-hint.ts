// What could be done about a run's error: hints are often for the one case, and who looks at the run later wants that one.
import { type Kysely, type Migration, sql } from 'kysely';

export const errorHint: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(`alter table "runs" add column "errorHint" text`).execute(db);
  },
};

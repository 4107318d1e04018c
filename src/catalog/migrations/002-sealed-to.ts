// To whom a segment is sealed: one that another identity opens must not come into a new snapshot.
import { type Kysely, type Migration, sql } from 'kysely';

export const sealedTo: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`alter table "segments" add column "sealedTo" text`.execute(db);
  },
};

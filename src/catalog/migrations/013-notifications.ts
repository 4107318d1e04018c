// What people were told is red, and what is still to be sent to them: a restart neither repeats it nor forgets it.
import { type Kysely, type Migration, sql } from 'kysely';

const STATEMENTS = [
  `create table "alarms" (
    "id" text primary key not null,
    "shop" text not null,
    "kind" text not null,
    "source" text,
    "vault" text,
    "code" text,
    "since" integer not null,
    "toldAt" integer,
    "goneAt" integer
  ) strict, without rowid`,
  `create table "messages" (
    "id" text primary key not null,
    "at" integer not null,
    "channel" text not null check ("channel" in ('mail', 'webhook')),
    "content" text not null,
    "tries" integer not null,
    "nextAt" integer not null,
    "sentAt" integer,
    "givenUpAt" integer,
    "code" text,
    "error" text
  ) strict, without rowid`,
  `create index "messagesWaiting" on "messages" ("nextAt") where "sentAt" is null and "givenUpAt" is null`,
];

export const notifications: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

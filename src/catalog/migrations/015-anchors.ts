// Daily anchors of the ledger, the moves between them in a form that is quickly read, and where a ledger whose older rows are gone begins.
import { type Kysely, type Migration, sql } from 'kysely';

const STATEMENTS = [
  `create table "anchors" (
    "id" integer primary key autoincrement,
    "until" integer not null unique,
    "row" integer not null,
    "rows" integer not null,
    "head" text not null,
    "levels" text,
    "levelsHash" text not null,
    "hash" text not null
  ) strict`,
  `create trigger "anchorsNoDelete" before delete on "anchors" begin select raise(abort, 'anchors stay'); end`,
  // what is left out of a checkpoint may be filled in again, nothing else changes
  `create trigger "anchorsNoUpdate" before update on "anchors"
    when old."levels" is not null or old."until" is not new."until" or old."hash" is not new."hash"
    begin select raise(abort, 'anchors stay as they are'); end`,

  `create table "ledgerMoves" (
    "anchorId" integer primary key not null,
    "pairs" text not null,
    "moves" blob not null
  ) strict`,

  `create table "ledgerStarts" (
    "id" integer primary key autoincrement,
    "at" integer not null,
    "row" integer not null,
    "hash" text not null,
    "until" integer not null,
    "openings" integer not null,
    "cause" text not null check ("cause" in ('purged', 'lost'))
  ) strict`,
  // what was summed up by an opening balance may go, nothing else
  `drop trigger "ledgerNoDelete"`,
  `create trigger "ledgerNoDelete" before delete on "ledger"
    when old."id" > coalesce((select max("row") from "ledgerStarts"), 0)
    begin select raise(abort, 'the ledger is append-only'); end`,
];

export const anchors: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

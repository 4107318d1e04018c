// The first tables. tables.ts describes them; this file gives them constraints and indexes.
import { type Kysely, type Migration, sql } from 'kysely';

// STRICT: a text in a column of bytes is a defect that should show here and not on a bill.
const STATEMENTS = [
  `create table "runs" (
    "id" text primary key not null,
    "kind" text not null check ("kind" in ('backup', 'restore', 'prune', 'verify')),
    "shop" text not null,
    "source" text check ("source" in ('database', 'files', 'server')),
    "state" text not null check ("state" in ('running', 'done', 'failed', 'interrupted')),
    "startedAt" integer not null,
    "endedAt" integer,
    "errorCode" text,
    "errorMessage" text,
    "detail" text
  ) strict`,
  `create index "runsOfShop" on "runs" ("shop", "kind", "source", "startedAt")`,
  `create index "runsRunning" on "runs" ("shop") where "state" = 'running'`,

  `create table "segments" (
    "id" text primary key not null,
    "shop" text not null,
    "source" text not null check ("source" in ('database', 'files', 'server')),
    "kind" text not null,
    "phase" text not null,
    "name" text not null,
    "key" text not null unique,
    "plainBytes" integer not null,
    "plainSha256" text not null,
    "storedBytes" integer not null,
    "storedSha256" text not null,
    "load" text,
    "runId" text not null,
    "createdAt" integer not null
  ) strict`,
  `create index "segmentsOfRun" on "segments" ("runId")`,
  `create index "segmentsOfShop" on "segments" ("shop", "source")`,

  `create table "objects" (
    "id" integer primary key autoincrement,
    "vault" text not null,
    "shop" text not null,
    "key" text not null,
    "versionId" text,
    "kind" text not null check ("kind" in ('segment', 'index', 'manifest', 'key', 'probe', 'state', 'stray', 'upload', 'foreign')),
    "refId" text,
    "runId" text,
    "state" text not null check ("state" in ('intent', 'stored', 'void', 'tombstone', 'released')),
    "expectedBytes" integer not null,
    "sizeBytes" integer not null,
    "sha256" text,
    "lockMode" text,
    "retainUntil" integer,
    "lockReadAt" integer,
    "createdAt" integer not null,
    "resolvedAt" integer
  ) strict`,
  // One version, one row: nothing can be counted twice.
  `create unique index "objectsVersion" on "objects" ("vault", "key", "versionId") where "versionId" is not null`,
  `create index "objectsKey" on "objects" ("vault", "key")`,
  `create index "objectsRef" on "objects" ("refId", "vault")`,
  `create index "objectsOfRun" on "objects" ("runId")`,
  `create index "objectsIntent" on "objects" ("vault", "shop") where "state" = 'intent'`,
  `create index "objectsLive" on "objects" ("vault", "shop", "kind") where "state" in ('stored', 'tombstone')`,

  `create table "snapshots" (
    "id" text primary key not null,
    "shop" text not null,
    "source" text not null check ("source" in ('database', 'files', 'server')),
    "runId" text not null,
    "startedAt" integer not null,
    "asOf" integer not null,
    "completedAt" integer not null,
    "full" integer not null,
    "complete" integer not null,
    "state" text not null check ("state" in ('committed', 'tombstone', 'removed')),
    "keepUntil" integer not null,
    "plainBytes" integer not null,
    "storedBytes" integer not null,
    "freshBytes" integer not null,
    "segments" integer not null,
    "reusedSegments" integer not null,
    "counts" text not null,
    "warnings" text not null,
    "consistency" text,
    "requiredVaults" text not null,
    "durationMs" integer not null
  ) strict`,
  `create index "snapshotsOfShop" on "snapshots" ("shop", "source", "completedAt")`,

  `create table "snapshotVaults" (
    "snapshotId" text not null references "snapshots" ("id"),
    "vault" text not null,
    "committedAt" integer not null,
    "manifestObject" integer not null references "objects" ("id"),
    "indexObject" integer not null references "objects" ("id"),
    "verifiedAt" integer,
    "verifyError" text,
    primary key ("snapshotId", "vault")
  ) strict, without rowid`,

  `create table "snapshotSegments" (
    "snapshotId" text not null references "snapshots" ("id"),
    "seq" integer not null,
    "segmentId" text not null references "segments" ("id"),
    "partial" integer not null,
    primary key ("snapshotId", "seq")
  ) strict, without rowid`,
  `create index "snapshotSegmentsSegment" on "snapshotSegments" ("segmentId")`,

  `create table "pins" (
    "segmentId" text not null references "segments" ("id"),
    "runId" text not null,
    primary key ("segmentId", "runId")
  ) strict, without rowid`,
  `create index "pinsOfRun" on "pins" ("runId")`,

  `create table "ledger" (
    "id" integer primary key autoincrement,
    "at" integer not null,
    "vault" text not null,
    "shop" text not null,
    "key" text not null,
    "versionId" text not null,
    "event" text not null check ("event" in ('put', 'part', 'complete', 'release', 'adjust')),
    "bytes" integer not null,
    "cause" text,
    "hash" text not null
  ) strict`,
  // Covering: a level is read without touching the rows.
  `create index "ledgerLevel" on "ledger" ("vault", "shop", "at", "bytes")`,
  `create index "ledgerAt" on "ledger" ("at")`,
  `create trigger "ledgerNoUpdate" before update on "ledger" begin select raise(abort, 'the ledger is append-only'); end`,
  `create trigger "ledgerNoDelete" before delete on "ledger" begin select raise(abort, 'the ledger is append-only'); end`,

  `create table "probes" (
    "id" integer primary key autoincrement,
    "vault" text not null,
    "at" integer not null,
    "outcome" text not null check ("outcome" in ('proven', 'unproven', 'refused')),
    "steps" text not null
  ) strict`,
  `create index "probesOfVault" on "probes" ("vault", "id")`,

  `create table "audit" (
    "id" integer primary key autoincrement,
    "at" integer not null,
    "who" text not null,
    "what" text not null,
    "shop" text,
    "detail" text
  ) strict`,
  `create index "auditAt" on "audit" ("at")`,

  `create table "slots" (
    "shop" text not null,
    "job" text not null,
    "lastDueAt" integer not null,
    primary key ("shop", "job")
  ) strict, without rowid`,
];

export const first: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

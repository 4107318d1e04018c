// Cases of tampering or loss, each with the deadline by which its clients have to be told, and the incidents that are of it.
import { type Kysely, type Migration, sql } from 'kysely';

const STATEMENTS = [
  `create table "breachCases" (
    "id" text primary key not null,
    "vault" text not null,
    "openedAt" integer not null,
    "deadline" integer not null,
    "lastIncidentAt" integer not null,
    "sentAt" integer,
    "sentBy" text,
    "closedAt" integer,
    "closedBy" text,
    "reason" text
  ) strict, without rowid`,
  `create index "breachCasesOpen" on "breachCases" ("vault") where "sentAt" is null and "closedAt" is null`,
  `create table "breachIncidents" (
    "incidentId" text primary key not null,
    "caseId" text not null
  ) strict, without rowid`,
  `create index "incidentsOfBreach" on "breachIncidents" ("caseId")`,
];

export const breaches: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};

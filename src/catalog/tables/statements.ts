// What was billed: rows as Kysely sees them (units: ../tables.ts).
import type { Generated } from 'kysely';

/** What was issued, in the order of issue: a chain. Rows stay as they are for ever. */
export interface StatementsTable {
  id: Generated<number>;
  /** Contract, year of issue, place in that year. */
  number: string;
  contract: string;
  /** correction: nothing but corrections of others. */
  kind: 'period' | 'correction';
  /** First month (YYYY-MM) of the period; of a correction the one in which it was issued. */
  period: string;
  currency: string;
  /** Before tax, decimal text. */
  net: string;
  issuedAt: number;
  issuedBy: string;
  /** JSON list of the corrections (their `correction`) that it carries. */
  corrections: string;
  /** Canonical JSON of the document without its hash: exactly what was hashed. */
  document: string;
  /** Hex SHA-256 of it; it names the hash of the statement before. */
  hash: string;
}

/** A correction of an issued statement; the statement that carries it names it. Rows stay as they are for ever. */
export interface CorrectionsTable {
  id: Generated<number>;
  /** What it is called. */
  correction: string;
  contract: string;
  /** Number of the statement that it corrects. */
  statement: string;
  at: number;
  who: string;
  /** Whom it is billed to; null: divided as the statement was. */
  shop: string | null;
  /** Before tax, decimal text; negative: a credit. */
  amount: string;
  reason: string;
  /** 1: what the measured part was short of; 0: an amount that somebody gave; null: made by an older coffre, nobody knows. */
  recomputed: 0 | 1 | null;
  /** The correction that this one takes back before any statement carried it, with its amount negated; null: it is one itself. */
  withdraws: string | null;
}

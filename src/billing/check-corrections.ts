// Whether every correction is as it was made: in its place, as the audit tells of it, and as the statement has it that carries it.
import { createHash } from 'node:crypto';
import type { Kysely, Selectable } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { CorrectionsTable } from '../catalog/tables/statements.ts';
import type { Tables } from '../catalog/tables.ts';
import { canonicalJson } from '../segment/canonical-json.ts';
import { CHAIN_START } from './chain.ts';
import { decimalOf } from './money.ts';
import type { CorrectionLine, Statement } from './statement-schema.ts';

export interface StatementFinding {
  /** Number of the statement, of a correction that of what it corrects; null: none is named. */
  readonly statement: string | null;
  /** In words. */
  readonly what: string;
}

type CorrectionRow = Selectable<CorrectionsTable>;

/** What the audit says of each. */
export const CORRECTED = 'billing correct';

/** Where a correction stands: its own fields and all before it. Kept in the audit and in the checkpoints' marks, not beside the row. */
function correctionHash(previous: string, row: CorrectionRow): string {
  const { amount, at, contract, correction, id, reason, recomputed, shop, statement, who, withdraws } = row;
  // an older coffre hashed them without what it did not know
  const later = { ...(recomputed === null ? {} : { recomputed }), ...(withdraws === null ? {} : { withdraws }) };
  const text = canonicalJson({ previous, amount, at, contract, correction, id, reason, shop, statement, who, ...later });
  return createHash('sha256').update(text).digest('hex');
}

export interface CorrectionsEnd {
  readonly count: number;
  /** Of the last one; zeros: there is none. */
  readonly hash: string;
}

/** After the first `count` of them, or after all; fewer than asked for when there are not so many. */
export async function correctionsEnd(db: Kysely<Tables>, count?: number): Promise<CorrectionsEnd> {
  let query = db.selectFrom('corrections').selectAll().orderBy('id');
  if (count !== undefined) query = query.limit(count);
  const rows = await query.execute();
  return { count: rows.length, hash: rows.reduce(correctionHash, CHAIN_START) };
}

interface Told {
  readonly correction?: string;
  readonly statement?: string;
  readonly amount?: string;
  readonly reason?: string;
  /** Not of those that an older coffre made. */
  readonly hash?: string;
}

/** `documents`: of all statements that can be read. Those that were altered, removed or moved, named by the statement that they correct. */
export async function checkCorrections(db: Kysely<Tables>, documents: readonly Statement[]): Promise<StatementFinding[]> {
  const rows = await db.selectFrom('corrections').selectAll().orderBy('id').execute();
  const findings: StatementFinding[] = [];
  const known = new Map<string, { readonly row: CorrectionRow; readonly hash: string }>();
  let [hash, position] = [CHAIN_START, 0];
  for (const row of rows) {
    hash = correctionHash(hash, row);
    known.set(row.correction, { row, hash });
    if (row.id !== ++position) {
      findings.push({ statement: null, what: `${row.id - position} corrections before ${row.correction} are missing` });
      position = row.id;
    }
  }
  const at = (ms: number): string => Temporal.Instant.fromEpochMilliseconds(ms).toString();
  const found = (of: string, correction: string, what: string): void => {
    findings.push({ statement: of, what: `its correction ${correction} ${what}` });
  };
  const withdrawn = new Set<string>();
  for (const { amount, correction, statement, withdraws } of rows) {
    if (withdraws === null) continue;
    withdrawn.add(withdraws);
    const taken = known.get(withdraws)?.row;
    if (taken === undefined) found(statement, correction, `withdraws ${withdraws}, which is missing`);
    else if (taken.statement !== statement || !decimalOf(taken.amount).plus(amount).isZero())
      found(statement, correction, `withdraws ${withdraws}, and is not its opposite`);
  }
  for (const { lines, number } of documents) {
    for (const line of lines) {
      if (line.kind !== 'correction') continue;
      const row = known.get(line.id)?.row;
      if (row === undefined) found(line.of, line.id, `is on ${number}, and is missing`);
      else if (row.withdraws !== null || withdrawn.has(line.id)) found(line.of, line.id, `is on ${number}, and was withdrawn`);
      else if (!isSame(line, { ...row, of: row.statement, at: at(row.at) })) found(line.of, line.id, `is not what ${number} says`);
    }
  }
  // the audit, as long as it is kept
  const told = await db.selectFrom('audit').select('detail').where('what', '=', CORRECTED).orderBy('id').execute();
  let isBroken = false;
  for (const { detail } of told) {
    const { correction = '', ...said } = JSON.parse(detail ?? '{}') as Told;
    const one = known.get(correction);
    const of = said.statement ?? '';
    if (one === undefined) found(of, correction, 'was made by the audit, and is missing');
    else if (said.statement !== one.row.statement || said.amount !== one.row.amount || said.reason !== one.row.reason)
      found(of, correction, `is not what the audit says: ${said.amount}, ${said.reason}`);
    else if (said.hash !== undefined && said.hash !== one.hash && !isBroken)
      found(of, correction, 'was altered, or one before it was altered, removed or moved: the audit names another hash for it');
    // every one after it has another hash too
    isBroken ||= one === undefined || (said.hash !== undefined && said.hash !== one.hash);
  }
  return findings;
}

const isSame = (line: CorrectionLine, row: Omit<CorrectionLine, 'id' | 'kind'>): boolean =>
  (['of', 'at', 'amount', 'reason', 'shop'] as const).every((name) => line[name] === row[name]);

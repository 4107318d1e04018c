// Whether the statements are as they were issued, and whether the ledger still gives what they say.
import type { Catalog } from '../catalog/open.ts';
import { asCoffreError } from '../errors.ts';
import { bodyText, checkStatements, measureAgain, recomputed } from './check-statements.ts';
import type { Period } from './month.ts';
import { contractPeaks, rowPeaks } from './period-peaks.ts';
import type { Check } from './prove-ledger.ts';
import type { CorrectionInput } from './statement.ts';
import { documentOf, periodOfStatement, type StatementRow } from './statement-rows.ts';
import type { Statement } from './statement-schema.ts';

export interface StatementsToProve {
  /** Of these alone, by name; null: of all that ever were, declared or not. */
  readonly contracts: readonly string[] | null;
  /** Null: all of them. */
  readonly period: Period | null;
  /** Chain, anchors and packed days were proven: then packed days are the ledger. Else its rows are asked, and prove nothing. */
  readonly isSound: boolean;
}

/**
 * The chain of all statements, and each whose period, or measured period, touches `period`, computed again, with the corrections of those.
 */
export async function proveStatements(catalog: Catalog, { contracts, isSound, period }: StatementsToProve): Promise<Check[]> {
  const { findings, head, statements } = await checkStatements(catalog.db);
  const told = findings.map(({ statement, what }) => (statement === null ? what : `statement ${statement}: ${what}`));
  const outcome = told.length === 0 ? 'proven' : 'broken';
  const checks: Check[] = [];
  const rows = await catalog.db.selectFrom('statements').selectAll().orderBy('id').execute();
  const all = new Map(rows.flatMap((row) => documentOfRow(row)));
  const weightsOf = (number: string): CorrectionInput['weights'] =>
    (all.get(number)?.rebilling?.shops ?? []).map(({ shop, weight }) => ({ name: shop, weight }));
  const isOf = (number: string): boolean => {
    const statement = all.get(number);
    return statement !== undefined && (period === null || touches(statement, period));
  };
  for (const statement of all.values()) {
    if (contracts !== null && !contracts.includes(statement.contract)) continue;
    const corrects = statement.kind === 'correction' && statement.lines.some((line) => line.kind === 'correction' && isOf(line.of));
    if (period === null || corrects || touches(statement, period)) checks.push(await computeAgain(catalog, statement, weightsOf, isSound));
  }
  const scope = period === null ? '' : ', those of this period (all: each)';
  const again = statements === 0 ? '' : `; ${checks.length} of them computed again${scope}`;
  const detail = `${statements} statements, head ${head}${again}`;
  return [{ name: 'statements', vault: null, outcome, detail, findings: told }, ...checks];
}

const documentOfRow = (row: StatementRow): [string, Statement][] => {
  const statement = readable(row);
  return statement === null ? [] : [[row.number, statement]];
};

/** What cannot be read is named by the chain's check. */
function readable(row: StatementRow): Statement | null {
  try {
    return documentOf(row);
  } catch {
    return null;
  }
}

function touches({ kind, measured, period }: Statement, { end, start }: Period): boolean {
  const spans = [period, measured].flatMap((one) => (one === null ? [] : [periodOfStatement(one)]));
  return (
    kind === 'period' &&
    spans.some((one) => one.start.epochMilliseconds < end.epochMilliseconds && one.end.epochMilliseconds > start.epochMilliseconds)
  );
}

async function computeAgain(
  catalog: Catalog,
  statement: Statement,
  weightsOf: (number: string) => CorrectionInput['weights'],
  isSound: boolean,
): Promise<Check> {
  const named = { name: 'peaks', vault: statement.vault } as const;
  const { number } = statement;
  try {
    const measure = await measureAgain(catalog, statement, isSound ? contractPeaks : rowPeaks);
    const same = bodyText(recomputed(statement, measure, weightsOf)) === bodyText(statement);
    const detail = `statement ${number}: computed again from ${statement.kind === 'correction' ? 'its corrections' : 'the ledger'}`;
    if (same && !isSound && statement.kind !== 'correction') {
      const why = 'the rows as they are now give the same, and the ledger is broken: that proves nothing';
      return { ...named, outcome: 'unchecked', detail: `statement ${number}: ${why}`, findings: [] };
    }
    if (same) return { ...named, outcome: 'proven', detail, findings: [] };
    const said = statement.measured?.peakBytes;
    const now = measure.measured?.peaks.sum.peakBytes;
    const why =
      said === now ? 'its peak is the same, something else of it is not' : `it says ${peakText(said)}, the ledger gives ${peakText(now)}`;
    return { ...named, outcome: 'broken', detail, findings: [`statement ${number}: ${why}`] };
  } catch (error) {
    const { code, message } = asCoffreError(error);
    if (code !== 'E_LEDGER_PURGED') throw error;
    return { ...named, outcome: 'unchecked', detail: `statement ${number}: ${message}`, findings: [] };
  }
}

const peakText = (bytes: number | undefined): string => (bytes === undefined ? 'no peak' : `a peak of ${bytes} bytes`);

// Whether the statements are as they were issued, and whether the ledger still gives what they say.
import type { Catalog } from '../catalog/open.ts';
import type { ContractConfig } from '../config/config.ts';
import { asCoffreError } from '../errors.ts';
import { bodyText, checkStatements, measureAgain, recomputed } from './check-statements.ts';
import type { Period } from './month.ts';
import type { Check } from './prove-ledger.ts';
import { documentOf, periodOfStatement, type StatementRow } from './statement-rows.ts';
import type { Statement } from './statement-schema.ts';

/** The chain of all statements, and each of the contracts' whose period, or measured period, touches `period`, computed again. */
export async function proveStatements(
  catalog: Catalog,
  contracts: readonly Pick<ContractConfig, 'name' | 'shops' | 'vault'>[],
  period: Period,
): Promise<Check[]> {
  const { findings, head, statements } = await checkStatements(catalog.db);
  const told = findings.map(({ statement, what }) => (statement === null ? what : `statement ${statement}: ${what}`));
  const outcome = told.length === 0 ? 'proven' : 'broken';
  const chain: Check = { name: 'statements', vault: null, outcome, detail: `${statements} statements, head ${head}`, findings: told };
  const checks: Check[] = [chain];
  for (const contract of contracts) {
    const rows = await catalog.db.selectFrom('statements').selectAll().where('contract', '=', contract.name).orderBy('id').execute();
    for (const row of rows) {
      const statement = readable(row);
      if (statement !== null && touches(statement, period)) checks.push(await again(catalog, statement));
    }
  }
  return checks;
}

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

async function again(catalog: Catalog, statement: Statement): Promise<Check> {
  const named = { name: 'peaks', vault: statement.vault } as const;
  const { number } = statement;
  try {
    const measure = await measureAgain(catalog, statement);
    const weights = await weightsOf(catalog);
    const same = bodyText(recomputed(statement, measure, (of) => weights.get(of) ?? [])) === bodyText(statement);
    const detail = `statement ${number}: computed again from the ledger`;
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

/** How each statement was divided among shops, by its number. */
async function weightsOf({ db }: Catalog): Promise<Map<string, { readonly name: string; readonly weight: number }[]>> {
  const rows = await db.selectFrom('statements').selectAll().execute();
  return new Map(
    rows.flatMap((row) => {
      const shops = readable(row)?.rebilling?.shops ?? [];
      return [[row.number, shops.map(({ shop, weight }) => ({ name: shop, weight }))] as const];
    }),
  );
}

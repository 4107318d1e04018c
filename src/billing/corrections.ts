// Corrections of issued statements: lines of their own on a later one. What was issued stays as it was.
import type { Kysely, Selectable } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { CorrectionsTable } from '../catalog/tables/statements.ts';
import type { Tables } from '../catalog/tables.ts';
import type { ContractConfig } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { newId } from '../segment/id.ts';
import { CORRECTED, correctionsEnd } from './check-corrections.ts';
import { Decimal, decimalOf } from './money.ts';
import { closedFrom } from './period.ts';
import { type CorrectionInput, measuredPeriod, statementOf } from './statement.ts';
import { type BillingDeps, declaredShops, documentOf, periodOfStatement, statementRow } from './statement-rows.ts';
import type { Statement } from './statement-schema.ts';

export type CorrectionRow = Selectable<CorrectionsTable>;

export interface CorrectionOrder {
  /** Number of the statement. */
  readonly statement: string;
  /** Decimal text, before tax, negative for a credit; null: what the statement would be by the ledger and the configuration as they are now. */
  readonly amount: string | null;
  /** null: divided as the statement was. */
  readonly shop: string | null;
  readonly reason: string;
  readonly who: string;
}

/**
 * Writes one down; the next statement of the contract carries it. Throws E_UNKNOWN_STATEMENT, E_STATEMENT_LATE from the seventh month after
 * the period on, E_USAGE (no amount of the currency, nothing to correct, a correction itself), E_UNKNOWN_SHOP.
 */
export async function correctStatement(deps: BillingDeps, contract: ContractConfig, order: CorrectionOrder): Promise<CorrectionRow> {
  const { catalog, clock, config } = deps;
  const row = await statementRow(catalog.db, order.statement);
  const statement = documentOf(row);
  if (row.contract !== contract.name) throw new CoffreError('E_UNKNOWN_STATEMENT', `${row.number} is not of contract ${contract.name}`);
  if (row.kind === 'correction') {
    throw new CoffreError('E_USAGE', `${row.number} is a correction itself`, { hint: 'correct the statement of the period once more' });
  }
  const closed = closedFrom(statement.period, statement.timezone);
  if (Temporal.Instant.compare(clock.now(), closed) >= 0) {
    throw new CoffreError('E_STATEMENT_LATE', `${row.number} could be corrected until ${closed}`);
  }
  const { shop } = order;
  if (shop !== null && !config.shops.has(shop) && !statement.rebilling?.shops.some((known) => known.shop === shop)) {
    throw new CoffreError('E_UNKNOWN_SHOP', `no shop ${JSON.stringify(shop)}`);
  }
  const given = order.amount === null ? null : amountIn(statement, order.amount);
  const now = given === null ? await chargesNow(deps, contract, statement) : null;
  return await catalog.transaction(async (tx) => {
    const amount = given ?? (await missing(tx, statement, now ?? new Decimal(0)));
    if (amount.isZero()) throw new CoffreError('E_USAGE', `${row.number}: there is nothing to correct`);
    const at = clock.nowMs();
    const values = {
      ...{ correction: newId(clock), contract: contract.name, statement: row.number, at, who: order.who, shop },
      ...{ amount: amount.toFixed(statement.decimals), reason: order.reason },
    };
    const { id } = await tx.insertInto('corrections').values(values).returning('id').executeTakeFirstOrThrow();
    const { hash } = await correctionsEnd(tx);
    const { amount: written, correction } = values;
    const detail = JSON.stringify({ correction, statement: row.number, amount: written, reason: order.reason, hash });
    await tx.insertInto('audit').values({ at, who: order.who, what: CORRECTED, shop, detail }).execute();
    return { id, ...values };
  });
}

/** Throws E_USAGE. */
function amountIn({ currency, decimals }: Statement, text: string): Decimal {
  const written = /^[+-]?\d{1,12}(?:\.(\d+))?$/.exec(text.trim());
  if (written === null || (written[1]?.length ?? 0) > decimals) {
    throw new CoffreError('E_USAGE', `no amount in ${currency}: ${JSON.stringify(text)}`, {
      hint: `at most ${decimals} decimals after a point, such as ${new Decimal(-12.5).toFixed(decimals)}`,
    });
  }
  return decimalOf(text.trim().replace(/^\+/, ''));
}

/** What the period would cost now, without corrections. */
async function chargesNow({ catalog, config, peaks }: BillingDeps, contract: ContractConfig, statement: Statement): Promise<Decimal> {
  if (statement.currency !== contract.price.currency) {
    throw new CoffreError('E_USAGE', `${statement.number} is in ${statement.currency}, the contract is in ${contract.price.currency} now`);
  }
  const period = periodOfStatement(statement.period);
  const measured = measuredPeriod(contract, period);
  const body = statementOf({
    ...{ contract, period, shops: declaredShops(config, contract) },
    measured: measured && { period: measured, peaks: await peaks(catalog, contract, measured) },
  });
  return decimalOf(body.net);
}

/** What is still missing after all that was billed and corrected before. */
async function missing(tx: Kysely<Tables>, statement: Statement, charges: Decimal): Promise<Decimal> {
  const rows = await tx
    .selectFrom('corrections')
    .select('amount')
    .where('statement', '=', statement.number ?? '')
    .execute();
  const billed = [...statement.lines.filter((line) => line.kind !== 'correction'), ...rows];
  return billed.reduce((left, { amount }) => left.minus(amount), charges);
}

/** Those that no statement carries yet, oldest first; of one contract, or of all. */
export async function waitingCorrections(db: Kysely<Tables>, contract?: string): Promise<CorrectionRow[]> {
  let query = db.selectFrom('corrections').selectAll().orderBy('id');
  if (contract !== undefined) query = query.where('contract', '=', contract);
  const rows = await query.execute();
  if (rows.length === 0) return [];
  const carried = new Set(await carriedCorrections(db));
  return rows.filter(({ correction }) => !carried.has(correction));
}

export interface PendingCorrection extends CorrectionInput {
  /** Of the statement that it corrects, whatever the contract says now. */
  readonly taxPercent: string | null;
  readonly currency: string;
}

/** The same, each with the division, tax and currency of what it corrects. */
export async function pendingCorrections(db: Kysely<Tables>, contract: string): Promise<PendingCorrection[]> {
  const found: PendingCorrection[] = [];
  for (const row of await waitingCorrections(db, contract)) {
    const { currency, rebilling, terms } = documentOf(await statementRow(db, row.statement));
    found.push({
      line: {
        ...{ kind: 'correction', id: row.correction, of: row.statement, reason: row.reason, shop: row.shop, amount: row.amount },
        at: Temporal.Instant.fromEpochMilliseconds(row.at).toString(),
      },
      ...{ taxPercent: terms.taxPercent, currency },
      weights: (rebilling?.shops ?? []).map(({ shop, weight }) => ({ name: shop, weight })),
    });
  }
  return found;
}

async function carriedCorrections(db: Kysely<Tables>): Promise<string[]> {
  const rows = await db.selectFrom('statements').select('corrections').where('corrections', '!=', '[]').execute();
  return rows.flatMap(({ corrections }) => JSON.parse(corrections) as string[]);
}

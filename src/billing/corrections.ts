// Corrections of issued statements: lines of their own on a later one. What was issued stays as it was.
import type { Kysely, Selectable } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { CorrectionsTable } from '../catalog/tables/statements.ts';
import type { Tables } from '../catalog/tables.ts';
import type { Clock } from '../clock.ts';
import type { ContractConfig } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { newId } from '../segment/id.ts';
import { CORRECTED, correctionsEnd } from './check-corrections.ts';
import { measureFor } from './measure.ts';
import { Decimal, decimalOf } from './money.ts';
import { closedFrom, closedOn } from './period.ts';
import { type CorrectionInput, statementOf } from './statement.ts';
import { type BillingDeps, billedPeriod, declaredShops, documentOf, statementRow } from './statement-rows.ts';
import type { Statement } from './statement-schema.ts';

export type CorrectionRow = Selectable<CorrectionsTable>;

export interface MadeCorrection {
  readonly made: CorrectionRow;
  /** Of a recomputed one: what was given for the statement before, a goodwill credit mostly. It stays, and is not reckoned with. */
  readonly apart: readonly CorrectionRow[];
}

export interface CorrectionOrder {
  /** Number of the statement. */
  readonly statement: string;
  /**
   * Decimal text, before tax, negative for a credit; null: what the lines of subscribed volume and variable use would be by the ledger and
   * the configuration as they are now, less what they were and what was recomputed before. Amounts that were given stay.
   */
  readonly amount: string | null;
  /** A credit may be more than what was billed, less what was credited before. Left out: it may not. */
  readonly beyond?: boolean;
  /** null: divided as the statement was. */
  readonly shop: string | null;
  readonly reason: string;
  readonly who: string;
}

/**
 * Writes one down; the next statement of the contract carries it. Throws E_UNKNOWN_STATEMENT, E_STATEMENT_LATE from the seventh month after
 * the period on, E_USAGE (no amount of the currency, nothing to correct, a correction itself, a credit beyond what was
 * billed), E_UNKNOWN_SHOP.
 */
export async function correctStatement(deps: BillingDeps, contract: ContractConfig, order: CorrectionOrder): Promise<MadeCorrection> {
  const { catalog, clock, config } = deps;
  const row = await statementRow(catalog.db, order.statement);
  const statement = documentOf(row);
  if (row.contract !== contract.name) throw new CoffreError('E_UNKNOWN_STATEMENT', `${row.number} is not of contract ${contract.name}`);
  if (row.kind === 'correction') {
    throw new CoffreError('E_USAGE', `${row.number} is a correction itself`, { hint: 'correct the statement of the period once more' });
  }
  const period = billedPeriod(statement);
  const closed = closedFrom(period, statement.timezone);
  if (Temporal.Instant.compare(clock.now(), closed) >= 0) {
    throw new CoffreError('E_STATEMENT_LATE', `${row.number} could be corrected before ${closedOn(period)} (${statement.timezone})`);
  }
  const { shop } = order;
  if (shop !== null && !config.shops.has(shop) && !statement.rebilling?.shops.some((known) => known.shop === shop)) {
    throw new CoffreError('E_UNKNOWN_SHOP', `no shop ${JSON.stringify(shop)}`);
  }
  const given = order.amount === null ? null : amountIn(statement, order.amount);
  const now = given === null ? await chargesNow(deps, contract, statement) : null;
  return await catalog.transaction(async (tx) => {
    const before = await inForce(tx, row.number);
    const amount = given ?? missing(statement, before, now ?? new Decimal(0));
    if (amount.isZero()) throw nothingToCorrect(row.number, given !== null);
    if (amount.isNegative() && !order.beyond) requireBilled(statement, before, amount);
    const made = await insertCorrection(tx, clock, {
      ...{ correction: newId(clock), contract: contract.name, statement: row.number, who: order.who, shop, reason: order.reason },
      ...{ amount: amount.toFixed(statement.decimals), recomputed: given === null ? 1 : 0, withdraws: null },
    });
    return { made, apart: given === null ? before.filter(({ recomputed }) => recomputed === 0) : [] };
  });
}

/**
 * Takes one back that no statement carries yet, by its opposite: neither is carried by any. Throws E_UNKNOWN_CORRECTION,
 * E_CORRECTION_STATE (a statement carries it, or it was withdrawn).
 */
export async function withdrawCorrection(
  { catalog, clock }: Pick<BillingDeps, 'catalog' | 'clock'>,
  { correction, reason, who }: { readonly correction: string; readonly reason: string; readonly who: string },
): Promise<CorrectionRow> {
  return await catalog.transaction(async (tx) => {
    const row = await tx.selectFrom('corrections').selectAll().where('correction', '=', correction).executeTakeFirst();
    if (!row) throw new CoffreError('E_UNKNOWN_CORRECTION', `no correction ${JSON.stringify(correction)}`);
    const waiting = await waitingCorrections(tx, row.contract);
    if (!waiting.some(({ id }) => id === row.id)) {
      const carried = (await carriedCorrections(tx)).get(correction);
      const why = carried === undefined ? 'it was withdrawn' : `${carried} carries it`;
      throw new CoffreError('E_CORRECTION_STATE', `correction ${correction} does not wait any more: ${why}`);
    }
    const { contract, recomputed, shop, statement } = row;
    const amount = row.amount.startsWith('-') ? row.amount.slice(1) : `-${row.amount}`;
    return await insertCorrection(tx, clock, {
      ...{ correction: newId(clock), contract, statement, who, shop, reason, amount, recomputed, withdraws: correction },
    });
  });
}

async function insertCorrection(tx: Kysely<Tables>, clock: Clock, row: Omit<CorrectionRow, 'id' | 'at'>): Promise<CorrectionRow> {
  const at = clock.nowMs();
  const { amount, correction, reason, shop, statement, who, withdraws } = row;
  const { id } = await tx
    .insertInto('corrections')
    .values({ ...row, at })
    .returning('id')
    .executeTakeFirstOrThrow();
  const { hash } = await correctionsEnd(tx);
  const detail = JSON.stringify({ correction, statement, amount, reason, ...(withdraws === null ? {} : { withdraws }), hash });
  await tx.insertInto('audit').values({ at, who, what: CORRECTED, shop, detail }).execute();
  return { id, at, ...row };
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

const nothingToCorrect = (number: string, isGiven: boolean): CoffreError =>
  isGiven
    ? new CoffreError('E_USAGE', `${number}: there is nothing to correct with an amount of 0`, {
        hint: 'give the amount before tax that is missing, or negative that was too much',
      })
    : new CoffreError('E_USAGE', `${number}: there is nothing to correct: by ledger and configuration it is what was billed`, {
        hint: 'what was recomputed before counts as billed; what has other reasons, such as an outage, is given as an amount',
      });

/** Nobody gets back more than he paid by a slip of a digit. */
function requireBilled({ currency, decimals, lines, number }: Statement, before: readonly CorrectionRow[], credit: Decimal): void {
  const zero: Decimal = new Decimal(0);
  const charged = lines.filter(({ kind }) => kind !== 'correction').reduce((sum, { amount }) => sum.plus(amount), zero);
  const left = before.reduce((sum, { amount }) => sum.plus(amount), charged);
  if (left.plus(credit).gte(0)) return;
  const text = (amount: Decimal): string => `${amount.toFixed(decimals)} ${currency}`;
  const since = before.length === 0 ? '' : `, with its corrections ${text(left)}`;
  throw new CoffreError('E_USAGE', `a credit of ${text(credit.abs())} is more than ${number} billed: ${text(charged)} before tax${since}`, {
    hint: 'the option beyond (over the API the key) says that it is meant so',
  });
}

/** What the period would cost now, without corrections. */
async function chargesNow(deps: BillingDeps, contract: ContractConfig, statement: Statement): Promise<Decimal> {
  if (statement.currency !== contract.price.currency) {
    throw new CoffreError('E_USAGE', `${statement.number} is in ${statement.currency}, the contract is in ${contract.price.currency} now`);
  }
  const period = billedPeriod(statement);
  const measure = await measureFor(deps, contract, period);
  const body = statementOf({ contract, period, shops: declaredShops(deps.config, contract), ...measure });
  const unknown = body.notices.find(({ code }) => code === 'index-unknown');
  if (unknown) {
    throw new CoffreError('E_STATEMENT_INDEX', `${statement.number}: no index value of the year up to ${unknown.day} is known`, {
      hint: `add it under contracts.${contract.name}.index.values, with the day from which it counts`,
    });
  }
  return decimalOf(body.net);
}

/** What the measured part is still short of: what it is now, less what was billed for it and recomputed before. */
function missing(statement: Statement, before: readonly CorrectionRow[], charges: Decimal): Decimal {
  if (before.some(({ recomputed }) => recomputed === null)) {
    throw new CoffreError('E_USAGE', `${statement.number} has corrections of an older coffre, of which nobody knows what they were for`, {
      hint: 'work out what is missing by hand, and give it as an amount',
    });
  }
  const billed = [...statement.lines.filter((line) => line.kind !== 'correction'), ...before.filter(({ recomputed }) => recomputed === 1)];
  return billed.reduce((left, { amount }) => left.minus(amount), charges);
}

/** Corrections of a statement, carried or not, without those that were withdrawn. */
async function inForce(tx: Kysely<Tables>, statement: string): Promise<CorrectionRow[]> {
  return withoutWithdrawn(await tx.selectFrom('corrections').selectAll().where('statement', '=', statement).orderBy('id').execute());
}

function withoutWithdrawn(rows: readonly CorrectionRow[]): CorrectionRow[] {
  const withdrawn = new Set(rows.map(({ withdraws }) => withdraws));
  return rows.filter(({ correction, withdraws }) => withdraws === null && !withdrawn.has(correction));
}

/** Those that no statement carries yet, oldest first; of one contract, or of all. */
export async function waitingCorrections(db: Kysely<Tables>, contract?: string): Promise<CorrectionRow[]> {
  let query = db.selectFrom('corrections').selectAll().orderBy('id');
  if (contract !== undefined) query = query.where('contract', '=', contract);
  const rows = withoutWithdrawn(await query.execute());
  if (rows.length === 0) return [];
  const carried = await carriedCorrections(db);
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
    const { currency, rebilling, tax, terms } = documentOf(await statementRow(db, row.statement));
    found.push({
      line: {
        ...{ kind: 'correction', id: row.correction, of: row.statement, reason: row.reason, shop: row.shop, amount: row.amount },
        at: Temporal.Instant.fromEpochMilliseconds(row.at).toString(),
      },
      // of one with several rates that of its own period
      ...{ taxPercent: tax === null ? null : (tax.percent ?? terms.taxPercent), currency },
      weights: (rebilling?.shops ?? []).map(({ shop, weight }) => ({ name: shop, weight })),
    });
  }
  return found;
}

/** Number of the statement that carries each. */
async function carriedCorrections(db: Kysely<Tables>): Promise<Map<string, string>> {
  const rows = await db.selectFrom('statements').select(['number', 'corrections']).where('corrections', '!=', '[]').execute();
  return new Map(rows.flatMap(({ corrections, number }) => (JSON.parse(corrections) as string[]).map((one) => [one, number] as const)));
}

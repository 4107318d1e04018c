// Statements: as they would be, as they were issued, and the chain that those make.
import { type Kysely, sql } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { Tables } from '../catalog/tables.ts';
import type { Clock } from '../clock.ts';
import type { ContractConfig } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { canonicalJson } from '../segment/canonical-json.ts';
import { CHAIN_START } from './chain.ts';
import { type PendingCorrection, pendingCorrections } from './corrections.ts';
import { type Measure, measureFor } from './measure.ts';
import { decimalOf, plain } from './money.ts';
import { type BillingPeriod, billingPeriod, closedFrom, closedOn, isDue } from './period.ts';
import { correctionStatementOf, measuredPeriod, statementOf, taxPercentOn } from './statement.ts';
import { type BillingDeps, billedPeriod, declaredShops, documentOf, type StatementRow, statementHash } from './statement-rows.ts';
import type { Statement, StatementBody } from './statement-schema.ts';

/** From then on the statement of a period may be issued. */
export const readyFrom = ({ paid }: ContractConfig, period: BillingPeriod): Temporal.Instant =>
  paid === 'arrears' ? period.end : period.start;

/**
 * The statement of the period in which a month lies: as it was issued, else as it would be now. Of what is to come nothing is measured: of a
 * period in advance it tells the volume that is owed for it alone. Throws E_USAGE (no month, or one whose use is to come), E_STATEMENT_NONE,
 * E_LEDGER_PURGED.
 */
export async function readStatement(deps: BillingDeps, contract: ContractConfig, month: string): Promise<Statement> {
  const { catalog, clock } = deps;
  const period = billingPeriod(contract, month);
  const issued = await rowOfPeriod(catalog.db, contract.name, period);
  if (issued !== null) return documentOf(issued);
  requireDue(contract, period);
  const measure = await measureSoFar(deps, contract, period);
  const body = await bodyNow(catalog.db, deps, contract, period, measure);
  const state = Temporal.Instant.compare(clock.now(), readyFrom(contract, period)) < 0 ? 'provisional' : 'draft';
  return { ...body, state, number: null, issuedAt: null, previous: null, hash: null };
}

async function measureSoFar(deps: BillingDeps, contract: ContractConfig, period: BillingPeriod): Promise<Measure> {
  const billed = measuredPeriod(contract, period);
  if (billed === null || Temporal.Instant.compare(billed.start, deps.clock.now()) <= 0) return await measureFor(deps, contract, period);
  if (contract.paid === 'advance') return { measured: null, unmeasured: null };
  throw new CoffreError('E_USAGE', `the period ${period.from} to ${period.to} of ${contract.name} has not begun`, {
    hint: 'a statement tells what was measured; the forecast tells what the present period is going to be',
  });
}

export interface Issued {
  readonly statement: Statement;
  /** False: it had been issued before, and is as it was. */
  readonly isNew: boolean;
}

/**
 * Issues it, once: who asks again gets the same one. With it go the corrections that wait. Throws E_STATEMENT_OPEN, E_STATEMENT_LATE,
 * E_STATEMENT_NONE, E_STATEMENT_INDEX, E_CONFIG (its period overlaps one that was billed), E_USAGE, E_LEDGER_PURGED.
 */
export async function issueStatement(deps: BillingDeps, contract: ContractConfig, month: string, who: string): Promise<Issued> {
  const { catalog, clock } = deps;
  const period = billingPeriod(contract, month);
  const before = await rowOfPeriod(catalog.db, contract.name, period);
  if (before !== null) return { statement: documentOf(before), isNew: false };
  requireDue(contract, period);
  const name = `the statement of ${contract.name} for ${period.from} to ${period.to}`;
  const ready = readyFrom(contract, period);
  if (Temporal.Instant.compare(clock.now(), ready) < 0) {
    throw new CoffreError('E_STATEMENT_OPEN', `${name} can be issued from ${dayIn(ready, contract.timezone)} on (${contract.timezone})`);
  }
  const closed = closedFrom(period, contract.timezone);
  if (Temporal.Instant.compare(clock.now(), closed) >= 0)
    throw new CoffreError('E_STATEMENT_LATE', `${name} could be issued before ${closedOn(period)} (${contract.timezone})`);
  // the period that it measures is over: its peak does not change any more
  const measure = await measureFor(deps, contract, period);
  return await catalog.transaction(async (tx) => {
    const meanwhile = await rowOfPeriod(tx, contract.name, period);
    if (meanwhile !== null) return { statement: documentOf(meanwhile), isNew: false };
    await refuseOverlap(tx, contract, period);
    const body = await bodyNow(tx, deps, contract, period, measure);
    const unknown = body.notices.find(({ code }) => code === 'index-unknown');
    if (unknown) {
      throw new CoffreError('E_STATEMENT_INDEX', `${name}: no index value of the year up to ${unknown.day} is known`, {
        hint: `add it under contracts.${contract.name}.index.values, with the day from which it counts`,
      });
    }
    const statement = await insert(tx, clock, contract, body, who);
    // what has another tax or currency cannot stand on it
    await insertCorrections(tx, deps, contract, who);
    return { statement, isNew: true };
  });
}

/**
 * Statements of the corrections that wait, for who does not want to wait for the next period's: one for each tax rate and currency of what
 * they correct; none when none waits.
 */
export async function issueCorrections(deps: BillingDeps, contract: ContractConfig, who: string): Promise<Statement[]> {
  return await deps.catalog.transaction((tx) => insertCorrections(tx, deps, contract, who));
}

/** The same as they would be now. */
export async function draftCorrections(deps: BillingDeps, contract: ContractConfig): Promise<Statement[]> {
  const bodies = await correctionBodies(deps.catalog.db, deps, contract);
  return bodies.map((body) => ({ ...body, state: 'draft', number: null, issuedAt: null, previous: null, hash: null }));
}

async function insertCorrections(tx: Kysely<Tables>, deps: BillingDeps, contract: ContractConfig, who: string): Promise<Statement[]> {
  const found: Statement[] = [];
  for (const body of await correctionBodies(tx, deps, contract)) found.push(await insert(tx, deps.clock, contract, body, who));
  return found;
}

async function correctionBodies(db: Kysely<Tables>, { clock, config }: BillingDeps, contract: ContractConfig): Promise<StatementBody[]> {
  const waiting = await pendingCorrections(db, contract.name);
  const day = dayIn(clock.now(), contract.timezone);
  return [...Map.groupBy(waiting, chargedAs).values()].map((corrections) => {
    const { currency, taxPercent } = corrections[0] as PendingCorrection;
    const terms = { ...contract, taxPercent, taxRates: [], price: { ...contract.price, currency } };
    return correctionStatementOf({ contract: terms, day, corrections, shops: declaredShops(config, contract) });
  });
}

const dayIn = (instant: Temporal.Instant, timezone: string): string => instant.toZonedDateTimeISO(timezone).toPlainDate().toString();

/** What has to be one on a whole statement. */
const chargedAs = ({ currency, taxPercent }: Pick<PendingCorrection, 'currency' | 'taxPercent'>): string =>
  `${currency} ${taxPercent === null ? 'without tax' : plain(decimalOf(taxPercent))}`;

/** Throws E_STATEMENT_NONE. */
function requireDue(contract: ContractConfig, period: BillingPeriod): void {
  if (isDue(contract, period) || measuredPeriod(contract, period) !== null) return;
  const { end, name, start } = contract;
  const when = start !== null && period.to < start ? `begins on ${start}` : `ended on ${end}`;
  throw new CoffreError('E_STATEMENT_NONE', `contract ${name} ${when}: it owes nothing for ${period.from} to ${period.to}`);
}

async function bodyNow(
  db: Kysely<Tables>,
  { config }: BillingDeps,
  contract: ContractConfig,
  period: BillingPeriod,
  measure: Measure,
): Promise<StatementBody> {
  const own = chargedAs({ currency: contract.price.currency, taxPercent: taxPercentOn(contract, period.to) });
  const corrections = (await pendingCorrections(db, contract.name)).filter((one) => chargedAs(one) === own);
  return statementOf({ contract, period, ...measure, corrections, shops: declaredShops(config, contract) });
}

const periodKey = ({ from }: Pick<BillingPeriod, 'from'>): string => from.slice(0, 7);

async function rowOfPeriod(db: Kysely<Tables>, contract: string, period: BillingPeriod): Promise<StatementRow | null> {
  const row = await db
    .selectFrom('statements')
    .selectAll()
    .where('contract', '=', contract)
    .where('kind', '=', 'period')
    .where('period', '=', periodKey(period))
    .executeTakeFirst();
  // of another length: the contract's period was changed since, and this one is not what was asked for
  return row === undefined || billedPeriod(documentOf(row)).to !== period.to ? null : row;
}

/** Months that were billed as part of another period are not billed again. */
async function refuseOverlap(tx: Kysely<Tables>, contract: ContractConfig, period: BillingPeriod): Promise<void> {
  const rows = await tx.selectFrom('statements').selectAll().where('contract', '=', contract.name).where('kind', '=', 'period').execute();
  for (const row of rows) {
    const { from, to } = billedPeriod(documentOf(row));
    if (from > period.to || to < period.from) continue;
    throw new CoffreError('E_CONFIG', `contract ${contract.name}: ${row.number} covers ${from} to ${to} already`, {
      hint: 'to change the period of a contract give it an end, and declare another one from the next day on',
    });
  }
}

async function insert(tx: Kysely<Tables>, clock: Clock, contract: ContractConfig, body: StatementBody, who: string): Promise<Statement> {
  const now = clock.now();
  const last = await tx.selectFrom('statements').select('hash').orderBy('id', 'desc').limit(1).executeTakeFirst();
  const number = await nextNumber(tx, contract, now);
  const issued = { ...body, state: 'issued' as const, number, issuedAt: now.toString(), previous: last?.hash ?? CHAIN_START };
  const document = canonicalJson(issued);
  const hash = statementHash(document);
  const { currency, kind, lines, net, period } = body;
  await tx
    .insertInto('statements')
    .values({
      ...{
        number,
        contract: contract.name,
        kind,
        period: (period?.from ?? dayIn(now, contract.timezone)).slice(0, 7),
        currency,
        net,
        hash,
        document,
      },
      ...{ issuedAt: now.epochMilliseconds, issuedBy: who },
      corrections: JSON.stringify(lines.flatMap((line) => (line.kind === 'correction' ? [line.id] : []))),
    })
    .execute();
  await tx
    .insertInto('audit')
    .values({ at: now.epochMilliseconds, who, what: ISSUED, shop: null, detail: JSON.stringify({ number, hash, net, currency }) })
    .execute();
  return { ...issued, hash };
}

/** What the audit says of each. */
export const ISSUED = 'billing statement issue';

async function nextNumber(tx: Kysely<Tables>, { name, timezone }: ContractConfig, now: Temporal.Instant): Promise<string> {
  const beginning = `${name}-${now.toZonedDateTimeISO(timezone).year}-`;
  const rows = await tx.selectFrom('statements').select('number').where('contract', '=', name).execute();
  const used = rows.filter(({ number }) => number.startsWith(beginning)).map(({ number }) => Number(number.slice(beginning.length)));
  return `${beginning}${String(Math.max(0, ...used) + 1).padStart(4, '0')}`;
}

/** Throws E_UNKNOWN_STATEMENT. */
export async function statementOfPeriod(db: Kysely<Tables>, contract: ContractConfig, month: string): Promise<StatementRow> {
  const period = billingPeriod(contract, month);
  const row = await rowOfPeriod(db, contract.name, period);
  if (!row) throw new CoffreError('E_UNKNOWN_STATEMENT', `no statement of ${contract.name} for ${period.from} to ${period.to} was issued`);
  return row;
}

export interface StatementPage {
  readonly contract?: string | undefined;
  /** Of issue. */
  readonly year?: number | undefined;
  /** Issued before this one: the last id of the page before. */
  readonly before?: number | undefined;
  readonly limit: number;
}

/** Newest first. */
export async function pageOfStatements(db: Kysely<Tables>, page: StatementPage): Promise<StatementRow[]> {
  let query = db.selectFrom('statements').selectAll();
  if (page.contract !== undefined) query = query.where('contract', '=', page.contract);
  if (page.year !== undefined) query = query.where(sql<boolean>`"number" like "contract" || '-' || ${page.year} || '-%'`);
  if (page.before !== undefined) query = query.where('id', '<', page.before);
  return await query.orderBy('id', 'desc').limit(page.limit).execute();
}

/** First and last days of all periods of a contract that were billed. */
export async function billedDays(db: Kysely<Tables>, contract: string): Promise<Pick<BillingPeriod, 'from' | 'to'>[]> {
  const rows = await db.selectFrom('statements').selectAll().where('contract', '=', contract).where('kind', '=', 'period').execute();
  return rows.map((row) => billedPeriod(documentOf(row)));
}

/** First day of the last period of a contract that was billed; null: none was. */
export async function lastPeriod(db: Kysely<Tables>, contract: string): Promise<string | null> {
  const row = await db
    .selectFrom('statements')
    .select('period')
    .where('contract', '=', contract)
    .where('kind', '=', 'period')
    .orderBy('period', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row === undefined ? null : `${row.period}-01`;
}

// What the ledger knows of the period that a statement bills: its peak, and how much of the period it cannot tell of.
import type { Kysely } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { Tables } from '../catalog/tables.ts';
import type { ContractConfig } from '../config/config.ts';
import { ledgerSince } from './ledger-start.ts';
import type { BillingPeriod } from './period.ts';
import { type Measured, measuredPeriod, type StatementInput } from './statement.ts';
import type { BillingDeps } from './statement-rows.ts';

export type Measure = Required<Pick<StatementInput, 'measured' | 'unmeasured'>>;

/** Throws E_LEDGER_PURGED when rows of the period are gone. */
export async function measureFor(
  { catalog, peaks }: Pick<BillingDeps, 'catalog' | 'peaks'>,
  contract: ContractConfig,
  period: BillingPeriod,
): Promise<Measure> {
  const billed = measuredPeriod(contract, period);
  if (billed === null) return { measured: null, unmeasured: null };
  const unmeasured = await unmeasuredThrough(catalog.db, contract.timezone, billed);
  // of nothing no peak is told: 0 bytes would be a measure
  const measured: Measured | null = unmeasured === billed.to ? null : { period: billed, peaks: await peaks(catalog, contract, billed) };
  return { measured, unmeasured };
}

/** The last day before the ledger began; null: it had begun on the first day of the period. */
async function unmeasuredThrough(db: Kysely<Tables>, timezone: string, { end, from, start, to }: BillingPeriod): Promise<string | null> {
  const since = await ledgerSince(db);
  if (since === null || since >= end.epochMilliseconds) return to;
  if (since <= start.epochMilliseconds) return null;
  const day = Temporal.Instant.fromEpochMilliseconds(since).toZonedDateTimeISO(timezone).toPlainDate();
  return day.toString() === from ? null : day.subtract({ days: 1 }).toString();
}

// Which statements of a contract the daemon issues by itself, and issuing them.
import type { Kysely } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { Tables } from '../catalog/tables.ts';
import type { ContractConfig } from '../config/config.ts';
import { asCoffreError, type CoffreError } from '../errors.ts';
import { ledgerSince } from './ledger-start.ts';
import { type BillingPeriod, billingPeriod, closedFrom, closedOn, isDue, periodAfter, periodAt, periodBefore } from './period.ts';
import { measuredPeriod } from './statement.ts';
import type { BillingDeps } from './statement-rows.ts';
import type { Statement } from './statement-schema.ts';
import { billedDays, issueStatement, lastPeriod, readyFrom } from './statements.ts';

/** After the end of a period: what was under way at that instant has been written down by then. */
const GRACE_MS = 300_000;

/**
 * Periods of which something is due and whose time has come, oldest first: those after the last one that was issued (its first day; null:
 * none was), and of a contract that has none yet the newest alone, unless nothing of it was measured: what was before coffre came somebody
 * billed otherwise. `sinceMs`: when the ledger began, null: it has not. Pure.
 */
export function periodsToIssue(
  contract: ContractConfig,
  last: string | null,
  now: Temporal.Instant,
  sinceMs: number | null,
): BillingPeriod[] {
  const found: BillingPeriod[] = [];
  const before = now.subtract({ milliseconds: GRACE_MS });
  for (let period = periodAt(contract, now); ; period = periodBefore(contract, period)) {
    if (last !== null && period.from <= last) break;
    if (Temporal.Instant.compare(now, closedFrom(period, contract.timezone)) >= 0) break;
    if (Temporal.Instant.compare(before, readyFrom(contract, period)) < 0) continue;
    // what is paid in advance owes nothing to what was measured
    const isBefore = contract.paid === 'arrears' && period.end.epochMilliseconds <= (sinceMs ?? Number.POSITIVE_INFINITY);
    if (last === null && isBefore) break;
    if (isDue(contract, period) || measuredPeriod(contract, period) !== null) found.unshift(period);
    else if (contract.start !== null && period.to < contract.start) break;
    if (last === null && found.length > 0) break;
  }
  return found;
}

/** Days are ISO dates in the contract's zone. */
export interface DuePeriod {
  readonly contract: string;
  readonly from: string;
  readonly to: string;
  /** The last day on which its statement can be issued. */
  readonly until: string;
}

/**
 * Periods of a contract of which something is due, whose time has come and is not over, and of which no statement was issued, oldest first;
 * those before `from` (ISO date) alone when that is given. What was over when the ledger began is none of them: that somebody billed otherwise.
 */
export async function duePeriods(
  { catalog, clock }: Pick<BillingDeps, 'catalog' | 'clock'>,
  contract: ContractConfig,
  from: string | null = null,
): Promise<DuePeriod[]> {
  const now = clock.now();
  const since = (await ledgerSince(catalog.db)) ?? now.epochMilliseconds;
  const billed = await billedDays(catalog.db, contract.name);
  const found: DuePeriod[] = [];
  for (let period = periodAt(contract, now); ; period = periodBefore(contract, period)) {
    if (Temporal.Instant.compare(now, closedFrom(period, contract.timezone)) >= 0 || period.end.epochMilliseconds <= since) break;
    if (from !== null && period.from >= from) continue;
    if (Temporal.Instant.compare(now, readyFrom(contract, period)) < 0) continue;
    if (!isDue(contract, period) && measuredPeriod(contract, period) === null) continue;
    if (billed.some((one) => one.from <= period.to && one.to >= period.from)) continue;
    const until = Temporal.PlainDate.from(closedOn(period)).subtract({ days: 1 }).toString();
    found.unshift({ contract: contract.name, from: period.from, to: period.to, until });
  }
  return found;
}

/** Whether the last statement that a contract will ever have was issued: what it does not carry, no other one does by itself. */
export async function isLastIssued(db: Kysely<Tables>, contract: ContractConfig): Promise<boolean> {
  if (contract.end === null) return false;
  const ending = billingPeriod(contract, contract.end.slice(0, 7));
  // what is paid in advance bills the volume of its last period in the one after it
  const { from } = contract.paid === 'advance' ? periodAfter(contract, ending) : ending;
  const last = await lastPeriod(db, contract.name);
  return last !== null && last >= from;
}

export interface DueIssued {
  readonly issued: readonly Statement[];
  /** At most one for each contract: what comes after it waits. */
  readonly failed: readonly { readonly contract: string; readonly error: CoffreError }[];
}

/** Issues what is due of contracts with `issue: auto`. Never throws. */
export async function issueDue(deps: BillingDeps, who: string): Promise<DueIssued> {
  const issued: Statement[] = [];
  const failed: { contract: string; error: CoffreError }[] = [];
  for (const contract of deps.config.contracts.values()) {
    if (contract.issue !== 'auto') continue;
    try {
      const last = await lastPeriod(deps.catalog.db, contract.name);
      for (const { from } of periodsToIssue(contract, last, deps.clock.now(), await ledgerSince(deps.catalog.db))) {
        const { isNew, statement } = await issueStatement(deps, contract, from.slice(0, 7), who);
        if (isNew) issued.push(statement);
      }
    } catch (error) {
      failed.push({ contract: contract.name, error: asCoffreError(error) });
    }
  }
  return { issued, failed };
}

/** What fails for so long is no matter of moments. */
const OVERDUE_MS = 3_600_000;

/** Names of contracts with `issue: auto` of which a statement has been due for an hour. */
export async function overdueContracts(db: Kysely<Tables>, contracts: Iterable<ContractConfig>, now: Temporal.Instant): Promise<string[]> {
  const found: string[] = [];
  for (const contract of contracts) {
    if (contract.issue !== 'auto') continue;
    const last = await lastPeriod(db, contract.name);
    const before = now.subtract({ milliseconds: OVERDUE_MS });
    const isOverdue = (period: BillingPeriod): boolean => Temporal.Instant.compare(before, readyFrom(contract, period)) >= 0;
    if (periodsToIssue(contract, last, now, await ledgerSince(db)).some(isOverdue)) found.push(contract.name);
  }
  return found;
}

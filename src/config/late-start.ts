// Contracts that begin late in a billing period: it is due whole, which few of those who write a `start` expect.
import { Temporal } from 'temporal-polyfill';
import type { ContractConfig } from './config.ts';
import { billed, MONTHS } from './double-billing.ts';
import type { KeyPath } from './problems.ts';

/** ISO dates, `to` the last day. */
export interface LateStart {
  readonly from: string;
  readonly to: string;
}

/** The period in which a contract begins, when more of its days are before the beginning than after it; null: there is none such. Pure. */
export function lateStart(contract: ContractConfig): LateStart | null {
  const { from } = billed(contract);
  if (from === null || contract.start === null) return null;
  const first = Temporal.PlainDate.from(from);
  const next = first.add({ months: MONTHS[contract.period] });
  const start = Temporal.PlainDate.from(contract.start);
  if (first.until(start).total('days') <= start.until(next).total('days')) return null;
  return { from, to: next.subtract({ days: 1 }).toString() };
}

/** Nothing is refused for it: a started period is due. */
export function warnLateStart(contracts: Iterable<ContractConfig>, warn: (at: KeyPath, message: string) => void): void {
  for (const contract of contracts) {
    const late = lateStart(contract);
    if (late !== null) warn(['contracts', contract.name, 'start'], lateStartText(contract, late));
  }
}

/** `is 2026-01-15, and the period 2025-03-01 to 2026-02-28 in which that lies is due whole, …` */
export function lateStartText({ period, start }: Pick<ContractConfig, 'period' | 'start'>, { from, to }: LateStart): string {
  const keys = period === 'month' ? 'start' : 'start, period and firstMonth';
  return `is ${start}, and the period ${from} to ${to} in which that lies is due whole, although most of it is before: look at ${keys}`;
}

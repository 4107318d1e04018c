// Contracts that bill the same bytes twice: of one vault, with a shop in common, in periods that overlap.
import { Temporal } from 'temporal-polyfill';
import type { ContractConfig } from './config.ts';
import type { KeyPath } from './problems.ts';

export const MONTHS = { month: 1, quarter: 3, year: 12 } as const;

/** Nothing is refused for it: a contract that ends within a period bills it whole, whatever comes after. */
export function warnDoubleBilling(contracts: Iterable<ContractConfig>, warn: (at: KeyPath, message: string) => void): void {
  const earlier: { readonly other: ContractConfig; readonly span: Span }[] = [];
  for (const contract of contracts) {
    const own = billed(contract);
    for (const { other, span } of earlier) {
      if (contract.vault !== other.vault || !isBefore(own.from, span.to) || !isBefore(span.from, own.to)) continue;
      const shops = inCommon(contract, other);
      if (shops === null) continue;
      warn(
        ['contracts', contract.name],
        `bills what ${other.name} bills too: both cover ${shops} in ${contract.vault}, and have periods in common, which are due whole`,
      );
    }
    earlier.push({ other: contract, span: own });
  }
}

/** In words; null: none. */
function inCommon({ shops: a }: ContractConfig, { shops: b }: ContractConfig): string | null {
  if (a === null && b === null) return 'every shop';
  const common = a === null ? b : b === null ? a : a.filter((shop) => b.includes(shop));
  return common === null || common.length === 0 ? null : common.join(', ');
}

/** First and last day; null: without beginning, or without end. */
interface Span {
  readonly from: string | null;
  readonly to: string | null;
}

const isBefore = (from: string | null, to: string | null): boolean => from === null || to === null || from <= to;

/** From the first day of the period in which it begins through the last day of that in which it ends. */
export function billed({ end, firstMonth, period, start }: ContractConfig): Span {
  const months = MONTHS[period];
  const first = (text: string): Temporal.PlainDate => {
    const day = Temporal.PlainDate.from(text).with({ day: 1 });
    return day.subtract({ months: (day.month - firstMonth + 12) % months });
  };
  return {
    from: start === null ? null : first(start).toString(),
    to: end === null ? null : first(end).add({ months }).subtract({ days: 1 }).toString(),
  };
}

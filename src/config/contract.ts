// What must agree within a contract: days in their order, and nothing that means nothing.
import type { KeyPath } from './problems.ts';
import type { ConfigFile } from './schema.ts';

export function checkContract(
  { end, firstMonth, index, period, prices, start }: ConfigFile['contracts'][string],
  at: KeyPath,
  report: (path: KeyPath, message: string) => void,
): void {
  if (start && end && end < start) report([...at, 'end'], `is ${end}, before its start ${start}`);
  if (firstMonth !== 1 && period === 'month') report([...at, 'firstMonth'], 'means nothing with period month');
  inOrder(
    prices.map((price) => price.from),
    [...at, 'prices'],
    'from',
    report,
  );
  prices.forEach((price, position) => {
    if (price.s0 && !index) report([...at, 'prices', position, 's0'], 'means nothing without index');
  });
  inOrder(index?.values.map((value) => value.date) ?? [], [...at, 'index', 'values'], 'date', report);
}

/** Two for one day would leave open which one counts; out of order one of them is most likely a typing error. */
function inOrder(days: readonly string[], at: KeyPath, key: string, report: (path: KeyPath, message: string) => void): void {
  days.forEach((day, position) => {
    const before = days[position - 1];
    if (before !== undefined && day <= before) report([...at, position, key], `is ${day}, not later than ${before} before it`);
  });
}

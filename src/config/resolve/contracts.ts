// From contracts: as written to the contracts in use, and what must agree within one: days in their order, and nothing that means nothing.
import type { ContractConfig } from '../config.ts';
import type { KeyPath } from '../problems.ts';
import type { ConfigFile } from '../schema.ts';
import type { Reading } from './reading.ts';

export function resolveContract(name: string, value: ConfigFile['contracts'][string], at: KeyPath, reading: Reading): ContractConfig {
  const { mustExist, report, written } = reading;
  mustExist([...at, 'vault'], value.vault, 'vaults');
  value.shops?.forEach((shop, index) => {
    mustExist([...at, 'shops', index], shop, 'shops');
  });
  checkContract(value, at, report);
  const { firstMonth, issue, paid, period, price, rebill, subscribedTB, vault } = value;
  return {
    ...{ name, vault, title: value.title ?? null, subscribedTB, period, paid, firstMonth, price, rebill, issue },
    ...{ start: value.start ?? null, end: value.end ?? null, timezone: value.timezone ?? written.timezone },
    prices: value.prices.map(({ from, perTBMonth, s0 }) => ({ from, perTBMonth, s0: s0 ?? null })),
    taxPercent: value.taxPercent ?? null,
    taxRates: value.taxRates,
    index: value.index ?? null,
    shops: value.shops ?? null,
  };
}

function checkContract(
  { end, firstMonth, index, period, prices, start, taxRates }: ConfigFile['contracts'][string],
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
  inOrder(
    taxRates.map((rate) => rate.from),
    [...at, 'taxRates'],
    'from',
    report,
  );
  inOrder(index?.values.map((value) => value.date) ?? [], [...at, 'index', 'values'], 'date', report);
}

/** Two for one day would leave open which one counts; out of order one of them is most likely a typing error. */
function inOrder(days: readonly string[], at: KeyPath, key: string, report: (path: KeyPath, message: string) => void): void {
  days.forEach((day, position) => {
    const before = days[position - 1];
    if (before !== undefined && day <= before) report([...at, position, key], `is ${day}, not later than ${before} before it`);
  });
}

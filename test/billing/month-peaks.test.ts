import type { Insertable } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import { expect, onTestFinished, test } from 'vitest';
import { monthPeaks } from '../../src/billing/month-peaks.ts';
import { type Catalog, openCatalog } from '../../src/catalog/open.ts';
import type { LedgerTable } from '../../src/catalog/tables/ledger.ts';
import type { ContractConfig } from '../../src/config/config.ts';
import { tempDir } from '../temp-dir.ts';
import { contractC } from './contract.ts';

interface Row {
  readonly at: string | number;
  readonly vault: string;
  readonly shop: string;
  readonly bytes: number;
}

async function catalogWith(rows: readonly Row[]): Promise<Catalog> {
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  await catalog.transaction(async (tx) => {
    for (let i = 0; i < rows.length; i += 1000) {
      const values = rows.slice(i, i + 1000).map((row): Insertable<LedgerTable> => {
        const at = typeof row.at === 'number' ? row.at : Temporal.Instant.from(row.at).epochMilliseconds;
        return { ...row, at, key: 'k', versionId: 'v', event: row.bytes > 0 ? 'put' : 'release', cause: null, hash: '' };
      });
      await tx.insertInto('ledger').values(values).execute();
    }
  });
  return catalog;
}

function contract(name: string, vault: string, shops: readonly string[] | null = null, timezone = 'Europe/Paris'): ContractConfig {
  return contractC({ name, vault, shops, timezone });
}

test('a peak reached just before the month and given up just after it began - the opening level counts', async () => {
  const catalog = await catalogWith([
    { at: '2026-02-28T22:59:59.999Z', vault: 'offsite', shop: 'dupont', bytes: 500 },
    { at: '2026-02-28T23:00:00.001Z', vault: 'offsite', shop: 'dupont', bytes: -400 },
  ]);
  const peaks = await monthPeaks(catalog, { month: '2026-03', contracts: [contract('csi', 'offsite')], timezone: 'Europe/Paris' });
  expect(peaks).toEqual({
    month: '2026-03',
    measured: 'whole',
    contracts: [{ contract: 'csi', vault: 'offsite', peakBytes: 500, at: '2026-02-28T23:00:00Z' }],
    shops: [{ shop: 'dupont', vault: 'offsite', peakBytes: 500, at: '2026-02-28T23:00:00Z', shareAtContractPeakBytes: 500 }],
  });
});

test('the last millisecond of March in Paris belongs to March, the next to April, in another zone otherwise', async () => {
  const catalog = await catalogWith([
    { at: '2026-03-31T21:59:59.999Z', vault: 'offsite', shop: 'dupont', bytes: 10 },
    { at: '2026-03-31T22:00:00Z', vault: 'offsite', shop: 'dupont', bytes: 90 },
  ]);
  const peakIn = async (month: string, zone: string): Promise<number | undefined> => {
    const peaks = await monthPeaks(catalog, { month, contracts: [contract('csi', 'offsite', null, zone)], timezone: 'UTC' });
    return peaks.contracts[0]?.peakBytes;
  };
  expect(await peakIn('2026-03', 'Europe/Paris')).toBe(10);
  expect(await peakIn('2026-04', 'Europe/Paris')).toBe(100);
  expect(await peakIn('2026-03', 'UTC')).toBe(100);
});

test('a contract for some shops, another vault, a shop without contract - each counted where it belongs', async () => {
  const catalog = await catalogWith([
    { at: '2026-03-05T00:00:00Z', vault: 'offsite', shop: 'dupont', bytes: 100 },
    { at: '2026-03-06T00:00:00Z', vault: 'offsite', shop: 'martin', bytes: 30 },
    { at: '2026-03-07T00:00:00Z', vault: 'nas', shop: 'dupont', bytes: 7 },
    { at: '2026-03-08T00:00:00Z', vault: 'offsite', shop: '_coffre', bytes: 1 },
  ]);
  const request = { month: '2026-03', timezone: 'Europe/Paris' };
  const some = await monthPeaks(catalog, { ...request, contracts: [contract('csi', 'offsite', ['dupont'])] });
  expect(some.contracts).toEqual([{ contract: 'csi', vault: 'offsite', peakBytes: 100, at: '2026-03-05T00:00:00Z' }]);
  expect(some.shops.map((row) => [row.vault, row.shop, row.shareAtContractPeakBytes])).toEqual([
    ['nas', 'dupont', null],
    ['offsite', '_coffre', null],
    ['offsite', 'dupont', 100],
    ['offsite', 'martin', null],
  ]);
  const whole = await monthPeaks(catalog, { ...request, contracts: [contract('csi', 'offsite')] });
  expect(whole.contracts[0]?.peakBytes).toBe(131);
  const shares = whole.shops.filter((row) => row.vault === 'offsite').map((row) => row.shareAtContractPeakBytes ?? 0);
  expect(shares.reduce((a, b) => a + b, 0)).toBe(131);
});

test('twelve thousand rows over several months, read page by page - as a replay over all of them finds it', async () => {
  const start = Temporal.Instant.from('2026-02-20T00:00:00Z').epochMilliseconds;
  const rows: Row[] = [];
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed % below;
  };
  for (let i = 0; i < 12_000; i++) {
    rows.push({
      at: start + i * 500_000 + random(499_999),
      vault: random(3) === 0 ? 'nas' : 'offsite',
      shop: `shop${random(5)}`,
      bytes: random(1000) - 480,
    });
  }
  const catalog = await catalogWith(rows);
  const peaks = await monthPeaks(catalog, { month: '2026-03', contracts: [contract('csi', 'offsite')], timezone: 'Europe/Paris' });
  const first = Temporal.Instant.from('2026-02-28T23:00:00Z').epochMilliseconds;
  const end = Temporal.Instant.from('2026-03-31T22:00:00Z').epochMilliseconds;
  let sum = 0;
  let best = Number.NEGATIVE_INFINITY;
  for (const row of rows) {
    if (row.vault !== 'offsite' || Number(row.at) >= end) continue;
    if (Number(row.at) >= first) best = Math.max(best, sum);
    sum += row.bytes;
  }
  expect(peaks.contracts[0]?.peakBytes).toBe(Math.max(best, sum));
});

test('one contract ended and the next began within the year - each has its own part, and a shop its own peak of the whole year', async () => {
  const catalog = await catalogWith([
    { at: '2026-02-05T00:00:00Z', vault: 'offsite', shop: 'dupont', bytes: 100 },
    { at: '2026-07-06T00:00:00Z', vault: 'offsite', shop: 'dupont', bytes: 50 },
  ]);
  // its last quarter is due whole
  const old = contractC({ name: 'old', end: '2026-05-02', period: 'quarter', timezone: 'UTC' });
  const next = contractC({ name: 'next', start: '2026-07-01', timezone: 'UTC' });
  const asked = async (month: string) => {
    const { contracts, shops } = await monthPeaks(catalog, { month, contracts: [old, next], timezone: 'UTC' });
    return [contracts.map((one) => [one.contract, one.peakBytes]), shops.map((one) => [one.peakBytes, one.shareAtContractPeakBytes])];
  };
  expect(await asked('2026-06')).toEqual([[['old', 100]], [[100, 100]]]);
  expect(await asked('2026-07')).toEqual([[['next', 150]], [[150, 150]]]);
  expect(await asked('2026')).toEqual([
    [
      ['old', 100],
      ['next', 150],
    ],
    [[150, 100]],
  ]);
  const measured = async (month: string) => (await monthPeaks(catalog, { month, contracts: [old], timezone: 'UTC' })).measured;
  expect([await measured('2026-01'), await measured('2026-02'), await measured('2026-03')]).toEqual(['none', 'part', 'whole']);
  const all = contractC({ name: 'over', end: '2025-12-31', timezone: 'UTC' });
  expect(await monthPeaks(catalog, { month: '2026-03', contracts: [all], timezone: 'UTC' })).toMatchObject({
    contracts: [],
    shops: [{ shop: 'dupont', shareAtContractPeakBytes: null }],
  });
});

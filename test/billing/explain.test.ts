import { expect, onTestFinished, test } from 'vitest';
import { explainPeak } from '../../src/billing/explain.ts';
import { prepareProof } from '../../src/billing/prepare-proof.ts';
import { type Catalog, openCatalog } from '../../src/catalog/open.ts';
import { tempDir } from '../temp-dir.ts';
import { contractC } from './contract.ts';
import { store } from './stored.ts';

const DAY = 86_400_000;
const START = Date.UTC(2026, 2, 1, 12);

async function catalog(): Promise<Catalog> {
  const opened = await openCatalog(await tempDir());
  onTestFinished(() => opened.close());
  return opened;
}

const plans = { dupont: { retentionMs: 10 * DAY, fresh: true }, martin: { retentionMs: 10 * DAY, fresh: false } };

test('a peak of three snapshots - what is needed, what is locked and over, what another window and reread would have cost', async () => {
  const opened = await catalog();
  const segment = (content: string, bytes: number) => ({ content, bytes });
  const common = { keptMs: 10 * DAY, lockedMs: 17 * DAY };
  await store(opened, { id: 'a', atMs: START, ...common, segments: [segment('x', 1000), segment('y', 200)] });
  await store(opened, { id: 'b', atMs: START + 8 * DAY, ...common, segments: [segment('x', 1000), segment('z', 30)] });
  await store(opened, { id: 'c', atMs: START + 12 * DAY, ...common, segments: [segment('w', 4)], full: false, reuses: ['b-0', 'a-1'] });
  await store(opened, { id: 'm', shop: 'martin', atMs: START + 12 * DAY, ...common, segments: [segment('x', 500)] });
  const contract = contractC({ timezone: 'UTC' });
  const explained = await explainPeak(opened, { month: '2026-03', contract, shop: null, plans, windowMs: 3 * DAY });
  expect(explained).toMatchObject({ peakBytes: 2734, at: '2026-03-13T12:00:00Z' });
  // a-0 is of a alone, whose window ended two days before; its lock goes on; a-1 is used by c
  expect(Object.fromEntries(explained.purposes.map(({ bytes, purpose }) => [purpose, bytes]))).toEqual({ needed: 1734, locked: 1000 });
  expect(explained.shops).toEqual([
    { shop: 'dupont', bytes: 2234, purposes: { needed: 1234, locked: 1000 } },
    { shop: 'martin', bytes: 500, purposes: { needed: 500 } },
  ]);
  expect(explained.objects.find(({ key }) => key.includes('a-1'))).toMatchObject({
    snapshots: ['a', 'c'],
    purpose: 'needed',
    lockedUntil: '2026-03-18T12:00:00Z',
  });
  expect(explained.instead).toEqual([
    // with three days and a prune a day later: a-0 and b-1 would have been gone
    { what: 'a window of 3 d', peakBytes: 1704, savedBytes: 1030 },
    // b-0 is what a-0 was; martin's plan rereads already
    { what: 'full: reread', peakBytes: 1734, savedBytes: 1000 },
  ]);
  const shop = await explainPeak(opened, { month: '2026-03', contract, shop: 'martin', plans, windowMs: null });
  expect([shop.peakBytes, shop.purposes.map(({ bytes }) => bytes)]).toEqual([2734, [500]]);
  await expect(explainPeak(opened, { month: '2026-03', contract, shop: 'durand', plans, windowMs: null })).rejects.toMatchObject({
    code: 'E_UNKNOWN_SHOP',
  });
  const over = contractC({ timezone: 'UTC', end: '2026-02-28' });
  await expect(explainPeak(opened, { month: '2026-03', contract: over, shop: null, plans, windowMs: null })).rejects.toMatchObject({
    code: 'E_STATEMENT_NONE',
  });
  // nothing of it to be asked of the store; its checkpoints are read all the same
  expect(await prepareProof(opened, { month: '2026-03', contracts: [over], isNamed: true })).toMatchObject({
    vaults: ['offsite'],
    peaks: [],
  });
});

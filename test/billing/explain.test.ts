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
    // with three days and a prune a day later a-0 would have been gone; b was the newest good one until the peak
    { what: 'a window of 3 d', peakBytes: 1734, savedBytes: 1000 },
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

test('a shop whose backups had stopped - its newest good one stays with any window, what waits for a prune is no saving, and later locks are said', async () => {
  const opened = await catalog();
  const kept = { keptMs: 3 * DAY, lockedMs: 3 * DAY };
  await store(opened, { id: 'a', atMs: START, ...kept, segments: [{ content: 'x', bytes: 100 }] });
  await store(opened, { id: 'b', atMs: START + DAY, ...kept, segments: [{ content: 'y', bytes: 1000 }] });
  await store(opened, { id: 'd', source: 'database', atMs: START + 9 * DAY, ...kept, segments: [{ content: 'z', bytes: 5000 }] });
  // its lock was given long after the peak
  await opened.db
    .updateTable('objects')
    .set({ retainUntil: START + 30 * DAY, lockReadAt: START + 20 * DAY })
    .execute();
  await opened.db
    .updateTable('objects')
    .set({ retainUntil: START + 3 * DAY })
    .where('refId', '=', 'a-0')
    .execute();
  const request = { month: '2026-03', contract: contractC({ timezone: 'UTC' }), shop: null, plans, windowMs: DAY };
  const explained = await explainPeak(opened, request);
  expect(Object.fromEntries(explained.purposes.map(({ bytes, purpose }) => [purpose, bytes]))).toEqual({
    needed: 5000,
    newest: 1000,
    expired: 100,
  });
  expect(explained.instead.map(({ savedBytes, what }) => [what, savedBytes])).toEqual([
    ['a window of 1 d', 0],
    ['full: reread', 0],
    ['what had expired, pruned at once', 100],
  ]);
  await opened.db
    .updateTable('objects')
    .set({ retainUntil: START + 30 * DAY })
    .where('refId', '=', 'a-0')
    .execute();
  const locked = await explainPeak(opened, request);
  expect(locked.limits[0]).toMatch(/as they are now: 1 object\(s\), 100 bytes/);
  for (const windowMs of [0, 10 * DAY, 400 * DAY])
    await expect(explainPeak(opened, { ...request, windowMs })).rejects.toMatchObject({ code: 'E_USAGE' });
});

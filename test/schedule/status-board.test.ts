import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openCatalog } from '../../src/catalog/open.ts';
import { endPause, pauseShop } from '../../src/catalog/pauses.ts';
import type { ShopConfig } from '../../src/config/config.ts';
import { parseConfig } from '../../src/config/load.ts';
import { readStatus } from '../../src/schedule/read-status.ts';
import { StatusBoard } from '../../src/schedule/status-board.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';

async function setting() {
  const dir = await tempDir();
  const configOf = (retention: string) =>
    parseConfig(
      [
        `stateDir: ${dir}/state`,
        'encryption: none',
        `vaults: { nas: { type: filesystem, path: ${dir}/nas } }`,
        `plans: { plan: { retention: ${retention} } }`,
        'shops:',
        ...['a', 'b'].map((name) => `  ${name}: { plan: plan, vaults: [nas], files: { root: ${dir}/${name} } }`),
      ].join('\n'),
      join(dir, 'coffre.yaml'),
      {},
    );
  const current = { config: configOf('14d') };
  const clock = new FakeClock();
  const catalog = await openCatalog(current.config.stateDir);
  onTestFinished(() => catalog.close());
  const board = new StatusBoard({ config: () => current.config, catalog, clock });
  const shops = (): ShopConfig[] => [...current.config.shops.values()];
  const order = { who: 'anna', reason: null, until: null };
  /** Whether the two answers hold the same readings, by shop. */
  const isKept = async (before: readonly unknown[]): Promise<boolean[]> =>
    (await board.of(shops())).map((status, at) => status === before[at]);
  return { board, catalog, clock, configOf, current, isKept, order, shops };
}

test('nothing changes - read once, as coffre status says it; a minute later read again', async () => {
  const it = await setting();
  const first = await it.board.of(it.shops());
  for (const [at, shop] of it.shops().entries())
    expect(first[at]).toEqual(await readStatus(it.current.config, it.catalog, shop, it.clock.nowMs()));
  it.clock.advance(59_000);
  expect(await it.isKept(first)).toEqual([true, true]);
  it.clock.advance(1000);
  expect(await it.isKept(first)).toEqual([false, false]);
});

test('a run of a shop goes on - that shop is read again; of the daemon itself: all are; its progress changes nothing', async () => {
  const it = await setting();
  let before = await it.board.of(it.shops());
  it.board.happened({ shop: 'a', type: 'progress' });
  expect(await it.isKept(before)).toEqual([true, true]);
  for (const type of ['queued', 'started', 'step', 'ended'] as const) {
    it.board.happened({ shop: 'a', type });
    expect([type, await it.isKept(before)]).toEqual([type, [false, true]]);
    before = await it.board.of(it.shops());
  }
  it.board.happened({ shop: '_coffre', type: 'ended' });
  expect(await it.isKept(before)).toEqual([false, false]);
});

test('another process writes into the catalog - seen at once', async () => {
  const it = await setting();
  const before = await it.board.of(it.shops());
  // SQLite takes another connection for another process
  await using other = await openCatalog(it.current.config.stateDir);
  await pauseShop(other, it.clock, 'b', it.order);
  expect((await it.board.of(it.shops())).map(({ pause }) => pause !== null)).toEqual([false, true]);
  const paused = await it.board.of(it.shops());
  expect(await it.isKept(paused)).toEqual([true, true]);
  expect(await it.isKept(before)).toEqual([false, false]);
});

test('changed here by other means, or another configuration - seen at once', async () => {
  const it = await setting();
  await it.board.of(it.shops());
  await pauseShop(it.catalog, it.clock, 'a', it.order);
  it.board.changed();
  const paused = await it.board.of(it.shops());
  expect(paused.map(({ pause }) => pause !== null)).toEqual([true, false]);
  await endPause(it.catalog, it.clock, 'a', it.order);
  it.board.changed();
  const resumed = await it.board.of(it.shops());
  expect(resumed.map(({ pause }) => pause)).toEqual([null, null]);
  it.current.config = it.configOf('30d');
  expect(await it.isKept(resumed)).toEqual([false, false]);
});

import { expect, test } from 'vitest';
import { Notifier } from '../../src/notify/notifier.ts';
import { BillingBoard } from '../../src/schedule/billing-board.ts';
import { store } from '../billing/stored.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';
import { startReceiver } from './receivers.ts';
import { notifiedService } from './service.ts';

const DAY = 86_400_000;

test('a step and a quota ahead - told once each, before, after a restart too, and nothing is red', async () => {
  const receiver = await startReceiver();
  const dir = await tempDir();
  const clock = new FakeClock('2026-03-11T12:00:00Z');
  const daemon = await notifiedService(clock, dir, [
    'timezone: UTC',
    `vaults: { offsite: { type: filesystem, path: ${dir}/offsite } }`,
    'plans: { plan: { retention: 14d, quota: 0.2TB, schedule: { files: "0 3 * * *", increments: off } } }',
    'contracts: { csi: { vault: offsite, subscribedTB: 1, price: { perTBMonth: "23.00" } } }',
    `shops: { dupont: { plan: plan, vaults: [offsite], files: { root: ${dir}/a } } }`,
    `notify: { webhook: { url: "${receiver.url}" } }`,
  ]);
  const { catalog, config } = daemon;
  // 95 GB a night, whose live data (twice that in the rows) grows
  for (let day = 8; day > 0; day--) {
    const bytes = 100_000_000_000 - day * 600_000_000;
    await store(catalog, {
      id: `s${day}`,
      atMs: clock.nowMs() - day * DAY,
      keptMs: 14 * DAY,
      lockedMs: 14 * DAY,
      segments: [{ bytes, content: `${day}` }],
    });
  }
  const openVault = () => Promise.reject(new Error('no vault is asked'));
  const service = {
    ...daemon,
    billing: new BillingBoard({ config: () => config, catalog, clock, ports: { openVault } }),
  };
  for (const notifier of [await Notifier.open(service, 'backup1'), await Notifier.open(service, 'backup1')]) {
    await notifier.tick();
    clock.advance(11 * 60_000);
    await notifier.tick();
    clock.advance(7 * 3_600_000);
    await notifier.tick();
  }
  const told = receiver.calls.map(({ body }) => JSON.parse(body));
  expect(told.map(({ kind, forecast, raised }) => [kind, forecast.kind, forecast.name, raised])).toEqual([
    ['forecast', 'step', 'csi', []],
    ['forecast', 'quota', 'dupont', []],
  ]);
  expect(told[0].subject).toMatch(/^coffre on backup1: contract csi is expected to pass 1000 GB about 2026-03-1\d/);
  expect(told[0].text).toMatch(/^Contract csi .*\nBackups go on as planned\./);
});

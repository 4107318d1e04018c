import { expect, test } from 'vitest';
import { issueDue } from '../../src/billing/due-statements.ts';
import { contractPeaks } from '../../src/billing/period-peaks.ts';
import { Notifier } from '../../src/notify/notifier.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';
import { startReceiver } from './receivers.ts';
import { notifiedService } from './service.ts';

/** One contract that the daemon bills, with more keys of it, and a webhook. */
async function setting(keys: string) {
  const receiver = await startReceiver();
  const dir = await tempDir();
  const clock = new FakeClock('2026-04-01T08:00:00Z');
  const service = await notifiedService(clock, dir, [
    'timezone: Europe/Paris',
    `vaults: { nas: { type: filesystem, path: ${dir}/nas } }`,
    'plans: { plan: { retention: 14d } }',
    `contracts: { csi: { vault: nas, subscribedTB: 1, price: { perTBMonth: "23.00" }, issue: auto, taxPercent: "20"${keys} } }`,
    `shops: { a: { plan: plan, vaults: [nas], files: { root: ${dir}/a } } }`,
    `notify: { webhook: { url: "${receiver.url}" } }`,
  ]);
  const { catalog, config } = service;
  // something was measured before the month
  const row = {
    at: Date.parse('2026-02-01T00:00:00Z'),
    vault: 'nas',
    shop: 'a',
    key: 'k',
    versionId: 'v',
    bytes: 1,
    cause: null,
    hash: '',
  };
  await catalog.db
    .insertInto('ledger')
    .values({ ...row, event: 'put' })
    .execute();
  return { catalog, clock, config, receiver, service };
}

test('a statement that the daemon issues - the webhook hears of it once, after a restart too', async () => {
  const { catalog, clock, config, receiver, service } = await setting('');
  expect((await issueDue({ catalog, clock, config, peaks: contractPeaks }, 'coffre')).issued.map((one) => one.number)).toEqual([
    'csi-2026-0001',
  ]);
  for (const notifier of [await Notifier.open(service, 'backup1'), await Notifier.open(service, 'backup1')]) {
    for (let look = 0; look < 3; look++) await notifier.tick();
  }
  const told = receiver.calls.map(({ body }) => JSON.parse(body));
  expect(told).toHaveLength(1);
  expect(told[0]).toMatchObject({
    kind: 'statement',
    subject: 'coffre on backup1: statement csi-2026-0001 of csi: 23.00 EUR before tax',
    statement: {
      number: 'csi-2026-0001',
      contract: 'csi',
      from: '2026-03-01',
      to: '2026-03-31',
      net: '23.00',
      total: '27.60',
      currency: 'EUR',
    },
  });
});

test('a statement that cannot be issued - red after an hour, green again once it was', async () => {
  const index = ', index: { s0: 100, anniversary: 2026-03-15 }';
  const { catalog, clock, config, receiver, service } = await setting(index);
  const notifier = await Notifier.open(service, 'backup1');
  const issue = async (known: typeof config) => (await issueDue({ catalog, clock, config: known, peaks: contractPeaks }, 'coffre')).failed;
  expect((await issue(config)).map(({ error }) => error.code)).toEqual(['E_STATEMENT_INDEX']);
  const pass = async (minutes: number): Promise<string[]> => {
    for (let passed = 0; passed < minutes; passed++) {
      clock.advance(60_000);
      await notifier.tick();
    }
    return receiver.calls.splice(0).map(({ body }) => JSON.parse(body).subject);
  };
  clock.setWall('2026-03-31T22:10:00Z');
  expect(await pass(30)).toEqual([]);
  expect(await pass(60)).toEqual(['coffre on backup1: RED: contract csi: a statement that is due was not issued']);
  const [csi] = [...config.contracts.values()];
  if (csi?.index == null) throw new Error('no contract');
  const mended = { ...csi, index: { ...csi.index, values: [{ date: '2026-03-10', value: 101 }] } };
  expect(await issue({ ...config, contracts: new Map([['csi', mended]]) })).toEqual([]);
  expect(await pass(10)).toEqual([
    'coffre on backup1: statement csi-2026-0001 of csi: 23.13 EUR before tax',
    'coffre on backup1: green again: contract csi: a statement that is due was not issued',
  ]);
});

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { issueDue } from '../../src/billing/due-statements.ts';
import { contractPeaks } from '../../src/billing/period-peaks.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { parseConfig } from '../../src/config/load.ts';
import { Notifier } from '../../src/notify/notifier.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';
import { startReceiver } from './receivers.ts';

test('a statement that the daemon issues - the webhook hears of it once, after a restart too', async () => {
  const receiver = await startReceiver();
  const dir = await tempDir();
  const clock = new FakeClock('2026-04-01T08:00:00Z');
  const config = parseConfig(
    [
      `stateDir: ${dir}/state`,
      'encryption: none',
      `vaults: { nas: { type: filesystem, path: ${dir}/nas } }`,
      'plans: { plan: { retention: 14d } }',
      'contracts: { csi: { vault: nas, subscribedTB: 1, price: { perTBMonth: "23.00" }, issue: auto, taxPercent: "20" } }',
      `shops: { a: { plan: plan, vaults: [nas], files: { root: ${dir}/a } } }`,
      `notify: { webhook: { url: "${receiver.url}" } }`,
    ].join('\n'),
    join(dir, 'coffre.yaml'),
    {},
  );
  await using catalog = await openCatalog(config.stateDir);
  const log = { level: 'info' as const, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const service = {
    ...{ catalog, config, clock, log },
    state: { startedAt: 0, running: [], queued: 0, due: 0, loading: false, stopping: false, configProblem: null },
    survey: { isComplete: true, shops: () => [] },
  };
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

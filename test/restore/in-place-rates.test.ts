// What a restore in place leaves for the estimate of the next one.
import { expect, test } from 'vitest';
import { openCatalog } from '../../src/catalog/open.ts';
import { RATES_KEPT, ratesNear } from '../../src/catalog/rates.ts';
import { systemClock } from '../../src/clock.ts';
import type { InPlaceResult } from '../../src/restore/in-place.ts';
import { recordInPlaceRates } from '../../src/restore/in-place-rates.ts';
import { snapshotRow } from '../rows.ts';
import { tempDir } from '../temp-dir.ts';

const STEPS = [
  { step: 'maintenance', durationMs: 10 },
  { step: 'load', durationMs: 5000 },
  { step: 'swap', durationMs: 20 },
  { step: 'check', durationMs: 30 },
];
const download = { phase: 'download', vault: 'nas', bytes: 600, ms: 60 };

const result = (readBytes: number, phases: readonly object[], rest: object = {}): InPlaceResult =>
  ({
    ...{ outcome: 'restored', steps: STEPS, restored: [{ source: 'files', snapshot: 's', phases, readBytes }] },
    ...rest,
  }) as unknown as InPlaceResult;

test('however little was read - the swap and the safety copy are measured; the rest by whoever read most, and stays', async () => {
  await using catalog = await openCatalog(await tempDir());
  await catalog.transaction((tx) =>
    tx
      .insertInto('snapshots')
      .values(snapshotRow({ id: 's', plainBytes: 1000 }))
      .execute(),
  );
  const shop = { name: 'dupont', host: { type: 'local' } } as const;
  let tick = 0;
  const clock = { ...systemClock, nowMs: () => ++tick };
  const record = (of: InPlaceResult) => recordInPlaceRates(catalog, clock, { shop, runId: 'r' } as never, of, 70);
  const measured = async () => (await ratesNear(catalog, { shop: 'dupont', host: 'local' })).map(({ phase, ms }) => `${phase} ${ms}`);
  await record(result(1000, [download], { outcome: 'rolled back' }));
  await record(result(1000, [download], { steps: STEPS.slice(1) }));
  expect(await measured()).toEqual([]);
  await record(result(0, []));
  await record(result(499, [download]));
  expect((await measured()).sort()).toEqual(['finish 60', 'finish 60', 'safety 70', 'safety 70']);
  await record(result(500, [download]));
  // those that read little do not push it out
  for (let more = 0; more < RATES_KEPT + 2; more++) await record(result(0, []));
  const kept = await measured();
  expect([kept.filter((one) => one === 'download 60').length, kept.filter((one) => one === 'finish 60').length]).toEqual([1, RATES_KEPT]);
});

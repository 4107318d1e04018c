import { Temporal } from 'temporal-polyfill';
import { expect, test } from 'vitest';
import { contractPeaksInThread } from '../../src/billing/in-thread.ts';
import { contractPeaks } from '../../src/billing/period-peaks.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { tempDir } from '../temp-dir.ts';
import { contractC } from './contract.ts';

test('a ledger too long for the daemon’s own thread - the same peaks from another one', async () => {
  await using catalog = await openCatalog(await tempDir());
  const start = Temporal.Instant.from('2026-03-01T00:00:00Z');
  await catalog.transaction(async (tx) => {
    for (let page = 0; page < 21; page++) {
      const rows = Array.from({ length: 1000 }, (_, at) => ({
        ...{ at: start.epochMilliseconds + page * 1000 + at, vault: 'offsite', shop: `shop${at % 3}`, bytes: at % 7 === 0 ? -3 : 1 },
        ...{ key: 'k', versionId: 'v', event: 'put' as const, cause: null, hash: '' },
      }));
      await tx.insertInto('ledger').values(rows).execute();
    }
  });
  const period = { start, end: Temporal.Instant.from('2026-04-01T00:00:00Z') };
  const peaks = await contractPeaksInThread(catalog, contractC(), period);
  expect(peaks.shops).toHaveLength(3);
  expect(peaks).toEqual(await contractPeaks(catalog, contractC(), period));
});

// Which look at the vault a breach notice may call the last one without a finding.
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { listBreaches } from '../../src/catalog/breaches.ts';
import { recordLook, type Sighting } from '../../src/catalog/incidents.ts';
import { saveNotices } from '../../src/catalog/messages.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { finishRun, startRun } from '../../src/catalog/runs.ts';
import type { Config } from '../../src/config/config.ts';
import { readBreachFacts } from '../../src/report/read-breach.ts';
import { newId } from '../../src/segment/id.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';

test('looks that found what is still there, or found nothing - only the newest of the latter is told', async () => {
  const clock = new FakeClock('2026-11-20T08:00:00Z');
  const catalog = await openCatalog(join(await tempDir(), 'state'));
  onTestFinished(() => catalog.close());
  const look = async (keys: readonly string[]): Promise<number> => {
    const id = newId(clock);
    await startRun(catalog, clock, { id, kind: 'reconcile', shop: 'dupont', source: null, who: 'schedule' });
    clock.advance(60_000);
    const sightings = keys.map((key): Sighting => ({ kind: 'foreign version', key, versionId: 'v1', sizeBytes: 1000 }));
    await recordLook(catalog, clock, { vault: 'offsite', shop: 'dupont', kinds: ['foreign version'], sightings, who: 'coffre' });
    await finishRun(catalog, clock, id, 'done', null, {});
    const atMs = clock.nowMs();
    clock.advance(36 * 3_600_000);
    return atMs;
  };
  const clean = await look([]);
  await look(['k1']);
  await look(['k1']);
  await look(['k1', 'k2']);
  const cases = await listBreaches(catalog.db, { all: true });
  const config = { shops: new Map(), timezone: 'Europe/Paris' } as unknown as Config;
  const last = cases.toSorted((a, b) => b.openedAt - a.openedAt)[0];
  if (!last) throw new Error('no case was opened');
  const facts = await readBreachFacts(catalog.db, config, last);
  expect(facts.map(({ lastGoodLookAt, shop }) => [shop, lastGoodLookAt])).toEqual([['dupont', clean]]);
  expect(facts).toMatchObject([{ sources: [], alertedAt: null }]);
  const message = async (id: string, content: object, sentAt: number | null): Promise<void> => {
    const row = { id, at: 0, channel: 'mail' as const, content: JSON.stringify(content), tries: 0, nextAt: 0, sentAt, givenUpAt: null };
    await saveNotices(catalog, { alarms: [], over: [], messages: [{ ...row, code: null, error: null }] });
  };
  const told = [{ kind: 'breach', source: `${last.id} 2026` }];
  await message('m1', { raised: told, reminded: [], recovered: [] }, null);
  await message('m2', { raised: [], reminded: [], recovered: told }, 1000);
  expect(await readBreachFacts(catalog.db, config, last)).toMatchObject([{ alertedAt: null }]);
  await message('m3', { raised: told, reminded: [], recovered: [] }, 2000);
  expect(await readBreachFacts(catalog.db, config, last)).toMatchObject([{ alertedAt: 2000 }]);
});

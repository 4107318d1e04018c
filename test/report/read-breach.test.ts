// Which look at the vault a breach notice may call the last one without a finding.
import { join } from 'node:path';
import { sql } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import { expect, onTestFinished, test } from 'vitest';
import { listBreaches } from '../../src/catalog/breaches.ts';
import { recordLook, type Sighting } from '../../src/catalog/incidents.ts';
import { saveNotices } from '../../src/catalog/messages.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { finishRun, startRun } from '../../src/catalog/runs.ts';
import type { Config } from '../../src/config/config.ts';
import { readCopies } from '../../src/report/breach-copies.ts';
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
  const config = { shops: new Map(), vaults: new Map(), timezone: 'Europe/Paris' } as unknown as Config;
  const last = cases.toSorted((a, b) => b.openedAt - a.openedAt)[0];
  if (!last) throw new Error('no case was opened');
  const facts = await readBreachFacts(catalog.db, config, last, clock.nowMs());
  expect(facts.map(({ lastGoodLookAt, shop }) => [shop, lastGoodLookAt])).toEqual([['dupont', clean]]);
  expect(facts).toMatchObject([{ sources: [], alertedAt: null }]);
  const message = async (id: string, content: object, sentAt: number | null): Promise<void> => {
    const row = { id, at: 0, channel: 'mail' as const, content: JSON.stringify(content), tries: 0, nextAt: 0, sentAt, givenUpAt: null };
    await saveNotices(catalog, { alarms: [], over: [], messages: [{ ...row, code: null, error: null }] });
  };
  const told = [{ kind: 'breach', source: `${last.id} 2026` }];
  await message('m1', { raised: told, reminded: [], recovered: [] }, null);
  await message('m2', { raised: [], reminded: [], recovered: told }, 1000);
  expect(await readBreachFacts(catalog.db, config, last, clock.nowMs())).toMatchObject([{ alertedAt: null }]);
  await message('m3', { raised: told, reminded: [], recovered: [] }, 2000);
  expect(await readBreachFacts(catalog.db, config, last, clock.nowMs())).toMatchObject([{ alertedAt: 2000 }]);
});

test('copies elsewhere - one whose lock has ended or was dropped is told with that remark, one altered or gone is none', async () => {
  const catalog = await openCatalog(join(await tempDir(), 'state'));
  onTestFinished(() => catalog.close());
  const nowMs = Temporal.Instant.from('2026-11-23T08:00:00Z').epochMilliseconds;
  const row = async (table: 'objects' | 'snapshots' | 'snapshotVaults', values: object) => {
    // only what the question is about
    await sql`pragma foreign_keys = off`.execute(catalog.db);
    await catalog.db
      .insertInto(table)
      .values(values as never)
      .execute();
  };
  for (const [at, id] of ['s1', 's2'].entries())
    await row('snapshots', {
      ...{ id, shop: 'dupont', source: 'files', startedAt: at, asOf: 1000 + at, keepUntil: nowMs, state: 'committed', complete: 1 },
      ...{ runId: id, completedAt: at, full: 1, plainBytes: 0, storedBytes: 0, freshBytes: 0, segments: 0, reusedSegments: 0 },
      ...{ counts: '{}', warnings: '[]', requiredVaults: '[]', durationMs: 0 },
    });
  let object = 0;
  const copy = async (snapshotId: string, vault: string, verifyError: string | null, retainUntil = nowMs + 1): Promise<void> => {
    object++;
    const of = { id: object, vault, shop: 'dupont', kind: 'manifest', refId: snapshotId, key: `k${object}`, state: 'stored' };
    await row('objects', { ...of, retainUntil, expectedBytes: 1, sizeBytes: 1, createdAt: 0 });
    await row('snapshotVaults', { snapshotId, vault, committedAt: 0, manifestObject: object, indexObject: object, verifyError });
  };
  await copy('s1', 'v1', 'E_OBJECT_ALTERED');
  await copy('s1', 'v2', null, nowMs);
  await copy('s2', 'v2', null);
  await copy('s1', 'v3', 'E_LOCK_DROPPED');
  await copy('s2', 'v3', 'E_VAULT_IO');
  await copy('s2', 'v4', 'E_OBJECT_MISSING');
  expect(await readCopies(catalog.db, 'dupont', nowMs)).toEqual([
    { vault: 'v2', snapshots: 2, newestAt: 1001, weaklyLocked: 1, unsure: 0 },
    { vault: 'v3', snapshots: 2, newestAt: 1001, weaklyLocked: 1, unsure: 1 },
  ]);
});

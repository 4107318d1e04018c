import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type Catalog, openCatalog } from '../../src/catalog/open.ts';
import { finishRun, isRunAlive, lastRuns, markInterrupted, startRun, wasStopped } from '../../src/catalog/runs.ts';
import { insertSegment, pinSegments } from '../../src/catalog/segments.ts';
import { systemClock } from '../../src/clock.ts';
import { CoffreError } from '../../src/errors.ts';
import { startChild } from '../child.ts';
import { FakeClock } from '../fake-clock.ts';
import { segmentRow } from '../rows.ts';
import { tempDir } from '../temp-dir.ts';

const CHILD = join(import.meta.dirname, 'open-in-child.ts');

async function open(): Promise<Catalog> {
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  return catalog;
}

test('a run that failed - its code and message are kept, its pins and its lock file are gone', async () => {
  const catalog = await open();
  const clock = new FakeClock();
  await startRun(catalog, clock, { id: 'r1', kind: 'backup', shop: 'dupont', source: 'files' });
  await insertSegment(catalog.db, segmentRow({ id: 's1' }));
  await catalog.transaction((tx) => pinSegments(tx, 'r1', ['s1', 's1']));
  expect(await isRunAlive(catalog, 'r1')).toBe(true);
  await finishRun(catalog, clock, 'r1', 'failed', new CoffreError('E_VAULT_SPACE', 'full'), { some: 'detail' });
  expect(await lastRuns(catalog, { shop: 'dupont' })).toMatchObject([
    { id: 'r1', state: 'failed', errorCode: 'E_VAULT_SPACE', errorMessage: 'full', detail: '{"some":"detail"}' },
  ]);
  expect(await catalog.db.selectFrom('pins').selectAll().execute()).toEqual([]);
  expect(await isRunAlive(catalog, 'r1')).toBe(false);
  expect(await readdir(join(catalog.stateDir, 'locks'))).toEqual([]);
});

test('a run that was told to stop, or cancelled - did not fail', async () => {
  const catalog = await open();
  const clock = new FakeClock();
  for (const [id, code] of [
    ['r1', 'E_INTERRUPTED'],
    ['r2', 'E_CANCELLED'],
  ] as const) {
    await startRun(catalog, clock, { id, kind: 'backup', shop: 'dupont', source: 'files' });
    await finishRun(catalog, clock, id, 'failed', new CoffreError(code, 'the daemon stops'));
  }
  const rows = await catalog.db.selectFrom('runs').selectAll().orderBy('id').execute();
  expect(rows).toMatchObject([{ state: 'interrupted', errorCode: 'E_INTERRUPTED' }, { state: 'cancelled' }]);
  expect(rows.map(wasStopped)).toEqual([true, false]);
});

test('its process is alive - not marked; killed - marked once, and it is dead', async () => {
  const catalog = await open();
  const child = startChild(CHILD, ['run', catalog.stateDir, 'r1']);
  expect(await child.line()).toBe('running');
  expect(await markInterrupted(catalog, systemClock, 'dupont')).toEqual([]);
  expect(await isRunAlive(catalog, 'r1')).toBe(true);
  await child.kill();
  expect(await isRunAlive(catalog, 'r1')).toBe(false);
  expect(await markInterrupted(catalog, systemClock, 'martin')).toEqual([]);
  expect(await markInterrupted(catalog, systemClock, 'dupont')).toMatchObject([{ id: 'r1', state: 'interrupted' }]);
  expect(await markInterrupted(catalog, systemClock, 'dupont')).toEqual([]);
  const [last] = await lastRuns(catalog);
  expect(last).toMatchObject({ id: 'r1', state: 'interrupted', errorCode: 'E_INTERRUPTED' });
  expect(last && wasStopped(last)).toBe(false);
});

test('killed after its manifest may have left - its pins stay; before - they go', async () => {
  const stateDir = await tempDir();
  const clock = new FakeClock();
  const dead = await openCatalog(stateDir);
  for (const id of ['r1', 'r2']) {
    await startRun(dead, clock, { id, kind: 'backup', shop: 'dupont', source: 'files' });
    await insertSegment(dead.db, segmentRow({ id: `of-${id}` }));
    await dead.transaction((tx) => pinSegments(tx, id, [`of-${id}`]));
  }
  await dead.db
    .insertInto('objects')
    .values({
      ...{ vault: 'offsite', shop: 'dupont', key: 'dupont/snapshots/x.json', versionId: null, kind: 'manifest', refId: 'x', runId: 'r1' },
      ...{ state: 'intent', expectedBytes: 9, sizeBytes: 0, sha256: null, lockMode: null, retainUntil: null, lockReadAt: null },
      ...{ createdAt: clock.nowMs(), resolvedAt: null },
    })
    .execute();
  await dead.close();
  const catalog = await openCatalog(stateDir);
  onTestFinished(() => catalog.close());
  expect(await markInterrupted(catalog, clock, 'dupont')).toHaveLength(2);
  expect(await catalog.db.selectFrom('pins').selectAll().execute()).toEqual([{ segmentId: 'of-r1', runId: 'r1' }]);
});

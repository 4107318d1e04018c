import { expect, onTestFinished, test } from 'vitest';
import { Ledger } from '../../src/billing/ledger.ts';
import { audit } from '../../src/catalog/audit.ts';
import { type Catalog, openCatalog } from '../../src/catalog/open.ts';
import { lastProbe, pendingProbeObjects, recordProbe } from '../../src/catalog/probes.ts';
import { insertSegment } from '../../src/catalog/segments.ts';
import {
  getSnapshot,
  isGood,
  latestGood,
  listSnapshots,
  objectsOf,
  recordCopy,
  recordSnapshot,
  recordVerification,
  snapshotSegments,
} from '../../src/catalog/snapshots.ts';
import { FakeClock } from '../fake-clock.ts';
import { segmentRow, snapshotRow } from '../rows.ts';
import { tempDir } from '../temp-dir.ts';

async function open(): Promise<{ catalog: Catalog; clock: FakeClock; ledger: Ledger }> {
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  const clock = new FakeClock();
  return { catalog, clock, ledger: new Ledger(catalog, clock) };
}

async function store(ledger: Ledger, vault: string, kind: 'segment' | 'index' | 'manifest' | 'probe', refId: string): Promise<number> {
  const shop = kind === 'probe' ? '_coffre' : 'dupont';
  const key = `${shop}/${kind}/${refId}`;
  const id = await ledger.intent({ vault, shop, key, kind, refId, runId: null, expectedBytes: 1 });
  await ledger.stored(id, { key, versionId: `${vault}-${refId}`, sizeBytes: 1, lock: null }, null);
  return id;
}

async function copyIn(ledger: Ledger, snapshotId: string, vault: string) {
  const manifestObject = await store(ledger, vault, 'manifest', snapshotId);
  const indexObject = await store(ledger, vault, 'index', snapshotId);
  return { snapshotId, vault, committedAt: 1, manifestObject, indexObject, verifiedAt: null, verifyError: null };
}

test('recorded with its first vault, then the second - degraded until then, good after, and no longer when a verification fails', async () => {
  const { catalog, ledger } = await open();
  for (const id of ['b', 'a']) await insertSegment(catalog.db, segmentRow({ id }));
  const segments = ['b', 'a'].map((segmentId, seq) => ({ segmentId, seq, partial: seq, liveBytes: null }));
  const snapshot = snapshotRow({ id: '01aaa', completedAt: 10 });
  await recordSnapshot(catalog, { snapshot, segments, copy: await copyIn(ledger, '01aaa', 'nas') });
  expect(await latestGood(catalog, 'dupont', 'files')).toBeNull();
  expect((await listSnapshots(catalog, 'dupont'))[0]).toMatchObject({ id: '01aaa', good: false, copies: [{ vault: 'nas' }] });
  await recordCopy(catalog, await copyIn(ledger, '01aaa', 'offsite'));
  expect(await latestGood(catalog, 'dupont', 'files')).toMatchObject({ id: '01aaa', good: true });
  expect(await latestGood(catalog, 'dupont', 'database')).toBeNull();
  expect((await snapshotSegments(catalog, '01aaa')).map((row) => [row.id, row.seq, row.partial])).toEqual([
    ['b', 0, 0],
    ['a', 1, 1],
  ]);
  await recordVerification(catalog, '01aaa', 'offsite', 5, 'E_OBJECT_ALTERED');
  expect(await latestGood(catalog, 'dupont', 'files')).toBeNull();
  await recordVerification(catalog, '01aaa', 'offsite', 6, null);
  expect((await latestGood(catalog, 'dupont', 'files'))?.copies.map((copy) => copy.verifiedAt)).toEqual([null, 6]);
});

test('recording the same snapshot for its second vault - adds the copy and nothing else', async () => {
  const { catalog, ledger } = await open();
  await insertSegment(catalog.db, segmentRow({ id: 'a' }));
  const record = { snapshot: snapshotRow({ id: '01aaa' }), segments: [{ segmentId: 'a', seq: 0, partial: 0, liveBytes: null }] };
  for (const vault of ['nas', 'offsite']) await recordSnapshot(catalog, { ...record, copy: await copyIn(ledger, '01aaa', vault) });
  expect((await getSnapshot(catalog, '01aaa')).copies).toHaveLength(2);
  expect(await snapshotSegments(catalog, '01aaa')).toHaveLength(1);
});

test('a copy without its snapshot, a snapshot without its segment - refused by the catalog, nothing of it stays', async () => {
  const { catalog, ledger } = await open();
  await expect(recordCopy(catalog, await copyIn(ledger, 'nobody', 'nas'))).rejects.toMatchObject({ code: 'E_INTERNAL' });
  const record = { snapshot: snapshotRow({ id: '01aaa' }), segments: [{ segmentId: 'nothing', seq: 0, partial: 0, liveBytes: null }] };
  await expect(recordSnapshot(catalog, record)).rejects.toMatchObject({ code: 'E_INTERNAL' });
  expect(await listSnapshots(catalog)).toEqual([]);
});

test('good - complete, committed, and sound in every required vault', () => {
  const snapshot = { complete: 1, state: 'committed' as const, requiredVaults: '["nas","offsite"]' };
  const both = ['nas', 'offsite', 'other'].map((vault) => ({ vault, verifyError: null as string | null }));
  expect(isGood(snapshot, both)).toBe(true);
  expect(isGood({ ...snapshot, complete: 0 }, both)).toBe(false);
  expect(isGood({ ...snapshot, state: 'tombstone' }, both)).toBe(false);
  expect(isGood(snapshot, both.slice(1))).toBe(false);
  expect(isGood(snapshot, [{ vault: 'nas', verifyError: 'E_SIGNATURE' }, ...both.slice(1)])).toBe(false);
});

test('by prefix - the only one that has it; none, several, nothing: E_UNKNOWN_SNAPSHOT; an id that begins another is itself', async () => {
  const { catalog } = await open();
  for (const id of ['01ab', '01abc', '01b', '02%']) await recordSnapshot(catalog, { snapshot: snapshotRow({ id }), segments: [] });
  expect((await getSnapshot(catalog, '01b')).id).toBe('01b');
  expect((await getSnapshot(catalog, '01ab')).id).toBe('01ab');
  expect((await getSnapshot(catalog, '01abc')).id).toBe('01abc');
  expect((await getSnapshot(catalog, '02')).id).toBe('02%');
  for (const wrong of ['01', '01a', '', '%', '03', "'"]) {
    await expect(getSnapshot(catalog, wrong), wrong).rejects.toMatchObject({ code: 'E_UNKNOWN_SNAPSHOT' });
  }
});

test('the newest by completion, not by id', async () => {
  const { catalog } = await open();
  for (const [id, completedAt] of [
    ['01a', 30],
    ['01b', 10],
    ['01c', 20],
  ] as const) {
    await recordSnapshot(catalog, { snapshot: snapshotRow({ id, completedAt, requiredVaults: '[]' }), segments: [] });
  }
  expect((await listSnapshots(catalog)).map((row) => row.id)).toEqual(['01a', '01c', '01b']);
  expect((await latestGood(catalog, 'dupont', 'files'))?.id).toBe('01a');
});

test('objects by id - ten thousand at once, and only what this vault still holds', async () => {
  const { catalog, ledger } = await open();
  await store(ledger, 'nas', 'segment', 'here');
  await store(ledger, 'offsite', 'segment', 'elsewhere');
  const many = [...Array.from({ length: 10_000 }, (_, i) => `x${i}`), 'here', 'elsewhere'];
  expect((await objectsOf(catalog, 'nas', many, 'segment')).map((row) => row.refId)).toEqual(['here']);
});

test('probes and audit - the last probe with its steps, what it left behind, who did what', async () => {
  const { catalog, clock, ledger } = await open();
  const offsite = { name: 'offsite', place: 'bucket one' };
  expect(await lastProbe(catalog, 'bucket one')).toBeNull();
  await recordProbe(catalog, clock, offsite, 'refused', [{ name: 'control', outcome: 'failed', detail: 'no' }]);
  await recordProbe(catalog, clock, offsite, 'proven', [{ name: 'control', outcome: 'ok', detail: '' }]);
  expect(await lastProbe(catalog, 'bucket one')).toMatchObject({ outcome: 'proven', steps: [{ name: 'control', outcome: 'ok' }] });
  await recordProbe(catalog, clock, { ...offsite, place: 'bucket two' }, 'refused', []);
  expect(await lastProbe(catalog, 'bucket one'), 'what another place said').toMatchObject({ outcome: 'proven' });
  expect(await lastProbe(catalog, 'bucket two')).toMatchObject({ outcome: 'refused' });
  expect(await lastProbe(catalog, 'offsite'), 'a name is no place').toBeNull();
  const id = await store(ledger, 'offsite', 'probe', 'p1');
  expect((await pendingProbeObjects(catalog, 'offsite')).map((row) => row.id)).toEqual([id]);
  expect(await pendingProbeObjects(catalog, 'nas')).toEqual([]);
  await audit(catalog, clock, { who: 'root', what: 'prune', shop: 'dupont', detail: { removed: 1 } });
  expect(await catalog.db.selectFrom('audit').selectAll().execute()).toMatchObject([
    { who: 'root', what: 'prune', detail: '{"removed":1}' },
  ]);
});

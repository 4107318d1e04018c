import { expect, onTestFinished, test } from 'vitest';
import { pruneAndCertify, pruneTarget } from '../../src/backup/upkeep-deps.ts';
import { EVIDENCE_KEPT_MS, forgetAudit, forgetRuns } from '../../src/catalog/forget.ts';
import { type Catalog, openCatalog } from '../../src/catalog/open.ts';
import { recordStep } from '../../src/catalog/run-queue.ts';
import { finishRun, type NewRun, startRun } from '../../src/catalog/runs.ts';
import { insertSegment } from '../../src/catalog/segments.ts';
import { parseConfig } from '../../src/config/load.ts';
import { CoffreError } from '../../src/errors.ts';
import { newId } from '../../src/segment/id.ts';
import { FakeClock } from '../fake-clock.ts';
import { segmentRow } from '../rows.ts';
import { tempDir } from '../temp-dir.ts';

const DAY = 86_400_000;
const KEEP_MS = 400 * DAY;

async function setting() {
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  const clock = new FakeClock();
  const startMs = clock.nowMs();
  /** A run of a minute, that long after the start of the test. */
  const run = async (day: number, of: Partial<NewRun> = {}, failure?: CoffreError): Promise<string> => {
    clock.advance(startMs + day * DAY - clock.nowMs());
    const id = newId(clock);
    await startRun(catalog, clock, { id, kind: 'backup', shop: 'dupont', source: 'database', ...of });
    await recordStep(catalog, { runId: id, seq: 1, step: 'read', at: clock.nowMs() });
    clock.advance(60_000);
    await finishRun(catalog, clock, id, failure ? 'failed' : 'done', failure);
    return id;
  };
  const left = async (): Promise<string[]> =>
    (await catalog.db.selectFrom('runs').select('id').orderBy('id').execute()).map(({ id }) => id);
  return { catalog, clock, left, run, at: (day: number) => startMs + day * DAY };
}

const steps = async (catalog: Catalog): Promise<number> => (await catalog.db.selectFrom('runSteps').selectAll().execute()).length;

test('runs of thirteen months and more - gone with their steps, the edge and what is younger stay', async () => {
  const it = await setting();
  const ids: string[] = [];
  for (let day = 0; day < 12; day++) ids.push(await it.run(day));
  expect(await forgetRuns(it.catalog, it.at(409), KEEP_MS)).toBe(9);
  expect(await it.left()).toEqual(ids.slice(9));
  expect(await steps(it.catalog)).toBe(ids.length - 9);
  expect(await forgetRuns(it.catalog, it.at(409), KEEP_MS)).toBe(0);
});

test('the last run of a kind and source, and the last that went well - stay, however old; the failures between go', async () => {
  const it = await setting();
  const good = await it.run(0);
  const failed = new CoffreError('E_DB_CONNECT', 'no');
  await it.run(1, {}, failed);
  const last = await it.run(2, {}, failed);
  const files = await it.run(0, { source: 'files' });
  const prune = await it.run(0, { kind: 'prune', source: null });
  await it.run(3, { shop: 'martin' }, failed);
  const martin = await it.run(4, { shop: 'martin' });
  expect(await forgetRuns(it.catalog, it.at(1000), KEEP_MS)).toBe(2);
  expect(await it.left()).toEqual([good, last, files, prune, martin].sort());
});

test('a restore, a drill - two years', async () => {
  const it = await setting();
  const restore = await it.run(0, { kind: 'restore', source: 'files' });
  const drill = await it.run(0, { kind: 'drill', source: null });
  const last = [await it.run(500, { kind: 'restore', source: 'files' }), await it.run(500, { kind: 'drill', source: null })];
  expect(await forgetRuns(it.catalog, it.at(0) + EVIDENCE_KEPT_MS, KEEP_MS)).toBe(0);
  expect(await it.left()).toEqual([restore, drill, ...last].sort());
  expect(await forgetRuns(it.catalog, it.at(1) + EVIDENCE_KEPT_MS, KEEP_MS)).toBe(2);
  expect(await it.left()).toEqual(last);
});

test('what is stored, pinned, asked for, under way or still has its slot - its run stays', async () => {
  const it = await setting();
  const { catalog, clock } = it;
  const [stored, segment, pinned, asked, slotted, released] = await Promise.all([0, 0, 0, 0, 0, 0].map((day) => it.run(day)));
  const runs = { stored, segment, pinned, asked, slotted, released } as Record<string, string>;
  const object = (state: 'stored' | 'released', runId: string | undefined) => ({
    ...{
      vault: 'nas',
      shop: 'dupont',
      key: `k-${state}`,
      versionId: state,
      kind: 'key' as const,
      refId: null,
      runId: runId ?? null,
      state,
    },
    ...{ expectedBytes: 1, sizeBytes: 1, sha256: null, lockMode: null, retainUntil: null, lockReadAt: null, createdAt: 0, resolvedAt: 0 },
    ...{ damage: null, readAt: null },
  });
  await catalog.db
    .insertInto('objects')
    .values([object('stored', stored), object('released', released)])
    .execute();
  await insertSegment(catalog.db, segmentRow({ id: 's1', runId: segment as string }));
  await catalog.db
    .insertInto('pins')
    .values({ segmentId: 's1', runId: pinned as string })
    .execute();
  await catalog.db
    .updateTable('runs')
    .set({ slot: '{"job":"database","due":0}' })
    .where('id', '=', slotted as string)
    .execute();
  await catalog.db
    .insertInto('requests')
    .values({
      ...{
        id: 'q',
        shop: 'dupont',
        state: 'restored',
        wanted: '{}',
        preview: '{}',
        createdAt: 0,
        createdBy: 'anna',
        createdRole: 'client',
      },
      ...{ runId: asked as string },
    } as never)
    .execute();
  const running = newId(clock);
  await startRun(catalog, clock, { id: running, kind: 'backup', shop: 'dupont', source: 'database' });
  const last = await it.run(1);
  expect(await forgetRuns(catalog, it.at(2000), KEEP_MS)).toBe(1);
  const { released: _, ...kept } = runs;
  expect(await it.left()).toEqual([...Object.values(kept), running, last].sort());
});

test('the audit - what is older than its period goes, whatever it is', async () => {
  const { catalog, at } = await setting();
  const rowOf = (day: number) => ({ at: at(day), who: 'anna', what: 'reload', shop: null, detail: null });
  await catalog.db
    .insertInto('audit')
    .values(Array.from({ length: 600 }, (_, day) => rowOf(day)))
    .execute();
  expect(await forgetAudit(catalog, at(300))).toBe(300);
  const rows = await catalog.db.selectFrom('audit').select('at').orderBy('id').execute();
  expect([rows.length, rows[0]?.at]).toEqual([300, at(300)]);
});

test('the daily prune of what belongs to no shop - forgets, while its vault does not answer too', async () => {
  const it = await setting();
  const dir = await tempDir();
  const text = `stateDir: ${dir}/state\nencryption: none\nvaults: { nas: { type: filesystem, path: ${dir}/nas } }\naudit: { keep: 365d }\nruns: { keep: 100d }\n`;
  const config = parseConfig(text, `${dir}/coffre.yaml`, {});
  await it.run(0);
  await it.catalog.db
    .insertInto('audit')
    .values({ at: it.at(0), who: 'anna', what: 'reload', shop: null, detail: null })
    .execute();
  await it.run(1);
  const prune = async (day: number): Promise<unknown> => {
    it.clock.advance(it.at(day) - it.clock.nowMs());
    const ports = { openVault: () => Promise.reject(new CoffreError('E_VAULT_UNREACHABLE', 'down')) };
    const request = { ...pruneTarget(config, '_coffre'), who: 'daemon', signal: new AbortController().signal };
    return await pruneAndCertify(config, it.catalog, it.clock, ports, request).catch((error: unknown) => error);
  };
  const counts = async () => [
    (await it.catalog.db.selectFrom('runs').select('id').where('kind', '=', 'backup').execute()).length,
    (await it.catalog.db.selectFrom('audit').select('id').where('what', '=', 'reload').execute()).length,
  ];
  await prune(99);
  expect(await counts()).toEqual([2, 1]);
  await prune(102);
  expect(await counts()).toEqual([1, 1]);
  await prune(366);
  expect(await counts()).toEqual([1, 0]);
});

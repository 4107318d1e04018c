import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { CHAIN_START, checkChain } from '../../src/billing/chain.ts';
import { Ledger } from '../../src/billing/ledger.ts';
import { level } from '../../src/billing/level.ts';
import { type Catalog, catalogPath, openCatalog } from '../../src/catalog/open.ts';
import { finishRun, startRun } from '../../src/catalog/runs.ts';
import { systemClock } from '../../src/clock.ts';
import { newId } from '../../src/segment/id.ts';
import type { StoredObject } from '../../src/vault/vault.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';
import { BENCHES, type Bench } from './benches.ts';

async function open(): Promise<Catalog> {
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  return catalog;
}

const intentOf = (key: string, expectedBytes: number, runId: string | null = null) => ({
  ...{ vault: 'offsite', shop: 'dupont', key, kind: 'segment' as const, refId: 's1', runId, expectedBytes },
});

const version = (key: string, versionId: string, sizeBytes: number): StoredObject => ({ key, versionId, sizeBytes, lock: null });

describe('rows', () => {
  test('intent, acknowledged twice, released twice - counted once each', async () => {
    const catalog = await open();
    const ledger = new Ledger(catalog, new FakeClock());
    const id = await ledger.intent(intentOf('k', 10));
    expect(await level(catalog)).toBe(0);
    await ledger.stored(id, version('k', 'v1', 10), 'aa');
    await ledger.stored(id, version('k', 'v1', 10), 'aa');
    expect(await level(catalog)).toBe(10);
    await ledger.released(id);
    await ledger.released(id);
    expect(await level(catalog)).toBe(0);
    expect(await catalog.db.selectFrom('ledger').select(['event', 'bytes']).execute()).toEqual([
      { event: 'put', bytes: 10 },
      { event: 'release', bytes: -10 },
    ]);
  });

  test('parts grow, then become an object - never both, not even for a reader between two rows', async () => {
    const catalog = await open();
    const ledger = new Ledger(catalog, new FakeClock());
    const id = await ledger.intent(intentOf('k', 100));
    for (const sum of [30, 60, 95]) await ledger.partsStored(id, 'u1', sum);
    expect(await level(catalog)).toBe(95);
    await ledger.uploadCompleted(id, 'u1', version('k', 'v1', 95), 'aa');
    expect(await level(catalog)).toBe(95);
    const rows = await catalog.db.selectFrom('ledger').select(['event', 'bytes', 'versionId']).orderBy('id').execute();
    expect(rows.map((row) => [row.event, row.bytes, row.versionId])).toEqual([
      ['part', 30, 'upload:u1'],
      ['part', 30, 'upload:u1'],
      ['part', 35, 'upload:u1'],
      ['complete', -95, 'upload:u1'],
      ['put', 95, 'v1'],
    ]);
  });

  test('an aborted upload - its parts go, the intent stays', async () => {
    const catalog = await open();
    const ledger = new Ledger(catalog, new FakeClock());
    const id = await ledger.intent(intentOf('k', 100));
    await ledger.partsStored(id, 'u1', 30);
    await ledger.uploadAborted(id, 'u1');
    await ledger.uploadAborted(id, 'u1');
    expect(await level(catalog)).toBe(0);
    const states = await catalog.db.selectFrom('objects').select(['kind', 'state']).orderBy('id').execute();
    expect(states).toEqual([
      { kind: 'segment', state: 'intent' },
      { kind: 'upload', state: 'released' },
    ]);
  });

  test('the wall clock set back - the ledger’s time is not, and no past level goes below zero', async () => {
    const catalog = await open();
    const clock = new FakeClock('2026-03-02T02:30:00Z');
    const ledger = new Ledger(catalog, clock);
    const id = await ledger.intent(intentOf('k', 10));
    await ledger.stored(id, version('k', 'v1', 10), null);
    clock.setWall('2026-03-01T00:00:00Z');
    await ledger.released(id);
    const rows = await catalog.db.selectFrom('ledger').select('at').execute();
    expect(rows[1]?.at).toBe(rows[0]?.at);
    expect(await level(catalog, { at: clock.now() })).toBe(0);
  });

  test('level at an instant - rows up to and including it, by vault and shop', async () => {
    const catalog = await open();
    const clock = new FakeClock();
    const ledger = new Ledger(catalog, clock);
    const before = clock.now();
    clock.advance(1000);
    const id = await ledger.intent(intentOf('k', 10));
    await ledger.stored(id, version('k', 'v1', 10), null);
    const at = clock.now();
    clock.advance(1000);
    const other = await ledger.intent({ ...intentOf('m', 5), shop: 'martin', vault: 'nas' });
    await ledger.stored(other, version('m', 'v1', 5), null);
    expect(await level(catalog, { at: before })).toBe(0);
    expect(await level(catalog, { at })).toBe(10);
    expect([await level(catalog), await level(catalog, { vault: 'nas' }), await level(catalog, { shop: 'dupont' })]).toEqual([15, 5, 10]);
  });
});

describe('the chain', () => {
  test('untouched - holds; a row altered behind our back - names it', async () => {
    const catalog = await open();
    const ledger = new Ledger(catalog, new FakeClock());
    expect(await checkChain(catalog)).toEqual({ rows: 0, head: CHAIN_START, brokenAt: null });
    for (const key of ['a', 'b', 'c']) await ledger.stored(await ledger.intent(intentOf(key, 10)), version(key, 'v1', 10), null);
    expect(await checkChain(catalog)).toMatchObject({ rows: 3, brokenAt: null });
    const raw = new DatabaseSync(catalogPath(catalog.stateDir));
    raw.exec('drop trigger ledgerNoUpdate; update ledger set bytes = 9 where id = 2');
    raw.close();
    expect(await checkChain(catalog)).toMatchObject({ rows: 1, brokenAt: 2 });
  });
});

describe.each(BENCHES)('resolving intents of a dead run, $type', ({ type, make }) => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await make();
  });
  afterAll(() => bench.release());

  /** A catalog with a run that left intents behind; `die` is what a SIGKILL leaves. */
  async function crash(
    work: (ledger: Ledger, runId: string, catalog: Catalog) => Promise<void>,
  ): Promise<{ catalog: Catalog; ledger: Ledger }> {
    const stateDir = await tempDir();
    const dying = await openCatalog(stateDir);
    const runId = newId(systemClock);
    await startRun(dying, systemClock, { id: runId, kind: 'backup', shop: 'dupont', source: 'files' });
    await work(new Ledger(dying, systemClock), runId, dying);
    await dying.close();
    const catalog = await openCatalog(stateDir);
    onTestFinished(() => catalog.close());
    return { catalog, ledger: new Ledger(catalog, systemClock) };
  }

  const key = (): string => `dupont/segments/${newId(systemClock)}.tar.zst`;
  const intent = (ledger: Ledger, at: string, bytes: number, runId: string) =>
    ledger.intent({ ...intentOf(at, bytes, runId), vault: bench.vault.name });
  const until = () => systemClock.now().add({ seconds: 2 });

  test('alive - left alone; landed, not acknowledged - stored with its lock, metered to the byte', async () => {
    const at = key();
    const held = await bench.heldBytes();
    const { catalog, ledger } = await crash(async (dying, runId) => {
      await intent(dying, at, 1000, runId);
      await bench.vault.put({ key: at, body: Buffer.alloc(1000, 1), retainUntil: until() });
      expect(await dying.resolveIntents(bench.vault, 'dupont')).toMatchObject({ stored: [], pending: [1] });
    });
    const result = await ledger.resolveIntents(bench.vault, 'dupont');
    expect(result).toMatchObject({ stored: [1], strays: [], foreign: [], voided: [], pending: [] });
    const row = await catalog.db.selectFrom('objects').selectAll().executeTakeFirstOrThrow();
    expect(row).toMatchObject({ state: 'stored', kind: 'segment', sizeBytes: 1000, lockMode: bench.vault.lockMode, sha256: null });
    expect(row.retainUntil).not.toBeNull();
    expect(await level(catalog)).toBe((await bench.heldBytes()) - held);
    expect(await ledger.resolveIntents(bench.vault, 'dupont')).toMatchObject({ stored: [] });
  });

  test('never landed - pending while young, void later, and asked for no more', async () => {
    const { catalog, ledger } = await crash(async (dying, runId) => {
      await intent(dying, key(), 1000, runId);
    });
    expect(await ledger.resolveIntents(bench.vault, 'dupont')).toMatchObject({ pending: [1], voided: [] });
    expect(await ledger.resolveIntents(bench.vault, 'martin', { olderThanMs: 0 })).toMatchObject({ pending: [], voided: [] });
    await systemClock.sleep(5);
    expect(await ledger.resolveIntents(bench.vault, 'dupont', { olderThanMs: 0 })).toMatchObject({ pending: [], voided: [1] });
    expect(await ledger.resolveIntents(bench.vault, 'dupont')).toMatchObject({ pending: [], voided: [] });
    expect(await level(catalog)).toBe(0);
  });

  test('abandoned by its run, landed after all - a stray, metered', async () => {
    const at = key();
    const { catalog, ledger } = await crash(async (dying, runId, open) => {
      await dying.abandon(await intent(dying, at, 700, runId));
      await bench.vault.put({ key: at, body: Buffer.alloc(700, 2), retainUntil: until() });
      await finishRun(open, systemClock, runId, 'failed');
    });
    expect(await ledger.resolveIntents(bench.vault, 'dupont')).toMatchObject({ stored: [], strays: [1] });
    expect(await catalog.db.selectFrom('objects').select(['kind', 'refId']).execute()).toEqual([{ kind: 'stray', refId: null }]);
    expect(await level(catalog)).toBe(700);
  });

  test('parts of an upload that was cut off - metered as the store lists them, released when it has them no more', async () => {
    const at = key();
    const held = await bench.heldBytes();
    const { catalog, ledger } = await crash(async (dying, runId) => {
      await intent(dying, at, 9_000_000, runId);
      await bench.leaveUnfinished(at, Buffer.alloc(5_300_000, 3));
    });
    await ledger.resolveIntents(bench.vault, 'dupont');
    expect(await level(catalog)).toBe(5_300_000);
    expect(await level(catalog)).toBe((await bench.heldBytes()) - held);
    for await (const upload of bench.vault.listUploads(at)) await bench.vault.abortUpload(at, upload.uploadId);
    await systemClock.sleep(5);
    expect(await ledger.resolveIntents(bench.vault, 'dupont', { olderThanMs: 0 })).toMatchObject({ voided: [1] });
    expect(await level(catalog)).toBe(0);
    expect(await bench.heldBytes()).toBe(held);
  });

  test('a stream that completed as its process died - one object, its parts no more', async () => {
    const at = key();
    const held = await bench.heldBytes();
    const body = Buffer.alloc(11_000_000, 4);
    const { catalog, ledger } = await crash(async (dying, runId) => {
      const id = await intent(dying, at, 12_000_000, runId);
      let upload = '';
      await bench.vault.putStream({
        key: at,
        body: (async function* () {
          yield body;
        })(),
        estimatedBytes: 12_000_000,
        retainUntil: until(),
        onUpload: async (uploadId) => {
          upload = uploadId;
        },
        onParts: async (sum) => {
          await dying.partsStored(id, upload, sum);
        },
      });
    });
    expect(await level(catalog)).toBe(11_000_000);
    expect(await ledger.resolveIntents(bench.vault, 'dupont')).toMatchObject({ stored: [1], strays: [], foreign: [] });
    expect(await level(catalog)).toBe(11_000_000);
    expect(await level(catalog)).toBe((await bench.heldBytes()) - held);
  });

  test.runIf(type === 'S3')(
    'two attempts landed on one key - one is the object, the other a stray; a third of another size is foreign',
    async () => {
      const at = key();
      const { catalog, ledger } = await crash(async (dying, runId) => {
        await intent(dying, at, 500, runId);
        for (const fill of [1, 1]) await bench.vault.put({ key: at, body: Buffer.alloc(500, fill), retainUntil: until() });
        await bench.vault.put({ key: at, body: Buffer.alloc(499, 9), retainUntil: null });
      });
      const result = await ledger.resolveIntents(bench.vault, 'dupont');
      expect([result.stored.length, result.strays.length, result.foreign.length]).toEqual([1, 1, 1]);
      expect(await level(catalog)).toBe(1499);
      expect(await checkChain(catalog)).toMatchObject({ rows: 3, brokenAt: null });
    },
  );
});

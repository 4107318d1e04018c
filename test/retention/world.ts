// A small shop in real vaults for tests of prune: snapshots written in the order that backups write, and the truths to check after.
import { text } from 'node:stream/consumers';
import { Temporal } from 'temporal-polyfill';
import { expect } from 'vitest';
import { Ledger } from '../../src/billing/ledger.ts';
import { level } from '../../src/billing/level.ts';
import type { Catalog } from '../../src/catalog/open.ts';
import { finishRun, startRun } from '../../src/catalog/runs.ts';
import { insertSegment, pinSegments } from '../../src/catalog/segments.ts';
import { listSnapshots, objectsOf, recordSnapshot, snapshotSegments } from '../../src/catalog/snapshots.ts';
import type { Clock } from '../../src/clock.ts';
import { keepUntil, snapshotHorizon } from '../../src/retention/horizon.ts';
import { newId } from '../../src/segment/id.ts';
import { indexKey, manifestKey, segmentKey } from '../../src/segment/layout.ts';
import type { Vault } from '../../src/vault/vault.ts';
import { segmentRow, snapshotRow } from '../rows.ts';

export const SHOP = 'dupont';
const CEILING_MS = 90 * 86_400_000;

export interface World {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly vaults: readonly Vault[];
  readonly retentionMs: number;
}

export interface TakeOptions {
  readonly source?: 'database' | 'files';
  /** New segments and their sizes. */
  readonly fresh?: readonly number[];
  /** Segment ids of older snapshots. */
  readonly reuse?: readonly string[];
  readonly complete?: boolean;
  /** Vaults that get it; the others leave it degraded. */
  readonly into?: readonly string[];
  /** Dies here, leaving what a SIGKILL leaves: the caller closes the catalog. */
  readonly dieAfter?: 'segments' | 'manifest';
}

export interface Taken {
  readonly snapshot: string;
  readonly runId: string;
  readonly segments: readonly string[];
}

/** What stands for a manifest here: the keys that a restore without catalog would need. */
interface TestManifest {
  readonly needs: readonly string[];
}

/** Takes a snapshot as a backup run does: segments, index, manifest, row. Objects are locked for the window at once. */
export async function take(world: World, options: TakeOptions = {}): Promise<Taken> {
  const { catalog, clock, retentionMs } = world;
  const { source = 'files', fresh = [100, 200], reuse = [], into = world.vaults.map((vault) => vault.name) } = options;
  const ledger = new Ledger(catalog, clock);
  const runId = newId(clock);
  const snapshot = newId(clock);
  await startRun(catalog, clock, { id: runId, kind: 'backup', shop: SHOP, source });
  await catalog.transaction((tx) => pinSegments(tx, runId, reuse));
  const completedAt = clock.now();
  const until = snapshotHorizon({ completedAt, retentionMs, now: completedAt, ceilingMs: CEILING_MS });
  const vaults = world.vaults.filter((vault) => into.includes(vault.name));

  const put = async (vault: Vault, kind: 'segment' | 'index' | 'manifest', refId: string, key: string, body: Buffer): Promise<number> => {
    const id = await ledger.intent({ vault: vault.name, shop: SHOP, key, kind, refId, runId, expectedBytes: body.length });
    await ledger.stored(id, await vault.put({ key, body, retainUntil: until }), 'aa');
    return id;
  };
  const own: string[] = [];
  for (const size of fresh) {
    const id = newId(clock);
    own.push(id);
    const key = segmentKey(SHOP, id, 'tar', false);
    await insertSegment(catalog.db, segmentRow({ id, source, key, storedBytes: size, runId, createdAt: clock.nowMs() }));
    for (const vault of vaults) await put(vault, 'segment', id, key, Buffer.alloc(size, 7));
  }
  const segments = [...reuse, ...own];
  if (options.dieAfter === 'segments') return { snapshot, runId, segments };
  for (const vault of vaults) {
    for (const row of await objectsOf(catalog, vault.name, reuse, 'segment')) {
      await ledger.lockRead(row.id, await vault.extendLock(row.key, row.versionId ?? '', until));
    }
    const index = indexKey(SHOP, snapshot, false);
    const indexObject = await put(vault, 'index', snapshot, index, Buffer.alloc(20, 1));
    const needs = [index, ...(await objectsOf(catalog, vault.name, segments, 'segment')).map((row) => row.key)];
    const manifest = Buffer.from(JSON.stringify({ needs } satisfies TestManifest));
    const manifestObject = await put(vault, 'manifest', snapshot, manifestKey(SHOP, snapshot, false), manifest);
    if (options.dieAfter === 'manifest') return { snapshot, runId, segments };
    await recordSnapshot(catalog, {
      snapshot: snapshotRow({
        ...{ id: snapshot, shop: SHOP, source, runId, startedAt: completedAt.epochMilliseconds, asOf: completedAt.epochMilliseconds },
        ...{ completedAt: completedAt.epochMilliseconds, keepUntil: keepUntil(completedAt, retentionMs).epochMilliseconds },
        complete: options.complete === false ? 0 : 1,
        requiredVaults: JSON.stringify(world.vaults.map((it) => it.name)),
      }),
      segments: segments.map((segmentId, seq) => ({ segmentId, seq, partial: 0, liveBytes: null })),
      copy: {
        ...{ snapshotId: snapshot, vault: vault.name, committedAt: clock.nowMs(), manifestObject, indexObject },
        ...{ verifiedAt: null, verifyError: null },
      },
    });
  }
  await finishRun(catalog, clock, runId, 'done');
  return { snapshot, runId, segments };
}

/** Keys that a vault lists for the shop, uploads aside. */
export async function keysIn(vault: Vault): Promise<string[]> {
  const keys: string[] = [];
  for await (const version of vault.listVersions(`${SHOP}/`)) if (!version.isDeleteMarker) keys.push(version.key);
  return keys.sort();
}

/**
 * The truths: whatever manifest a vault holds, it holds everything that this manifest needs; every committed copy is whole. Both
 * must hold at any moment, in the middle of a crash too.
 */
export async function expectNothingMissing(catalog: Catalog, vaults: readonly Vault[]): Promise<void> {
  const snapshots = await listSnapshots(catalog);
  for (const vault of vaults) {
    const keys = new Set(await keysIn(vault));
    for await (const version of vault.listVersions(`${SHOP}/snapshots/`)) {
      if (version.isDeleteMarker || version.sizeBytes === 0) continue;
      const { needs } = JSON.parse(await text(await vault.get(version.key, version.versionId))) as TestManifest;
      for (const key of needs) expect(keys, `${version.key} in ${vault.name} needs ${key}`).toContain(key);
    }
    for (const snapshot of snapshots) {
      if (!snapshot.copies.some((copy) => copy.vault === vault.name)) continue;
      const segments = (await snapshotSegments(catalog, snapshot.id)).map((segment) => segment.id);
      const rows = [
        ...(await objectsOf(catalog, vault.name, segments, 'segment')),
        ...(await objectsOf(catalog, vault.name, [snapshot.id], 'index')),
        ...(await objectsOf(catalog, vault.name, [snapshot.id], 'manifest')),
      ];
      expect(rows.length).toBe(segments.length + 2);
      for (const row of rows) expect(await vault.stat(row.key, row.versionId ?? ''), `${row.key} in ${vault.name}`).not.toBeNull();
    }
  }
}

/** The ledger's level is what an independent count finds. */
export async function expectLevel(catalog: Catalog, vault: Vault, heldBytes: number): Promise<void> {
  expect(await level(catalog, { vault: vault.name })).toBe(heldBytes);
}

export const instantText = (ms: number): string => Temporal.Instant.fromEpochMilliseconds(ms).toString();

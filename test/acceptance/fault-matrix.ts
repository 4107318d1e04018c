// The fault matrix's setting: a shop with one file small and one large, its vault behind a gateway that lies, and an independent look at it all.
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetObjectRetentionCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect } from 'vitest';
import { type Clock, fromDate, systemClock } from '../../src/clock.ts';
import { ERRORS, type ErrorCode } from '../../src/errors.ts';
import { S3Vault } from '../../src/vault/s3.ts';
import type { Vault } from '../../src/vault/vault.ts';
import { type Outcome, runHere, shiftedClock } from '../crash/composition.ts';
import { type Lie, type LyingStore, startLyingStore } from '../servers/lying-store.ts';
import { inventory } from '../servers/s3.ts';
import { makeWorld, type World, type WorldOptions } from '../world/world.ts';
import { inCatalog } from './attack.ts';
import { heldBytes } from './faults.ts';

/** Where each kind of object lies in the bucket. */
export const KINDS = {
  key: /\/dupont\/keys\//,
  segment: /\/dupont\/segments\//,
  index: /\/dupont\/index\//,
  manifest: /\/dupont\/snapshots\//,
  checkpoint: /\/_coffre\/state\//,
} as const;
export type Kind = keyof typeof KINDS;

/** Waits between attempts are what is not under test; but the probe of a folder waits for the end of its own lock. */
const impatient: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 50), signal) };

/** Longest silence of a request, and what a vault may take over one segment. */
export const REQUEST_MS = 3_000;
const VAULT_DEADLINE_MS = 6_000;
/** Well above five attempts that each wait for REQUEST_MS: a command that has not ended by then hangs. */
const ENDS_WITHIN_MS = 90_000;

export interface Trees {
  /** Some small files. */
  readonly small: string;
  /** One file that goes as a multipart upload of two parts. */
  readonly large: string;
  remove(): void;
}

function makeTrees(): Trees {
  const dir = mkdtempSync(join(tmpdir(), 'coffre-trees-'));
  const [small, large] = [join(dir, 'small'), join(dir, 'large')];
  mkdirSync(join(small, 'img'), { recursive: true });
  for (let i = 0; i < 3; i++) writeFileSync(join(small, 'img', `${i}.jpg`), randomBytes(5_000));
  mkdirSync(large);
  // large enough to be streamed, and mostly zeros, so that two parts are left of it
  writeFileSync(join(large, 'video.mp4'), Buffer.concat([randomBytes(9_000_000), Buffer.alloc(42_000_000)]));
  return { small, large, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

export interface Scene {
  readonly world: World;
  /** Lies from now on, or tells the truth again. */
  lie(...lies: readonly Lie[]): void;
  told(): number;
  /** Runs a command in this process; fails when it takes longer than any deadline explains. */
  run(...args: readonly string[]): Promise<Outcome>;
  /** The same, and it must succeed. */
  ok(...args: readonly string[]): Promise<Outcome>;
  /** The same six minutes later: so old must a PUT of no run be before its outcome is settled. */
  okLater(...args: readonly string[]): Promise<Outcome>;
  /** The same, and it must end with this code and its exit status. */
  fails(code: ErrorCode, ...args: readonly string[]): Promise<Outcome>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A shop of its own in a bucket of its own, behind `gateway`. Listings come in pages of two. */
export async function scene(gateway: LyingStore, root: string, options: WorldOptions = {}): Promise<Scene> {
  const clock = options.vaults?.includes('nas') ? systemClock : impatient;
  const limits = { vaultDeadline: `${VAULT_DEADLINE_MS / 1000}s`, clockSkew: '10m' };
  const world = await makeWorld({ limits, endpoint: gateway.endpoint, files: { root }, ...options });
  const text = readFileSync(world.configFile, 'utf8');
  const timeouts = `timeouts: { connect: 3s, request: ${REQUEST_MS / 1000}s }`;
  writeFileSync(world.configFile, text.replace('forcePathStyle: true', `forcePathStyle: true, ${timeouts}`));
  const inSmallPages = (vault: Vault): Vault =>
    vault instanceof S3Vault ? new S3Vault(vault.requests.config, clock, { pageSize: 2 }) : vault;
  const runAt = async (at: Clock, args: readonly string[]): Promise<Outcome> => {
    const began = systemClock.monotonicMs();
    const outcome = await runHere(['--config', world.configFile, ...args], at, inSmallPages);
    expect(systemClock.monotonicMs() - began, `coffre ${args.join(' ')}: ms`).toBeLessThan(ENDS_WITHIN_MS);
    return outcome;
  };
  const run = (...args: readonly string[]): Promise<Outcome> => runAt(clock, args);
  const succeeds = (outcome: Outcome, args: readonly string[]): Outcome => {
    expect(outcome.status, `coffre ${args.join(' ')}: ${JSON.stringify(outcome.json)} ${outcome.stderr}`).toBe(0);
    return outcome;
  };
  return {
    world,
    lie: (...lies) => gateway.lie(world.bucket.name, ...lies),
    told: () => gateway.told(world.bucket.name),
    run,
    ok: async (...args) => succeeds(await run(...args), args),
    okLater: async (...args) => succeeds(await runAt(shiftedClock(6 * 60_000), args), args),
    async fails(code, ...args) {
      const outcome = await run(...args);
      const said = `coffre ${args.join(' ')}: ${outcome.status} ${JSON.stringify(outcome.json)} ${outcome.stderr}`;
      expect(outcome.json?.error?.code, said).toBe(code);
      expect(outcome.json.error.hint, said).toMatch(/./);
      expect(outcome.status, said).toBe(ERRORS[code].exit);
      return outcome;
    },
    async [Symbol.asyncDispose]() {
      gateway.lie(world.bucket.name);
      await world[Symbol.asyncDispose]();
    },
  };
}

/** What every file of the matrix stands on, made before its tests and gone after them. */
export function faultySetting(): { readonly gateway: LyingStore; readonly trees: Trees } {
  const made: { gateway?: LyingStore; trees?: Trees } = {};
  beforeAll(async () => {
    made.trees = makeTrees();
    const { sharedStore } = await import('../servers/s3.ts');
    made.gateway = await startLyingStore((await sharedStore()).endpoint);
  });
  afterAll(async () => {
    await made.gateway?.stop();
    made.trees?.remove();
  });
  return {
    get gateway() {
      return made.gateway as LyingStore;
    },
    get trees() {
      return made.trees as Trees;
    },
  };
}

interface ObjectRow {
  readonly key: string;
  readonly versionId: string;
  readonly sizeBytes: number;
  readonly retainUntil: number | null;
}

/**
 * What coffre believes is asked of the store itself, by the SDK alone: every version that the catalog calls stored is there with its size
 * and under the lock that was read back; and of what it calls damaged nobody asks.
 */
export async function believesTheTruth({ bucket, ...world }: World): Promise<void> {
  const rows = inCatalog(world as World, (database) =>
    database
      .prepare(
        "select key, versionId, sizeBytes, retainUntil from objects where vault = 'offsite' and state = 'stored' and kind not in ('upload', 'foreign')",
      )
      .all(),
  ) as unknown as ObjectRow[];
  await Promise.all(
    rows.map(async ({ key, versionId, sizeBytes, retainUntil }) => {
      const at = { Bucket: bucket.name, Key: `prod/${key}`, VersionId: versionId };
      const head = await bucket.client.send(new HeadObjectCommand(at)).catch((error: Error) => error);
      expect(head, `${key} ${versionId}`).toMatchObject({ ContentLength: sizeBytes });
      if (retainUntil === null) return;
      const { Retention } = await bucket.client.send(new GetObjectRetentionCommand(at));
      expect(Retention?.Mode, key).toBe('COMPLIANCE');
      expect(fromDate(Retention?.RetainUntilDate as Date).epochMilliseconds, key).toBeGreaterThanOrEqual(retainUntil);
    }),
  );
}

/** Status shows this snapshot as the newest good one (null: none), and in red what `says` (null: no failed backup). */
export async function showsAsNewest(scene: Scene, snapshot: string | null, says: RegExp | null): Promise<void> {
  const { json, status } = await scene.run('status', 'dupont');
  const [shop] = json.shops;
  expect(shop.sources[0].newestGood?.id ?? null, JSON.stringify(shop)).toBe(snapshot);
  const red = shop.red.join('\n');
  if (says === null) {
    expect(red).not.toMatch(/the last backup failed/);
    return;
  }
  expect(red).toMatch(says);
  expect(status).toBe(1);
}

/** The cause is gone: a backup succeeds, everything reads back, and what coffre says it stores is what the stores list, to the byte. */
export async function recoversWholly(scene: Scene, backup: readonly string[] = ['backup', 'dupont']): Promise<string> {
  scene.lie();
  const { json } = await scene.ok(...backup);
  const [{ id }] = json.snapshots;
  await scene.ok('verify', 'dupont', '--read-data');
  await scene.okLater('catalog', 'checkpoint');
  await believesTheTruth(scene.world);
  await metersExactly(scene);
  await showsAsNewest(scene, id, null);
  return id;
}

export async function metersExactly({ ok, world }: Pick<Scene, 'ok' | 'world'>): Promise<void> {
  const { json } = await ok('billing', 'level');
  const levels = Object.fromEntries(json.vaults.map((one: { vault: string; levelBytes: number }) => [one.vault, one.levelBytes]));
  expect(levels.offsite ?? 0, 'level of offsite').toBe((await inventory(world.bucket)).totalBytes);
  expect(levels.nas ?? 0, 'level of nas').toBe(heldBytes(world.nasPath));
}

/** Names below a folder, for what must not be left behind. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true }).map(String).sort();
}

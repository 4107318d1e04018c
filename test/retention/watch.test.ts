// The daily look, on a store with Object Lock: silent about all that coffre did itself, loud about all that somebody else did.
import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectRetentionCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { expect, onTestFinished, test } from 'vitest';
import { proveVault } from '../../src/backup/prove.ts';
import { Ledger } from '../../src/billing/ledger.ts';
import { acknowledgeIncident, type IncidentRow, listIncidents } from '../../src/catalog/incidents.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { lastRuns } from '../../src/catalog/runs.ts';
import { listSnapshots, objectsOf, recordDamagedObject } from '../../src/catalog/snapshots.ts';
import { systemClock, toDate } from '../../src/clock.ts';
import type { Config } from '../../src/config/config.ts';
import { CoffreError } from '../../src/errors.ts';
import { pruneShop } from '../../src/retention/prune.ts';
import { pruneShortfall } from '../../src/retention/result.ts';
import { type WatchResult, watchShop, watchShortfall } from '../../src/retention/watch.ts';
import { newId } from '../../src/segment/id.ts';
import { segmentKey } from '../../src/segment/layout.ts';
import { freshBucket, inventory } from '../servers/s3.ts';
import { tempDir } from '../temp-dir.ts';
import { s3Config, vaultOn } from '../vault/s3-bench.ts';
import { SHOP, take, type World } from './world.ts';

const HOUR = 3_600_000;
const mode = { lock: { mode: 'GOVERNANCE' } } as const;

test('what coffre did is no incident; what somebody else did is one, until it is gone or somebody knows of it', {
  timeout: 120_000,
}, async () => {
  const bucket = await freshBucket();
  const { client, name: Bucket } = bucket;
  onTestFinished(() => bucket.release());
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  const vault = vaultOn(bucket, mode);
  onTestFinished(() => vault.close());
  const world: World = { catalog, clock: systemClock, vaults: [vault], retentionMs: HOUR };
  const told: string[] = [];
  const request = { vaults: ['offsite'], retentionMs: HOUR, clockSkewMs: 60_000, who: 'test' };
  const watch = (shop = SHOP): Promise<WatchResult> =>
    watchShop(
      {
        ...{ catalog, clock: systemClock, openVault: async () => vaultOn(bucket, mode) },
        onIncident: ({ kind }: IncidentRow) => void told.push(kind),
      },
      { ...request, shop },
    );
  const found = ({ vaults }: WatchResult): string[] => vaults.flatMap((it) => it.found.map(({ kind }) => kind)).sort();
  const open = async (): Promise<string[]> => (await listIncidents(catalog.db)).map(({ kind }) => kind).sort();

  // ours: two snapshots, segments of a run that died, an upload of it that was cut off, a PUT that landed after it had been given up, a probe
  const { segments, snapshot } = await take(world, { fresh: [1000, 2000, 3000, 4000] });
  await take(world, { fresh: [500], dieAfter: 'segments' });
  const ledger = new Ledger(catalog, systemClock);
  const id = newId(systemClock);
  const key = segmentKey(SHOP, id, 'tar', false);
  const until = systemClock.now().add({ minutes: 10 });
  const intent = { vault: 'offsite', shop: SHOP, key, kind: 'segment', refId: id, runId: 'gone', expectedBytes: 700 } as const;
  const row = await ledger.intent(intent);
  await ledger.abandon(row);
  await vault.put({ key, body: Buffer.alloc(700, 1), retainUntil: until });
  const cut = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: `prod/${key}` }));
  await client.send(new UploadPartCommand({ Bucket, Key: `prod/${key}`, UploadId: cut.UploadId, PartNumber: 1, Body: Buffer.alloc(900) }));
  const config = { vaults: new Map([['offsite', s3Config(bucket, mode)]]), limits: { clockSkewMs: 60_000 } } as unknown as Config;
  expect(await proveVault({ config, catalog, clock: systemClock }, ledger, vault, new AbortController().signal)).toMatchObject({
    outcome: 'proven',
  });
  for (const shop of [SHOP, '_coffre']) {
    const quiet = await watch(shop);
    expect([found(quiet), quiet.errors]).toEqual([[], []]);
    const held = (await inventory(bucket, `prod/${shop}/`)).totalBytes;
    expect(quiet.vaults).toMatchObject([{ storedBytes: held, ledgerBytes: held }]);
  }
  expect([told, await open()]).toEqual([[], []]);

  // somebody else's
  const keyOf = (at: number): string => `prod/${segmentKey(SHOP, segments[at] as string, 'tar', false)}`;
  const rows = await objectsOf(catalog, 'offsite', segments, 'segment');
  const versionOf = (at: number): string => rows.find((it) => it.refId === segments[at])?.versionId ?? '';
  const foreign = await client.send(new PutObjectCommand({ Bucket, Key: keyOf(0), Body: Buffer.alloc(42) }));
  const marker = await client.send(new DeleteObjectCommand({ Bucket, Key: keyOf(1) }));
  const bypass = { BypassGovernanceRetention: true };
  await client.send(new DeleteObjectCommand({ Bucket, Key: keyOf(2), VersionId: versionOf(2), ...bypass }));
  const locked = { Bucket, Key: keyOf(3), VersionId: versionOf(3) };
  const lockedUntil = async (): Promise<Date | undefined> =>
    (await client.send(new GetObjectRetentionCommand(locked))).Retention?.RetainUntilDate;
  const promised = await lockedUntil();
  const soon = toDate(systemClock.now().add({ seconds: 30 }));
  await client.send(new PutObjectRetentionCommand({ ...locked, ...bypass, Retention: { Mode: 'GOVERNANCE', RetainUntilDate: soon } }));
  const upload = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: `prod/${SHOP}/segments/theirs` }));
  const manifest = (await objectsOf(catalog, 'offsite', [snapshot], 'manifest'))[0];
  if (!manifest) throw new Error('no manifest');
  await recordDamagedObject(catalog, manifest, 'E_OBJECT_ALTERED');
  await catalog.db
    .insertInto('ledger')
    .values({
      at: systemClock.nowMs(),
      vault: 'offsite',
      shop: SHOP,
      key: 'x',
      versionId: '',
      event: 'adjust',
      bytes: 7,
      cause: null,
      hash: '',
    })
    .execute();

  const all = ['altered', 'delete marker', 'drift', 'foreign upload', 'foreign version', 'lock', 'missing'];
  expect(found(await watch())).toEqual(all);
  expect(told.toSorted()).toEqual(all);
  expect(await open()).toEqual(all);
  // the lock was given again, a row of its own made the bytes agree, the snapshot is not good
  expect(await lockedUntil()).toEqual(promised);
  expect((await listSnapshots(catalog, SHOP))[0]?.good).toBe(false);
  const drift = (await listIncidents(catalog.db)).find(({ kind }) => kind === 'drift');
  expect(drift).toMatchObject({ sizeBytes: -7, detail: expect.stringContaining('the ledger says') });
  expect((await lastRuns(catalog, { shop: SHOP, kind: 'reconcile', limit: 1 }))[0]).toMatchObject({ state: 'done' });

  // seen again it is told of no second time; what nobody sees any more and cannot have been undone stays all the same
  const again = await watch();
  expect(found(again)).toEqual(['altered', 'delete marker', 'foreign upload', 'foreign version']);
  const adjusted = await catalog.db.selectFrom('ledger').select(['bytes', 'cause']).where('cause', 'like', 'reconciliation%').execute();
  expect(adjusted).toEqual([
    { bytes: -7, cause: expect.stringMatching(/^reconciliation: the store lists \d+ bytes, the ledger says \d+$/) },
  ]);
  expect(again.vaults[0]?.ledgerBytes).toBe((await inventory(bucket, `prod/${SHOP}/`)).totalBytes);
  expect(told).toHaveLength(7);
  expect(await open()).toEqual(all);

  // what is undone is gone, what somebody knows of is not red, and nothing of prune's
  await client.send(new DeleteObjectCommand({ Bucket, Key: keyOf(1), VersionId: marker.VersionId }));
  await client.send(new AbortMultipartUploadCommand({ Bucket, Key: `prod/${SHOP}/segments/theirs`, UploadId: upload.UploadId }));
  for (const { id: incident, kind } of await listIncidents(catalog.db)) {
    if (['missing', 'lock', 'drift', 'altered', 'foreign version'].includes(kind)) {
      await acknowledgeIncident(catalog, systemClock, incident, { who: 'marie', reason: 'tried it' });
    }
  }
  expect(found(await watch())).toEqual([]);
  expect(await open()).toEqual([]);
  const prune = { catalog, clock: systemClock, openVault: async () => vaultOn(bucket, mode) };
  expect(pruneShortfall(await pruneShop(prune, { ...request, shop: SHOP, ceilingMs: 90 * 24 * HOUR }))).toBeNull();
  // theirs again, as another version: that is news
  await client.send(new DeleteObjectCommand({ Bucket, Key: keyOf(0), VersionId: foreign.VersionId }));
  await client.send(new PutObjectCommand({ Bucket, Key: keyOf(0), Body: Buffer.alloc(43) }));
  const pruned = await pruneShop(prune, { ...request, shop: SHOP, ceilingMs: 90 * 24 * HOUR });
  expect(pruneShortfall(pruned)).toMatchObject({ code: 'E_VERSION_FOREIGN' });
  expect(await open()).toEqual(['foreign version']);

  const audited = await catalog.db.selectFrom('audit').select(['what', 'who']).where('what', 'like', 'incident%').execute();
  const count = (what: string): number => audited.filter((entry) => entry.what === what).length;
  expect([count('incident'), count('incident acknowledge')]).toEqual([8, 5]);
  expect(audited.some(({ what, who }) => what === 'incident acknowledge' && who === 'marie')).toBe(true);
});

test('a vault that does not answer, a clock that disagrees - the look fails and closes no incident', async () => {
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  const bucket = await freshBucket();
  onTestFinished(() => bucket.release());
  const deps = { catalog, clock: systemClock, openVault: async () => vaultOn(bucket) };
  const request = { shop: SHOP, vaults: ['offsite'], retentionMs: HOUR, clockSkewMs: 60_000, who: 'test' };
  await bucket.client.send(new PutObjectCommand({ Bucket: bucket.name, Key: `prod/${SHOP}/theirs`, Body: 'x' }));
  await watchShop(deps, request);
  expect(await listIncidents(catalog.db)).toHaveLength(1);
  const gone = (): Promise<never> => Promise.reject(new CoffreError('E_VAULT_UNREACHABLE', 'offsite: away'));
  const away = await watchShop({ ...deps, openVault: gone }, request);
  expect(watchShortfall(away)).toMatchObject({ code: 'E_VAULT_UNREACHABLE' });
  const skewed = { ...systemClock, now: () => systemClock.now().add({ minutes: 5 }) };
  const late = await watchShop({ ...deps, openVault: async () => vaultOn(bucket), clock: skewed }, request);
  expect(watchShortfall(late)).toMatchObject({ code: 'E_CLOCK_SKEW' });
  expect(await listIncidents(catalog.db)).toHaveLength(1);
  expect((await lastRuns(catalog, { shop: SHOP, kind: 'reconcile', limit: 1 }))[0]).toMatchObject({ state: 'failed' });
});

test('what lies beside the shops - an incident for each name until it is gone; neither declared shops nor those that are held still', async () => {
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  const bucket = await freshBucket();
  onTestFinished(() => bucket.release());
  const { client, name: Bucket } = bucket;
  const vault = vaultOn(bucket);
  onTestFinished(() => vault.close());
  // held, and declared no more
  await take({ catalog, clock: systemClock, vaults: [vault], retentionMs: HOUR });
  const put = async (key: string): Promise<void> => void (await client.send(new PutObjectCommand({ Bucket, Key: key, Body: 'x' })));
  for (const key of ['prod/martin/a', 'prod/elsewhere/a', 'prod/theirs/deep/a', 'prod/theirs/b', 'prod/loose', 'prodigy/a', 'outside'])
    await put(key);
  // a folder of which nothing but a delete marker is to be seen
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'prod/hidden/a' }));
  const declared = new Map([
    ['martin', ['offsite']],
    ['elsewhere', ['nas']],
  ]);
  const deps = { catalog, clock: systemClock, declared, openVault: async () => vaultOn(bucket) };
  const request = { vaults: ['offsite'], retentionMs: HOUR, clockSkewMs: 60_000, who: 'test' };
  const names = ({ vaults }: WatchResult): string[] => vaults.flatMap(({ found }) => found.map(({ kind, key }) => `${kind} ${key}`)).sort();
  const all = ['elsewhere/', 'hidden/', 'loose', 'theirs/'].map((name) => `foreign prefix ${name}`);
  expect(names(await watchShop(deps, { ...request, shop: '_coffre' }))).toEqual(all);
  expect(names(await watchShop(deps, { ...request, shop: SHOP }))).toEqual([]);
  const [first] = await listIncidents(catalog.db, { shops: ['_coffre'] });
  await acknowledgeIncident(catalog, systemClock, first?.id ?? '', { who: 'marie', reason: 'the old backups' });
  const { Versions } = await client.send(new ListObjectVersionsCommand({ Bucket, Prefix: 'prod/loose' }));
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'prod/loose', VersionId: Versions?.[0]?.VersionId }));
  const left = all.filter((name) => name !== `foreign prefix ${first?.key}` && !name.endsWith('loose'));
  expect(names(await watchShop(deps, { ...request, shop: '_coffre' }))).toEqual(left);
  expect((await listIncidents(catalog.db)).map(({ key }) => key)).toHaveLength(left.length);
});

import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GetObjectCommand, GetObjectRetentionCommand } from '@aws-sdk/client-s3';
import { Temporal } from 'temporal-polyfill';
import { describe, expect, it, vi } from 'vitest';
import type { SignedCheckpoint } from '../../src/segment/checkpoint.ts';
import { verifyCheckpoint } from '../../src/segment/checkpoint.ts';
import { fingerprint, loadSigningKey } from '../../src/segment/signing-key.ts';
import { refuses, startLyingStore } from '../servers/lying-store.ts';
import { inventory } from '../servers/s3.ts';
import { makeWorld, type World } from '../world/world.ts';

// many starts of coffre, on machines that may be busy
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

function openByHand(stored: Uint8Array, recovery: string): SignedCheckpoint {
  const compressed = execFileSync('age', ['-d', '-i', recovery], { input: stored });
  return JSON.parse(execFileSync('zstd', ['-dc'], { input: compressed, maxBuffer: 1 << 28 }).toString('utf8')) as SignedCheckpoint;
}

function shopTree(world: World): string {
  const root = join(world.dir, 'shop');
  mkdirSync(root);
  writeFileSync(join(root, 'index.php'), '<?php');
  return root;
}

async function checkpointsIn(world: World, vault: 'nas' | 'offsite'): Promise<SignedCheckpoint[]> {
  const recovery = join(world.dir, 'recovery.key');
  writeFileSync(recovery, `${world.recovery}\n`, { mode: 0o600 });
  if (vault === 'nas') {
    const folder = join(world.nasPath, '_coffre/state');
    return readdirSync(folder)
      .sort()
      .map((name) => openByHand(readFileSync(join(folder, name)), recovery));
  }
  const { versions } = await inventory(world.bucket, 'prod/_coffre/state/');
  const found: SignedCheckpoint[] = [];
  for (const { key: Key, versionId: VersionId } of versions) {
    const { Body } = await world.bucket.client.send(new GetObjectCommand({ Bucket: world.bucket.name, Key, VersionId }));
    found.push(openByHand((await Body?.transformToByteArray()) ?? new Uint8Array(), recovery));
  }
  return found;
}

describe('the checkpoint of the state', () => {
  it('after the first run - in each of its vaults, locked, opened by the recovery identity, signed, with everything', async () => {
    await using world = await makeWorld({ vaults: ['nas', 'offsite'] });
    world.writeConfig({ vaults: ['nas', 'offsite'], files: { root: shopTree(world) } });
    const { json } = await world.ok(['backup', 'dupont']);
    expect(json.checkpoint.failed).toEqual([]);
    expect(json.checkpoint.written.map((one: { vault: string }) => one.vault).sort()).toEqual(['nas', 'offsite']);

    const [signed, ...more] = await checkpointsIn(world, 'offsite');
    expect(more).toEqual([]);
    if (!signed) throw new Error('no checkpoint');
    const key = await loadSigningKey(join(world.keyDir, 'signing.key'));
    verifyCheckpoint(signed, [fingerprint(key)]);
    const { checkpoint } = signed;
    expect(checkpoint).toMatchObject({ vault: 'offsite', last: true, signers: [fingerprint(key)] });
    expect(checkpoint.configuration.text).toBe(readFileSync(world.configFile, 'utf8'));
    expect(checkpoint.keys.map(({ shop }) => shop)).toEqual(['dupont']);
    expect(checkpoint.ledger.after.row).toBe(0);
    expect(checkpoint.tables.snapshots).toMatchObject([
      { id: json.snapshots[0].id, state: 'committed', requiredVaults: '["nas","offsite"]' },
    ]);
    expect(checkpoint.tables.runs).toMatchObject([{ id: json.snapshots[0].id, state: 'done' }]);
    const held = await inventory(world.bucket, 'prod/dupont/');
    expect(checkpoint.ledger.levels).toContainEqual({ vault: 'offsite', shop: 'dupont', bytes: held.totalBytes });

    const [version] = (await inventory(world.bucket, 'prod/_coffre/state/')).versions;
    const { Retention } = await world.bucket.client.send(
      new GetObjectRetentionCommand({ Bucket: world.bucket.name, Key: version?.key, VersionId: version?.versionId }),
    );
    expect(Retention?.Mode).toBe('COMPLIANCE');
    const days = ((Retention?.RetainUntilDate?.getTime() ?? 0) - Temporal.Instant.from(checkpoint.time).epochMilliseconds) / 86_400_000;
    expect(days).toBeGreaterThan(13.9);
    expect((await checkpointsIn(world, 'nas'))[0]?.checkpoint.vault).toBe('nas');
  });

  it('the next one - only what came since, in one chain; none is due the same day unless the configuration changes', async () => {
    await using world = await makeWorld();
    world.writeConfig({ files: { root: shopTree(world) } });
    await world.ok(['backup', 'dupont']);
    expect((await world.ok(['backup', 'dupont'])).json.checkpoint).toBeNull();
    appendFileSync(world.configFile, '# changed\n');
    expect((await world.ok(['backup', 'dupont'])).json.checkpoint.written).toHaveLength(1);
    await world.ok(['catalog', 'checkpoint']);
    const all = (await checkpointsIn(world, 'offsite')).map(({ checkpoint }) => checkpoint);
    expect(all).toHaveLength(3);
    const [first, second, third] = all.sort((a, b) => (a.time < b.time ? -1 : 1));
    if (!first || !second || !third) throw new Error('three were written');
    expect(second.ledger.after).toEqual(first.ledger.until);
    expect(third.ledger.after).toEqual(second.ledger.until);
    expect(new Set(all.flatMap(({ ledger }) => ledger.rows.map(({ id }) => id))).size).toBe(third.ledger.until.row);
    expect(second.tables.probes).toEqual([]);
    const { json } = await world.ok(['catalog', 'checkpoint', '--list']);
    expect(json.checkpoints).toHaveLength(3);
    // its own bytes are metered: the level of the daemon's place is what the store lists
    const level = await world.ok(['billing', 'level']);
    const own = level.json.shops.find((row: { shop: string }) => row.shop === '_coffre');
    expect(own.levelBytes).toBe((await inventory(world.bucket, 'prod/_coffre/')).totalBytes);
  });

  it('refused by one vault - the backup is good and says so; status is red at once, until a later one is written', async () => {
    await using world = await makeWorld();
    const gateway = await startLyingStore(world.bucket.store.endpoint);
    try {
      world.writeConfig({ vaults: ['nas', 'offsite'], files: { root: shopTree(world) }, endpoint: gateway.endpoint });
      gateway.lie(world.bucket.name, { on: 'PutObject', key: /_coffre\/state\//, tell: refuses(403, 'AccessDenied') });
      const { json } = await world.ok(['backup', 'dupont']);
      expect(json.snapshots).toMatchObject([{ vaults: ['nas', 'offsite'], complete: true }]);
      expect(json.checkpoint).toMatchObject({ written: [{ vault: 'nas' }], failed: [{ vault: 'offsite', code: 'E_VAULT_DENIED' }] });
      const about = async (): Promise<string[]> => {
        const { json } = await world.coffre(['status', 'dupont']);
        return json.shops[0].red.filter((line: string) => line.includes('checkpoint'));
      };
      expect(await about()).toEqual([expect.stringMatching(/^vault offsite lacks the newest state of coffre.*E_VAULT_DENIED/)]);
      gateway.lie(world.bucket.name);
      // due still, although the other vault has it
      expect((await world.ok(['backup', 'dupont'])).json.checkpoint).toMatchObject({ written: [{ vault: 'offsite' }], failed: [] });
      expect(await about()).toEqual([]);
    } finally {
      await gateway.stop();
    }
  });
});

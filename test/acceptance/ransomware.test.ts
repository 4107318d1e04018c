// Somebody took the writer's credentials; eight fourteenths of the window later the machine is wiped too. What is left is the bucket and
// the paper kit.
import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import {
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { systemClock, toDate } from '../../src/clock.ts';
import { makeIdentity, recipientOf, sealIdentity } from '../../src/segment/age.ts';
import { encodeCheckpoint, type SignedCheckpoint, signCheckpoint } from '../../src/segment/checkpoint.ts';
import { newId } from '../../src/segment/id.ts';
import { identityKey, manifestKey, stateKey } from '../../src/segment/layout.ts';
import { encodeManifest, signManifest } from '../../src/segment/manifest.ts';
import { makeSigningKey } from '../../src/segment/signing-key.ts';
import { startMariadb } from '../servers/mariadb.ts';
import { type InventoryVersion, inventory } from '../servers/s3.ts';
import { COFFRE, makeWorld, type World } from '../world/world.ts';
import { readSigned, reseal } from './attack.ts';
import { writeTree } from './tree.ts';

const run = promisify(execFile);
/** The window stands for fourteen days, and what passes until anybody looks for eight. */
const WINDOW_S = 105;
const UNNOTICED_MS = (WINDOW_S * 1000 * 8) / 14;

const refusal = async (request: Promise<unknown>): Promise<number> => {
  try {
    await request;
    return 200;
  } catch (error) {
    return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? 0;
  }
};

/** What somebody with the writer's rights can do to a bucket: everything but what the locks refuse. */
class Attacker {
  readonly #world: World;
  readonly #signingKey = makeSigningKey();

  constructor(world: World) {
    this.#world = world;
  }

  async put(key: string, Body: Buffer | string): Promise<void> {
    await this.#world.bucket.client.send(new PutObjectCommand({ Bucket: this.#world.bucket.name, Key: `prod/${key}`, Body }));
  }

  async read({ key: Key, versionId: VersionId }: InventoryVersion): Promise<Buffer> {
    const { Body } = await this.#world.bucket.client.send(new GetObjectCommand({ Bucket: this.#world.bucket.name, Key, VersionId }));
    return Buffer.from((await Body?.transformToByteArray()) ?? []);
  }

  /** The status of deleting the version, and of shortening and of weakening its lock. */
  async breakLock({ key: Key, versionId: VersionId }: InventoryVersion): Promise<number[]> {
    const { client, name: Bucket } = this.#world.bucket;
    const soon = toDate(systemClock.now().add({ seconds: 2 }));
    return [
      await refusal(
        client.send(new PutObjectRetentionCommand({ Bucket, Key, VersionId, Retention: { Mode: 'COMPLIANCE', RetainUntilDate: soon } })),
      ),
      await refusal(
        client.send(
          new PutObjectRetentionCommand({
            Bucket,
            Key,
            VersionId,
            BypassGovernanceRetention: true,
            Retention: { Mode: 'GOVERNANCE', RetainUntilDate: soon },
          }),
        ),
      ),
      await refusal(client.send(new DeleteObjectCommand({ Bucket, Key, VersionId, BypassGovernanceRetention: true }))),
    ];
  }

  /** A manifest that tells another story in perfect form, under the key of the true one and under one of its own. */
  async forgeManifest(version: InventoryVersion): Promise<void> {
    const { manifest } = readSigned(this.#world, await this.read(version));
    const empty = { ...manifest, counts: { ...manifest.counts, files: 0 } };
    await this.put(version.key.slice(5), reseal(this.#world, encodeManifest(signManifest(empty, this.#signingKey))));
    const id = newId(systemClock);
    const index = { ...manifest.index, key: manifest.index.key.replace(manifest.snapshot, id) };
    const invented = encodeManifest(signManifest({ ...empty, snapshot: id, index }, this.#signingKey));
    await this.put(manifestKey(manifest.shop, id, true), reseal(this.#world, invented));
    // and the true one, signature and all, where it does not belong
    await this.put(
      manifestKey(manifest.shop, newId(systemClock), true),
      reseal(this.#world, encodeManifest(readSigned(this.#world, await this.read(version)))),
    );
  }

  /** An identity of his own for the shop, sealed to the recovery recipient as ours is: what is stored next would be his to read. */
  async forgeIdentity(shop: string): Promise<string> {
    const identity = await makeIdentity();
    await this.put(identityKey(shop, newId(systemClock)), await sealIdentity(identity, [await recipientOf(this.#world.recovery)]));
    return await recipientOf(identity);
  }

  /** A checkpoint of tomorrow, in which no shop is held and the bill is small. */
  async forgeCheckpoint(version: InventoryVersion): Promise<void> {
    const recovery = join(this.#world.dir, 'forger.key');
    writeFileSync(recovery, this.#world.recovery, { mode: 0o600 });
    const compressed = execFileSync('age', ['-d', '-i', recovery], { input: await this.read(version) });
    const { checkpoint } = JSON.parse(
      execFileSync('zstd', ['-dc'], { input: compressed, maxBuffer: 1 << 28 }).toString(),
    ) as SignedCheckpoint;
    const time = systemClock.now().add({ hours: 24 }).round('second');
    const forged = encodeCheckpoint(
      signCheckpoint({ ...checkpoint, time: time.toString({ smallestUnit: 'second' }), tables: {} }, this.#signingKey),
    );
    const sealed = execFileSync('age', ['-r', await recipientOf(this.#world.recovery)], {
      input: execFileSync('zstd', ['-c'], { input: forged, maxBuffer: 1 << 28 }),
    });
    await this.put(stateKey(time, true), sealed);
  }

  async leaveUpload(key: string): Promise<void> {
    const { client, name: Bucket } = this.#world.bucket;
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: `prod/${key}` }));
    await client.send(new UploadPartCommand({ Bucket, Key: `prod/${key}`, UploadId, PartNumber: 1, Body: randomBytes(1000) }));
  }

  async deleteMarker(key: string): Promise<void> {
    await this.#world.bucket.client.send(new DeleteObjectCommand({ Bucket: this.#world.bucket.name, Key: key }));
  }
}

/** The command that the kit prints for a vault, as one line. */
function commandOf(kit: string, vault: string): string {
  const lines = kit.split('\n');
  const first = lines.findIndex((line) => line.includes(`catalog rebuild --from ${vault} `));
  const count = lines.slice(first).findIndex((line) => !line.endsWith('\\')) + 1;
  return lines
    .slice(first, first + count)
    .map((line) => line.replace(/\\$/, '').trim())
    .join(' ');
}

const differences = (a: string, b: string): string =>
  execFileSync('rsync', ['-rlptgoD', '--checksum', '--dry-run', '--delete', '--itemize-changes', `${a}/`, `${b}/`]).toString();

describe('ransomware', () => {
  it('every key overwritten and marked deleted, manifests, keys and checkpoints forged, the machine wiped - the paper kit brings every shop back and names the tampering', async () => {
    await using server = await startServer();
    await using world = await makeWorld();
    // two shops, one with a database, two snapshots of each source
    const trees = { dupont: join(world.dir, 'www-dupont'), martin: join(world.dir, 'www-martin') };
    writeTree(trees.dupont, {});
    writeTree(trees.martin, { directories: 2 });
    world.writeConfig({
      retention: `${WINDOW_S}s`,
      database: { socketPath: server.socketPath, user: 'root', name: 'shop' },
      files: { root: trees.dupont },
    });
    appendFileSync(
      world.configFile,
      `  martin:\n    plan: plan\n    vaults: [offsite]\n    host: { type: local }\n    files: { root: ${trees.martin}, profile: generic }\n`,
    );
    await world.ok(['keys', 'make', 'martin']);
    await world.ok(['backup', 'dupont']);
    await world.ok(['backup', 'martin']);
    writeFileSync(join(trees.dupont, 'last.php'), 'written before the last backup');
    await world.ok(['backup', 'dupont']);
    await world.ok(['catalog', 'checkpoint']);
    const lastBackupMs = systemClock.nowMs();
    const dumpBefore = await server.dump('shop');
    const kit: string = (await world.ok(['keys', 'recovery-kit'])).json.text;
    const honest = (await inventory(world.bucket, 'prod/')).versions;
    const ours = honest.filter(({ key }) => !key.includes('/_coffre/probe/'));

    // the attack
    const attacker = new Attacker(world);
    for (const version of ours.filter(({ key }) => key.includes('dupont/snapshots/'))) await attacker.forgeManifest(version);
    const forgedRecipient = await attacker.forgeIdentity('dupont');
    await attacker.forgeCheckpoint(ours.findLast(({ key }) => key.includes('/_coffre/state/')) as InventoryVersion);
    await attacker.leaveUpload(`martin/segments/${newId(systemClock)}.tar.zst.age`);
    await attacker.put('dupont/segments/readme.txt', 'pay');
    for (const { key } of ours) {
      await attacker.put(key.slice(5), randomBytes(64));
      await attacker.deleteMarker(key);
    }
    // nobody has noticed for eight days: now the locks are tried
    await systemClock.sleep(Math.max(0, lastBackupMs + UNNOTICED_MS - systemClock.nowMs()));
    for (const version of ours) {
      for (const status of await attacker.breakLock(version)) expect([400, 403], version.key).toContain(status);
    }
    const left = new Set((await inventory(world.bucket, 'prod/')).versions.map(({ versionId }) => versionId));
    for (const { versionId, key } of ours) expect(left.has(versionId), key).toBe(true);

    // the machine is wiped, shops and all
    for (const path of [world.stateDir, world.keyDir, world.configFile]) rmSync(path, { recursive: true, force: true });
    await server.sql('DROP DATABASE shop');

    // an empty folder and the paper kit: its own command, the two secrets typed in
    const empty = join(world.dir, 'empty');
    mkdirSync(empty);
    const { accessKey: accessKeyId, secretKey: secretAccessKey } = world.bucket.store;
    writeFileSync(join(empty, 'recovery.key'), `${world.recovery}\n`, { mode: 0o600 });
    writeFileSync(join(empty, 'reading.json'), JSON.stringify({ accessKeyId, secretAccessKey }), { mode: 0o600 });
    const command = commandOf(kit, 'offsite').replace('coffre ', 'coffre --json ');
    const { stdout } = await run('sh', ['-c', command], {
      cwd: empty,
      env: { ...process.env, PATH: `${dirname(COFFRE)}:${process.env.PATH}` },
      maxBuffer: 1 << 28,
    });
    const report = JSON.parse(stdout);
    expect(report.lost).toEqual([]);
    expect(report.shops).toMatchObject([
      { shop: 'dupont', declared: true, snapshots: 4 },
      { shop: 'martin', declared: true, snapshots: 1 },
    ]);

    // everything that he did is named
    const named = new Map<string, Set<string>>();
    for (const { key, what } of report.tampering as { key: string; what: string }[])
      named.set(what, (named.get(what) ?? new Set()).add(key));
    const keys = new Set(ours.map(({ key }) => key.slice(5)));
    expect(named.get('delete marker')).toEqual(keys);
    const about = new Set(
      (report.tampering as { key: string; what: string }[]).filter(({ what }) => what !== 'delete marker').map(({ key }) => key),
    );
    for (const key of keys) expect(about.has(key), `the version put over ${key}`).toBe(true);
    expect(named.get('forged manifest: not signed by a key of the recovery kit')?.size).toBe(8);
    expect(named.get('manifest of something else, or altered')?.size).toBe(4);
    expect(named.get('forged checkpoint: not signed by a key of the recovery kit')?.size).toBe(1);
    expect(named.get('identity that no signed manifest names')?.size).toBe(1);
    expect([...about]).toContain('dupont/segments/readme.txt');
    // and his identity is nobody's
    expect(readFileSync(join(world.keyDir, 'dupont.pub'), 'utf8')).not.toContain(forgedRecipient);

    // every shop is as it was
    writeFileSync(join(world.keyDir, 'offsite.json'), JSON.stringify({ accessKeyId, secretAccessKey }), { mode: 0o600 });
    await server.sql('CREATE DATABASE back');
    for (const [shop, tree] of Object.entries(trees)) {
      const back = join(world.dir, `back-${shop}`);
      await world.ok(['restore', shop, '--source', 'files', '--to-dir', back]);
      expect(differences(tree, back), shop).toBe('');
    }
    await world.ok([
      'restore',
      'dupont',
      '--source',
      'database',
      '--to-database',
      `mysql://root@localhost/back?socketPath=${server.socketPath}`,
    ]);
    expect(await server.dump('back')).toBe(dumpBefore);
    // the bill counts what he put there, to the byte
    const level = (await world.ok(['billing', 'level'])).json.shops as { shop: string; vault: string; levelBytes: number }[];
    const held = await inventory(world.bucket, 'prod/');
    expect(level.filter(({ vault }) => vault === 'offsite').reduce((sum, { levelBytes }) => sum + levelBytes, 0)).toBe(held.totalBytes);
    // and the next backup is sealed to the shop's own identity and good
    const next = await world.ok(['backup', 'dupont', '--source', 'files']);
    expect(next.json.snapshots[0]).toMatchObject({ complete: true, missing: [] });
  }, 400_000);
});

async function startServer() {
  const server = await startMariadb();
  await server.createDatabase('shop');
  await server.sql(
    `CREATE TABLE ps_lang (id INT PRIMARY KEY, name VARCHAR(32)); INSERT INTO ps_lang VALUES (1, 'Français'), (2, 'English');
     CREATE TABLE ps_orders (id INT PRIMARY KEY AUTO_INCREMENT, reference CHAR(32) NOT NULL, KEY (reference));
     INSERT INTO ps_orders (reference) SELECT MD5(seq) FROM seq_1_to_20000;
     CREATE VIEW ps_last AS SELECT MAX(id) FROM ps_orders;`,
    { database: 'shop' },
  );
  return {
    socketPath: server.socketPath,
    sql: (text: string) => server.sql(text),
    dump: async (name: string): Promise<string> =>
      (
        await server.client('mariadb-dump', ['--skip-dump-date', '--skip-comments', '--routines', '--triggers', '--events', name])
      ).toString(),
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

// The bucket policy of README.md, given to credentials of their own on a real store: enough for coffre, and for nothing else.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeleteObjectCommand, PutBucketPolicyCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { follow, README, steps } from '../by-hand.ts';
import { createCephUser, type S3Login } from '../servers/ceph.ts';
import { inventory, plainClient } from '../servers/s3.ts';
import { makeWorld } from '../world/world.ts';
import { writeTree } from './tree.ts';

const POLICY = /^<!-- bucket policy -->\n```json\n([\s\S]*?)^```/m.exec(readFileSync(README, 'utf8'))?.[1] ?? '';

describe('the policy of the README', () => {
  it('three credentials - doctor is green, a shop is backed up, pruned and fetched by hand; none may do another’s part', async ({
    skip,
  }) => {
    await using world = await makeWorld();
    const { store, name: Bucket } = world.bucket;
    const { cephDir } = store;
    if (cephDir === null) return skip('only in a Ceph of our own can further users be made');
    const tag = randomBytes(4).toString('hex');
    const logins: Record<string, S3Login> = {};
    for (const role of ['writer', 'pruner', 'reader']) logins[role] = await createCephUser(cephDir, `${role}-${tag}`);
    const { writer, pruner, reader } = logins as Record<'writer' | 'pruner' | 'reader', S3Login>;
    const Policy = POLICY.replaceAll('user/coffre-', `user/`)
      .replaceAll(/user\/(\w+)/g, `user/$1-${tag}`)
      .replaceAll('arn:aws:s3:::coffre', `arn:aws:s3:::${Bucket}`);
    await world.bucket.client.send(new PutBucketPolicyCommand({ Bucket, Policy }));

    const secret = (file: string, { accessKey, secretKey }: S3Login): void =>
      writeFileSync(join(world.keyDir, file), JSON.stringify({ accessKeyId: accessKey, secretAccessKey: secretKey }), { mode: 0o600 });
    secret('offsite.json', writer);
    secret('prune.json', pruner);
    secret('read.json', reader);
    const root = join(world.dir, 'www');
    writeTree(root, { largeBytes: 70_000_000 });
    world.writeConfig({ files: { root } });
    const config = readFileSync(world.configFile, 'utf8');
    writeFileSync(
      world.configFile,
      config.replace(
        /credentialsFile: (\S*)offsite\.json/,
        'credentialsFile: $1offsite.json, pruneCredentialsFile: $1prune.json, readCredentialsFile: $1read.json',
      ),
    );

    const doctor = await world.coffre(['doctor']);
    const red = doctor.json.checks.filter((check: { ok: boolean; name: string }) => !check.ok && check.name.startsWith('vault'));
    expect(red).toEqual([]);
    expect(doctor.json.checks.filter((check: { name: string }) => check.name.includes('credential that')).length).toBe(3);
    const { json } = await world.ok(['backup', 'dupont']);
    expect(json.snapshots[0].lock).toMatchObject({ mode: 'COMPLIANCE', verified: true });
    await world.ok(['verify', 'dupont', '--read-data']);
    await world.ok(['prune']);
    await world.ok(['reconcile']);
    // it is what doctor prints
    const printed = (await world.ok(['doctor', '--policies'])).json.policies.find(({ vault }: { vault: string }) => vault === 'offsite');
    expect(JSON.parse(JSON.stringify(printed.policy).replaceAll(`${Bucket}/prod`, 'coffre').replaceAll(Bucket, 'coffre'))).toEqual(
      JSON.parse(POLICY),
    );

    // with the paper kit's credential, by hand
    const desk = mkdtempSync(join(tmpdir(), 'coffre-by-hand-'));
    try {
      writeFileSync(join(desk, 'recovery.key'), `${world.recovery}\n`);
      const { status, stderr } = await follow(desk, steps('fetch', 'open', 'check'), {
        ...{ ENDPOINT: store.endpoint, REGION: store.region, BUCKET: Bucket, PREFIX: 'prod', SHOP: 'dupont' },
        ...{ AWS_ACCESS_KEY_ID: reader.accessKey, AWS_SECRET_ACCESS_KEY: reader.secretKey, SNAPSHOT: json.snapshots[0].id },
      });
      expect(status, stderr).toBe(0);
    } finally {
      rmSync(desk, { recursive: true, force: true });
    }

    // an unlocked version: it is the policy that decides here
    const control = await world.bucket.client.send(new PutObjectCommand({ Bucket, Key: 'prod/control', Body: 'x' }));
    const object = { Bucket, Key: 'prod/control', VersionId: control.VersionId };
    const as = (login: S3Login) => plainClient({ ...store, ...login });
    for (const [role, login] of Object.entries({ writer, reader })) {
      const client = as(login);
      await expect(client.send(new DeleteObjectCommand(object)), role).rejects.toMatchObject({ name: 'AccessDenied' });
      if (role === 'reader') {
        await expect(client.send(new PutObjectCommand({ Bucket, Key: 'prod/new', Body: 'x' })), role).rejects.toMatchObject({
          name: 'AccessDenied',
        });
      }
      client.destroy();
    }
    const client = as(pruner);
    await expect(client.send(new PutObjectCommand({ Bucket, Key: 'prod/new', Body: 'x' }))).rejects.toMatchObject({ name: 'AccessDenied' });
    const locked = (await inventory(world.bucket, 'prod/dupont/snapshots/')).versions[0];
    await expect(client.send(new DeleteObjectCommand({ Bucket, Key: locked?.key, VersionId: locked?.versionId }))).rejects.toMatchObject({
      name: 'AccessDenied',
    });
    await client.send(new DeleteObjectCommand(object));
    client.destroy();

    // and the paper kit's credential is enough to bring a lost machine back, locks and all
    const identity = join(world.dir, 'recovery.key');
    const reading = join(world.dir, 'reading.json');
    writeFileSync(identity, `${world.recovery}\n`, { mode: 0o600 });
    writeFileSync(reading, JSON.stringify({ accessKeyId: reader.accessKey, secretAccessKey: reader.secretKey }), { mode: 0o600 });
    const trusted = (await world.ok(['keys'])).json.signing.fingerprint;
    for (const path of [world.stateDir, world.keyDir, world.configFile]) rmSync(path, { recursive: true });
    const place = ['--endpoint', store.endpoint, '--region', store.region, '--bucket', Bucket, '--prefix', 'prod'];
    const rebuilt = await world.ok([
      ...['catalog', 'rebuild', '--from', 'offsite', ...place, '--credentials-file', reading],
      ...['--identity-file', identity, '--fingerprint', trusted],
    ]);
    expect(rebuilt.json).toMatchObject({ snapshots: 1, lost: [], tampering: [] });
    const { json: back } = await world.ok(['show', json.snapshots[0].id]);
    expect(JSON.stringify(back)).toContain('COMPLIANCE');
  }, 180_000);
});

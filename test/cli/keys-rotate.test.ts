import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { makeIdentity, recipientOf } from '../../src/segment/age.ts';
import { inventory } from '../servers/s3.ts';
import { makeWorld, type World } from '../world/world.ts';

// many starts of coffre, on machines that may be busy
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

let world: World;
let root: string;
let first: string;
const keyFile = (name: string): string => join(world.keyDir, name);

beforeAll(async () => {
  world = await makeWorld();
  root = join(world.dir, 'shop');
  mkdirSync(root);
  writeFileSync(join(root, 'a.php'), 'one');
  world.writeConfig({ files: { root } });
  first = (await world.ok(['backup', 'dupont'])).json.snapshots[0].id;
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

async function restored(snapshot: string): Promise<string> {
  const target = join(world.dir, `back-${snapshot}`);
  rmSync(target, { recursive: true, force: true });
  await world.ok(['restore', 'dupont', '--snapshot', snapshot, '--to-dir', target]);
  return readFileSync(join(target, 'a.php'), 'utf8');
}

describe('rotated keys', () => {
  let second: string;
  let fingerprints: string[];

  it('a new identity - nothing older is reused, both snapshots come back, both sealed identities are in the vault', async () => {
    const before = readFileSync(keyFile('dupont.pub'), 'utf8');
    const { json } = await world.ok(['keys', 'rotate', 'dupont']);
    expect(json.rotated).toHaveLength(1);
    expect(readFileSync(keyFile('dupont.pub'), 'utf8')).not.toBe(before);
    writeFileSync(join(root, 'a.php'), 'two');
    const backup = await world.ok(['backup', 'dupont']);
    expect(backup.json.snapshots[0].reusedSegments).toBe(0);
    second = backup.json.snapshots[0].id;
    expect(await restored(first)).toBe('one');
    expect(await restored(second)).toBe('two');
    expect((await world.ok(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
    expect((await inventory(world.bucket, 'prod/dupont/keys/')).versions).toHaveLength(2);
  });

  it('a rotation that was cut off - no backup until the same command has finished it', async () => {
    const draft = join(world.keyDir, '.rotate', 'dupont');
    mkdirSync(draft, { recursive: true });
    // everything had been moved but the last file
    const pub = readFileSync(keyFile('dupont.pub'));
    writeFileSync(join(draft, 'pub'), pub);
    const refused = await world.coffre(['backup', 'dupont']);
    expect(refused.json.failures[0]).toMatchObject({ code: 'E_KEY', hint: expect.stringContaining('keys rotate dupont') });
    const { json } = await world.ok(['keys', 'rotate', 'dupont']);
    expect(pub.toString()).toContain(json.rotated[0].recipient);
    await world.ok(['backup', 'dupont']);
  });

  it('a new signing key - older manifests stay trusted, the kit names both fingerprints', async () => {
    const { json } = await world.ok(['keys', 'rotate', '--signing']);
    fingerprints = [json.signing.fingerprint, json.signing.older];
    await world.ok(['backup', 'dupont']);
    expect((await world.ok(['verify', 'dupont'])).json.ok).toBe(true);
    expect(await restored(first)).toBe('one');
    const kit: string = (await world.ok(['keys', 'recovery-kit'])).json.text;
    for (const fingerprint of fingerprints) expect(kit).toContain(`--fingerprint ${fingerprint}`);
    expect(kit).toContain(`coffre --config ${world.configFile} catalog rebuild --from offsite`);
    expect((await world.ok(['keys'])).json.signing).toMatchObject({ fingerprint: fingerprints[0], older: [fingerprints[1]] });
  });

  it('a new recovery identity - it alone brings a burnt machine back, whatever was sealed before', async () => {
    const recovery = await makeIdentity();
    const config = readFileSync(world.configFile, 'utf8').replace(/recovery: \[age1\w+\]/, `recovery: [${await recipientOf(recovery)}]`);
    writeFileSync(world.configFile, config);
    await world.ok(['keys', 'rotate', '--recovery']);
    const ledger = (await world.ok(['billing', 'ledger', '--limit', '1000'])).json.rows.length;
    await world.ok(['backup', 'dupont']);
    const kit = join(world.dir, 'recovery.key');
    writeFileSync(kit, `${recovery}\n`, { mode: 0o600 });
    const reading = join(world.dir, 'reading.json');
    writeFileSync(reading, readFileSync(keyFile('offsite.json')), { mode: 0o600 });
    for (const path of [world.stateDir, world.keyDir, world.configFile]) rmSync(path, { recursive: true, force: true });
    const { endpoint, region } = world.bucket.store;
    const { json } = await world.ok([
      ...['catalog', 'rebuild', '--from', 'offsite', '--endpoint', endpoint, '--region', region, '--bucket', world.bucket.name],
      ...['--prefix', 'prod', '--credentials-file', reading, '--identity-file', kit],
      ...fingerprints.flatMap((fingerprint) => ['--fingerprint', fingerprint]),
    ]);
    expect(json).toMatchObject({ snapshots: 5, ledger: { from: null } });
    expect(json.ledger.rows).toBeGreaterThan(ledger);
    expect(readdirSync(join(world.keyDir, 'identities/older/dupont'))).toHaveLength(1);
    expect(json.tampering.map(({ what }: { what: string }) => what)).not.toContain('delete marker');
  });
});

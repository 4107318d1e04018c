import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { makeIdentity } from '../../src/segment/age.ts';
import { newId } from '../../src/segment/id.ts';
import { fingerprint, loadSigningKey, makeSigningKey } from '../../src/segment/signing-key.ts';
import { inventory } from '../servers/s3.ts';
import { makeWorld, type World } from '../world/world.ts';

// many starts of coffre, on machines that may be busy
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

/** Told by nothing but the checkpoint. */
const STATE_TABLES = ['shopStates', 'holds', 'certificates', 'incidents'] as const;

let world: World;
let root: string;
let snapshot: string;
let kit: { readonly identity: string; readonly credentials: string; readonly fingerprint: string };
let before: Record<string, unknown[]>;

beforeAll(async () => {
  const vaults = ['nas', 'offsite'] as const;
  world = await makeWorld({ vaults });
  root = join(world.dir, 'shop');
  mkdirSync(root);
  for (let i = 0; i < 20; i++) writeFileSync(join(root, `${i}.jpg`), `picture ${i} `.repeat(200));
  world.writeConfig({ vaults, files: { root } });
  snapshot = (await world.ok(['backup', 'dupont'])).json.snapshots[0].id;
  const database = new DatabaseSync(join(world.stateDir, 'catalog.db'));
  const now = systemClock.nowMs();
  database.prepare(`insert into shopStates values ('martin', 'closing', ?, ?, 'anna', 'leaves')`).run(now, now + 86_400_000);
  database
    .prepare(`insert into holds values (?, 'dupont', ?, 'lawsuit', ?, 'anna', null, null, null)`)
    .run(newId(systemClock), snapshot, now);
  database
    .prepare(`insert into certificates (shop, at, kind, final, document) values ('gone', ?, 'erasure', 1, '{"signed":true}')`)
    .run(now);
  database
    .prepare(`insert into incidents values (?, 'nas', 'dupont', 'missing', 'k', 'v', 1, null, ?, ?, ?, ?, 'anna', 'seen to')`)
    .run(newId(systemClock), now, now, now, now);
  database.close();
  await world.ok(['catalog', 'checkpoint']);
  before = Object.fromEntries(STATE_TABLES.map((name) => [name, rowsOf(`select * from "${name}"`)]));
  const folder = join(world.dir, 'kit');
  mkdirSync(folder);
  kit = {
    identity: join(folder, 'recovery.key'),
    credentials: join(folder, 'reading.json'),
    fingerprint: fingerprint(await loadSigningKey(join(world.keyDir, 'signing.key'))),
  };
  writeFileSync(kit.identity, `${world.recovery}\n`, { mode: 0o600 });
  writeFileSync(kit.credentials, readFileSync(join(world.keyDir, 'offsite.json')), { mode: 0o600 });
  burn();
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

function burn(): void {
  for (const path of [world.stateDir, world.keyDir, world.configFile]) rmSync(path, { recursive: true, force: true });
}

function fromOffsite(changes: Partial<typeof kit> = {}): string[] {
  const { identity, credentials, fingerprint: trusted } = { ...kit, ...changes };
  const { endpoint, region } = world.bucket.store;
  return [
    ...['catalog', 'rebuild', '--from', 'offsite', '--endpoint', endpoint, '--region', region, '--bucket', world.bucket.name],
    ...['--prefix', 'prod', '--credentials-file', credentials, '--identity-file', identity, '--fingerprint', trusted],
  ];
}

// biome-ignore lint/suspicious/noExplicitAny: rows of any table
function rowsOf(sql: string): any[] {
  const database = new DatabaseSync(join(world.stateDir, 'catalog.db'), { readOnly: true });
  try {
    return database.prepare(sql).all();
  } finally {
    database.close();
  }
}

const nasBytes = (shop: string): number =>
  execFileSync('find', [join(world.nasPath, shop), '-type', 'f', '-printf', '%s\\n'])
    .toString()
    .split('\n')
    .reduce((sum, size) => sum + Number(size), 0);

async function levelOf(shop: string, vault: string): Promise<number> {
  const { json } = await world.ok(['billing', 'level']);
  return json.shops.find((row: { shop: string; vault: string }) => row.shop === shop && row.vault === vault).levelBytes;
}

describe('with what does not fit', () => {
  it('another recovery identity - nothing is given back, and it says why', async () => {
    const other = join(world.dir, 'kit', 'other.key');
    writeFileSync(other, `${await makeIdentity()}\n`, { mode: 0o600 });
    const { json } = await world.coffre(fromOffsite({ identity: other }));
    expect(json.error).toMatchObject({ code: 'E_CONFIG_MISSING', message: expect.stringContaining('no identity opens') });
  });

  it('another fingerprint - all is forged to it', async () => {
    const { json } = await world.coffre(fromOffsite({ fingerprint: fingerprint(makeSigningKey()) }));
    expect(json.error).toMatchObject({
      code: 'E_CONFIG_MISSING',
      message: expect.stringContaining('not signed by a key of the recovery kit'),
    });
  });

  it('no place, no fingerprint - usage', async () => {
    expect((await world.coffre(['catalog', 'rebuild', '--from', 'offsite'])).json.error.code).toBe('E_USAGE');
    expect((await world.coffre(fromOffsite().slice(0, -2))).json.error.code).toBe('E_USAGE');
  });
});

describe('from one vault, then the other', () => {
  it('killed at any moment - nothing counts as rebuilt, and the next call begins anew', async () => {
    for (let afterMs = 600; ; afterMs += 500) {
      const child = world.start(fromOffsite());
      const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once('exit', (_code, signal) => resolve(signal)));
      const timer = systemClock.after(afterMs, () => child.kill('SIGKILL'));
      const signal = await ended;
      timer.cancel();
      if (signal === null || existsSync(join(world.stateDir, 'catalog.db'))) break;
    }
    // whatever was reached: what is there is whole, or another call makes it so
    if (!existsSync(join(world.stateDir, 'catalog.db'))) await world.ok(fromOffsite());
    expect(rowsOf('select state, complete from snapshots')).toEqual([{ state: 'committed', complete: 1 }]);
    expect(existsSync(world.configFile)).toBe(true);
  });

  it('holds, states of shops, certificates and incidents - as they were', () => {
    for (const name of STATE_TABLES) expect(rowsOf(`select * from "${name}"`), name).toEqual(before[name]);
  });

  it('the other vault is added - the snapshot is good again, levels agree, the next backup reuses in both, prune finds nothing foreign', async () => {
    writeFileSync(join(world.keyDir, 'offsite.json'), readFileSync(kit.credentials), { mode: 0o600 });
    const { json } = await world.ok(['catalog', 'rebuild', '--from', 'nas', '--identity-file', kit.identity]);
    expect(json).toMatchObject({ snapshots: 1, lost: [], tampering: [], config: { written: false } });
    const { json: listed } = await world.ok(['snapshots', 'dupont']);
    expect(JSON.stringify(listed)).toContain('nas');
    for (const shop of ['dupont', '_coffre']) {
      expect(await levelOf(shop, 'nas'), shop).toBe(nasBytes(shop));
      expect(await levelOf(shop, 'offsite'), shop).toBe((await inventory(world.bucket, `prod/${shop}/`)).totalBytes);
    }
    const again = await world.coffre(['catalog', 'rebuild', '--from', 'nas', '--identity-file', kit.identity]);
    expect(again.json.error.code).toBe('E_STATE_NOT_EMPTY');
    const backup = await world.ok(['backup', 'dupont']);
    expect(backup.json.snapshots[0]).toMatchObject({ vaults: ['nas', 'offsite'], missing: [] });
    expect(backup.json.snapshots[0].reusedSegments).toBeGreaterThan(0);
    const pruned = await world.ok(['prune']);
    expect(pruned.json.results.flatMap(({ foreign }: { foreign: unknown[] }) => foreign)).toEqual([]);
    expect(await levelOf('dupont', 'nas')).toBe(nasBytes('dupont'));
  });
});

describe('from a folder', () => {
  it('the configuration and the keys are still there, only the state is lost - both stay, and no flag but the vault is needed', async () => {
    const config = readFileSync(world.configFile, 'utf8');
    const key = readFileSync(join(world.keyDir, 'identities/dupont.key'), 'utf8');
    rmSync(world.stateDir, { recursive: true });
    const { json } = await world.ok(['catalog', 'rebuild', '--from', 'nas', '--identity-file', kit.identity]);
    expect(json).toMatchObject({ snapshots: 2, lost: [], tampering: [], config: { written: false }, signing: { isNew: false } });
    expect(readFileSync(world.configFile, 'utf8')).toBe(config);
    expect(readFileSync(join(world.keyDir, 'identities/dupont.key'), 'utf8')).toBe(key);
    await world.ok(['restore', 'dupont', '--to-dir', join(world.dir, 'back')]);
    expect(readFileSync(join(world.dir, 'back', '7.jpg'), 'utf8')).toBe(readFileSync(join(root, '7.jpg'), 'utf8'));
  });

  it('without the recovery identity - the snapshots come back, and it says that the ledger and the evidence do not', async () => {
    rmSync(world.stateDir, { recursive: true });
    const { json } = await world.ok(['catalog', 'rebuild', '--from', 'nas']);
    expect(json).toMatchObject({ snapshots: 2, checkpoint: null });
    expect(json.lost.join()).toContain('begin anew');
    expect(await levelOf('dupont', 'nas')).toBe(nasBytes('dupont'));
  });
});

describe('from a folder, without encryption', () => {
  it('the fingerprint is enough; state and keys go where they are told to', async () => {
    await using plain = await makeWorld({ vaults: ['nas'], encryption: 'none' });
    const tree = join(plain.dir, 'shop');
    mkdirSync(tree);
    writeFileSync(join(tree, 'index.php'), '<?php');
    plain.writeConfig({ vaults: ['nas'], encryption: 'none', files: { root: tree } });
    await plain.ok(['backup', 'dupont']);
    const trusted = (await plain.ok(['keys'])).json.signing.fingerprint;
    for (const path of [plain.stateDir, plain.keyDir, plain.configFile]) rmSync(path, { recursive: true });
    const elsewhere = join(plain.dir, 'elsewhere');
    const { json } = await plain.ok([
      ...['catalog', 'rebuild', '--from', 'nas', '--path', plain.nasPath, '--fingerprint', trusted, '--state-dir', elsewhere],
    ]);
    expect(json).toMatchObject({ stateDir: elsewhere, snapshots: 1, lost: [], tampering: [] });
    expect(existsSync(join(elsewhere, 'catalog.db'))).toBe(true);
    await plain.ok(['restore', 'dupont', '--to-dir', join(plain.dir, 'back')]);
    expect(readFileSync(join(plain.dir, 'back', 'index.php'), 'utf8')).toBe('<?php');
  });
});

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signManifest } from '../../src/segment/manifest.ts';
import { loadSigningKey, makeSigningKey } from '../../src/segment/signing-key.ts';
import { inventory } from '../servers/s3.ts';
import { makeWorld, type Outcome, type World } from '../world/world.ts';
import {
  flipped,
  lying,
  objectsOf,
  readSigned,
  rebuildCatalog,
  replaceVersion,
  reseal,
  StoredFile,
  type StoredRow,
  unseal,
} from './attack.ts';
import { writeTree } from './tree.ts';

/** A shop with two snapshots whose segments have the same sizes; the tree is as the second one has it. */
interface Backed {
  readonly world: World;
  readonly root: string;
  readonly first: string;
  readonly second: string;
}

async function backed(options: Parameters<typeof makeWorld>[0], tree: Parameters<typeof writeTree>[1] = {}): Promise<Backed> {
  const world = await makeWorld(options);
  const root = join(world.dir, 'shop');
  world.writeConfig({ ...options, files: { root } });
  const backup = async (large: object): Promise<string> => {
    writeTree(root, { ...tree, ...large });
    execFileSync('find', [root, '-exec', 'touch', '-d', '2026-01-02T03:04:05Z', '{}', '+']);
    return (await world.ok(['backup', 'dupont'])).json.snapshots[0].id;
  };
  const first = await backup({});
  // what is large is not written again, so it is carried over
  const second = await backup({ largeBytes: undefined });
  return { world, root, first, second };
}

/** A folder for each restore: several run side by side. */
const target = (world: World): string => join(world.dir, `back-${randomBytes(4).toString('hex')}`);

/** What runs a command: bin/coffre, or, for what is tried again and again, the same program in this process. */
type By = 'coffre' | 'here';

/** A restore that must fail: nothing that could pass for the shop is left behind. */
async function refused(world: World, args: readonly string[], by: By = 'here'): Promise<{ code: string; message: string; hint: string }> {
  const directory = target(world);
  const outcome = await world[by](['restore', 'dupont', '--to-dir', directory, ...args]);
  expect(outcome.status, outcome.stdout).toBe(6);
  const left = existsSync(directory) ? readdirSync(directory) : [];
  if (left.length > 0) {
    expect(
      left.some((name) => name.startsWith('.coffre-restore-incomplete-')),
      `what is left is marked: ${left}`,
    ).toBe(true);
  }
  rmSync(directory, { recursive: true, force: true });
  expect(outcome.json.error.hint).not.toBe('');
  return outcome.json.error;
}

/** A restore that must succeed and give the tree back. */
async function restored({ world, root }: Backed, args: readonly string[], by: By = 'here'): Promise<Outcome> {
  const directory = target(world);
  const outcome = await world[by](['restore', 'dupont', '--to-dir', directory, ...args]);
  expect(outcome.status, `${outcome.stdout}${outcome.stderr}`).toBe(0);
  expect(outcome.json.verified).toBe(true);
  expect(execFileSync('diff', ['-r', root, directory]).toString()).toBe('');
  rmSync(directory, { recursive: true });
  return outcome;
}

/** What `verify --read-data` found in each vault's copy of a snapshot. */
async function verified(world: World, snapshot: string, by: By = 'here') {
  const { json, status } = await world[by](['verify', 'dupont', '--read-data']);
  const entry = json.shops[0].snapshots.find((one: { id: string }) => one.id === snapshot);
  const copy = (vault: string) => entry.vaults.find((one: { vault: string }) => one.vault === vault);
  return { status, error: json.error, nas: copy('nas'), offsite: copy('offsite') };
}

/** Where the second snapshot's object lies, and what is put there. */
interface Attack {
  readonly name: string;
  readonly kind: StoredRow['kind'];
  readonly content: (file: StoredFile, backed: Backed) => Buffer;
  /** The catalog believes what is there now, as one rebuilt from this vault would. */
  readonly rebuilt?: true;
  /** What a restore from this vault alone says. */
  readonly code: string;
  /** Said too. */
  readonly says?: RegExp;
}

/** Another one of the first snapshot, which may share segments with the second. */
const other = ({ world, first }: Backed, kind: string, than: StoredFile | null = null): StoredFile =>
  new StoredFile(world, objectsOf(world, first, 'nas').find((row) => row.kind === kind && row.key !== than?.row.key) as StoredRow);

const ATTACKS: readonly Attack[] = [
  { name: 'segment with one bit turned', kind: 'segment', content: (file) => flipped(file.content), code: 'E_OBJECT_ALTERED' },
  {
    name: 'segment cut off',
    kind: 'segment',
    content: (file) => file.content.subarray(0, -100),
    code: 'E_OBJECT_ALTERED',
    says: /was altered: version/,
  },
  {
    name: 'segment cut off, catalog rebuilt',
    kind: 'segment',
    content: (file) => file.content.subarray(0, -100),
    rebuilt: true,
    code: 'E_OBJECT_ALTERED',
  },
  {
    name: 'segment swapped with another one',
    kind: 'segment',
    content: (file, backed) => {
      // of the same length, so that nothing but the bytes tells (how well each compressed depends on the times in it)
      const swapped = Buffer.alloc(file.content.length);
      other(backed, 'segment', file).content.copy(swapped);
      return swapped;
    },
    rebuilt: true,
    code: 'E_OBJECT_ALTERED',
    says: /SHA-256/,
  },
  { name: 'index with one bit turned', kind: 'index', content: (file) => flipped(file.content), code: 'E_OBJECT_ALTERED' },
  {
    name: 'index that tells another story',
    kind: 'index',
    content: (file, { world }) => {
      const lines = unseal(world, file.content).toString().split('\n');
      return reseal(world, Buffer.from(lines.filter((line) => !line.includes('.htaccess')).join('\n')));
    },
    code: 'E_OBJECT_ALTERED',
  },
  {
    name: 'index swapped with that of another snapshot, catalog rebuilt',
    kind: 'index',
    content: (_, backed) => other(backed, 'index').content,
    rebuilt: true,
    code: 'E_OBJECT_',
  },
  { name: 'manifest with one bit turned', kind: 'manifest', content: (file) => flipped(file.content), code: 'E_OBJECT_ALTERED' },
  {
    name: 'manifest with one bit turned, catalog rebuilt',
    kind: 'manifest',
    content: (file) => flipped(file.content),
    rebuilt: true,
    code: 'E_OBJECT_ALTERED',
  },
  {
    name: 'manifest that tells another story under the old signature, catalog rebuilt',
    kind: 'manifest',
    content: (file, { world }) => {
      const signed = readSigned(world, file.content);
      return reseal(world, Buffer.from(JSON.stringify({ ...signed, manifest: lying(signed.manifest) })));
    },
    rebuilt: true,
    code: 'E_SIGNATURE',
    says: /does not fit the content/,
  },
  {
    name: 'manifest signed again with another key, catalog rebuilt',
    kind: 'manifest',
    content: (file, { world }) =>
      reseal(world, Buffer.from(JSON.stringify(signManifest(readSigned(world, file.content).manifest, makeSigningKey())))),
    rebuilt: true,
    code: 'E_SIGNATURE',
    says: /signed by SHA256:\S+, expected SHA256:/,
  },
  {
    name: 'manifest signed again with another key',
    kind: 'manifest',
    content: (file, { world }) =>
      reseal(world, Buffer.from(JSON.stringify(signManifest(readSigned(world, file.content).manifest, makeSigningKey())))),
    code: 'E_OBJECT_',
  },
  {
    name: 'manifest swapped with that of another snapshot, catalog rebuilt',
    kind: 'manifest',
    content: (_, backed) => other(backed, 'manifest').content,
    rebuilt: true,
    code: 'E_OBJECT_ALTERED',
    says: /swapped/,
  },
  {
    name: 'manifest that is no coffre manifest, catalog rebuilt',
    kind: 'manifest',
    content: (_, { world }) => reseal(world, Buffer.from('{"manifest":{"format":1}}\n')),
    rebuilt: true,
    code: 'E_FORMAT',
  },
];

describe('two vaults, the folder is attacked', () => {
  let here: Backed;
  beforeAll(async () => {
    here = await backed({ vaults: ['nas', 'offsite'] });
  });
  afterAll(async () => {
    await here?.world[Symbol.asyncDispose]();
  });

  for (const attack of ATTACKS) {
    const { name, kind, content, rebuilt, code, says = /./ } = attack;
    // bin/coffre itself for the first of each code
    const by = ATTACKS.find((one) => one.code === code) === attack ? 'coffre' : 'here';
    it(`${name} - is refused with ${code} by restore and verify, and the other vault is used and said`, async () => {
      const { world, second } = here;
      const row = objectsOf(world, second, 'nas').find((one) => one.kind === kind) as StoredRow;
      const file = new StoredFile(world, row);
      const bytes = content(file, here);
      const versionId = file.replace(bytes);
      if (rebuilt) rebuildCatalog(world, row, versionId, bytes);
      try {
        const [outcome, error, verdict] = await Promise.all([
          restored(here, ['--snapshot', second], by),
          refused(world, ['--snapshot', second, '--from', 'nas'], by),
          verified(world, second, by),
        ]);
        const expected = { code: expect.stringContaining(code), message: expect.stringContaining(row.key) };
        const [problem] = outcome.json.restored[0].problems;
        expect(problem).toMatchObject({ vault: 'nas', ...expected });
        expect(problem.message).toMatch(says);
        expect(error).toMatchObject(expected);
        expect(error.message).toMatch(says);

        expect(verdict).toMatchObject({ status: 6, error: { message: expect.stringContaining(row.key) } });
        expect(verdict.nas.ok).toBe(false);
        expect(verdict.nas.errors[0].message).toContain(row.key);
        const codes = verdict.nas.errors.map((one: { code: string }) => one.code);
        expect(codes.join(' ')).toMatch(/E_OBJECT_|E_SIGNATURE|E_FORMAT/);
        if (code === 'E_SIGNATURE') expect(codes).toContain(code);
        expect(verdict.offsite).toMatchObject({ ok: true, errors: [] });
      } finally {
        file.undo();
      }
    });
  }

  it('the manifest of the other vault’s copy, catalog rebuilt - is refused as swapped', async () => {
    const { world, second } = here;
    const row = objectsOf(world, second, 'nas').find((one) => one.kind === 'manifest') as StoredRow;
    const file = new StoredFile(world, row);
    const signed = readSigned(world, file.content);
    const theirs = { ...signed.manifest, vault: 'offsite' };
    // signed by us, as the copy in the other vault is: only what it says of itself tells
    const bytes = reseal(world, Buffer.from(JSON.stringify(signManifest(theirs, await loadSigningKey(join(world.keyDir, 'signing.key'))))));
    rebuildCatalog(world, row, file.replace(bytes), bytes);
    try {
      expect(await refused(world, ['--snapshot', second, '--from', 'nas'])).toMatchObject({
        code: 'E_OBJECT_ALTERED',
        message: expect.stringMatching(/in offsite, swapped/),
      });
    } finally {
      file.undo();
    }
  });

  it('an object removed - is missing, said, and the other vault is used', async () => {
    const { world, second } = here;
    for (const row of objectsOf(world, second, 'nas')) {
      const path = join(world.nasPath, row.key);
      const aside = join(world.dir, 'aside');
      renameSync(path, aside);
      try {
        const [outcome, error, verdict] = await Promise.all([
          restored(here, ['--snapshot', second]),
          refused(world, ['--snapshot', second, '--from', 'nas']),
          verified(world, second),
        ]);
        const expected = { code: 'E_OBJECT_MISSING', message: expect.stringContaining(row.key) };
        expect(outcome.json.restored[0].problems).toEqual([expect.objectContaining({ vault: 'nas', ...expected })]);
        expect(error).toMatchObject(expected);
        expect(verdict.nas.errors).toContainEqual({ ...expected, key: row.key });
      } finally {
        renameSync(aside, path);
      }
    }
  }, 120_000);

  it('read without the identity - what is altered is still found by its hash, and what could not be checked is said', async () => {
    const { world, second } = here;
    const identity = join(world.keyDir, 'identities/dupont.key');
    renameSync(identity, `${identity}.aside`);
    try {
      for (const row of objectsOf(world, second, 'nas')) {
        const file = new StoredFile(world, row);
        file.replace(flipped(file.content));
        const { json, status } = await world.here(['verify', 'dupont', '--read-data']);
        file.undo();
        expect(status).not.toBe(0);
        expect(json.shops[0].errors).toContainEqual(expect.objectContaining({ code: 'E_KEY' }));
        const entry = json.shops[0].snapshots.find((one: { id: string }) => one.id === second);
        const copy = entry.vaults.find((one: { vault: string }) => one.vault === 'nas');
        expect(copy.errors).toContainEqual(expect.objectContaining({ code: 'E_OBJECT_ALTERED', key: row.key }));
        expect(copy.checked).not.toContain('signature');
      }
    } finally {
      renameSync(`${identity}.aside`, identity);
    }
  }, 120_000);

  it('after all that - what was put back verifies, and the folder alone gives the shop back', async () => {
    expect((await here.world.ok(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
    await restored(here, ['--from', 'nas'], 'coffre');
  });
});

describe('two vaults, a file too large to be checked before it is written', () => {
  it('one bit turned at its beginning or its end - is not visible when refused, and comes from the other vault', async () => {
    const here = await backed({ vaults: ['nas', 'offsite'] }, { largeBytes: 60_000_000 });
    await using world = here.world;
    const row = objectsOf(world, here.second, 'nas').find((one) => one.kind === 'segment' && one.sizeBytes > 50_000_000) as StoredRow;
    const file = new StoredFile(world, row);
    for (const at of [500, file.content.length - 1]) {
      file.replace(flipped(file.content, at));
      const directory = target(world);
      const [outcome, alone, verdict] = await Promise.all([
        restored(here, ['--snapshot', here.second]),
        world.coffre(['restore', 'dupont', '--to-dir', directory, '--snapshot', here.second, '--from', 'nas']),
        verified(world, here.second),
      ]);
      const expected = { code: 'E_OBJECT_ALTERED', message: expect.stringContaining(row.key) };
      expect(outcome.json.restored[0].problems).toEqual([{ vault: 'nas', key: row.key, ...expected }]);
      expect(alone.status).toBe(6);
      expect(alone.json.error).toMatchObject(expected);
      expect(existsSync(join(directory, 'var/backup.bin'))).toBe(false);
      expect(execFileSync('find', [directory, '-size', '+1M']).toString(), 'pieces of it').toBe('');
      expect(readdirSync(directory).filter((name) => name.startsWith('.coffre-restore-incomplete-'))).toHaveLength(1);
      rmSync(directory, { recursive: true });
      expect(verdict.nas.errors).toEqual([{ key: row.key, ...expected }]);
    }
  }, 180_000);
});

describe('one vault, an S3 store under GOVERNANCE, attacked by somebody who may bypass it', () => {
  let here: Backed;
  beforeAll(async () => {
    here = await backed({ lockMode: 'GOVERNANCE' });
  });
  afterAll(async () => {
    await here?.world[Symbol.asyncDispose]();
  });

  const at = (world: World, row: StoredRow) => ({ Bucket: world.bucket.name, Key: `prod/${row.key}` });
  const download = async (world: World, row: StoredRow): Promise<Buffer> => {
    const { Body } = await world.bucket.client.send(new GetObjectCommand({ ...at(world, row), VersionId: row.versionId }));
    return Buffer.from((await Body?.transformToByteArray()) ?? []);
  };

  it('a new version or a delete marker on top of ours - a restore sees through them, verify reports them, level counts them', async () => {
    const { world, second } = here;
    const { client } = world.bucket;
    const rows = objectsOf(world, second, 'offsite');
    const foreign: { key: string; versionId: string }[] = [];
    for (const row of rows) {
      const version = await client.send(new PutObjectCommand({ ...at(world, row), Body: 'not ours' }));
      foreign.push({ key: `prod/${row.key}`, versionId: version.VersionId ?? '' });
    }
    const [, underVersions] = await Promise.all([restored(here, ['--snapshot', second]), verified(world, second)]);
    expect(underVersions).toMatchObject({ status: 6, error: { code: 'E_VERSION_FOREIGN' } });
    expect(underVersions.offsite.errors.map(({ code, key }: { code: string; key: string }) => `${code} ${key}`).sort()).toEqual(
      rows.map((row) => `E_VERSION_FOREIGN ${row.key}`).sort(),
    );

    for (const row of rows) {
      const marker = await client.send(new DeleteObjectCommand(at(world, row)));
      foreign.push({ key: `prod/${row.key}`, versionId: marker.VersionId ?? '' });
    }
    const [, underMarkers] = await Promise.all([restored(here, ['--snapshot', second]), verified(world, second)]);
    expect(underMarkers).toMatchObject({ status: 6, error: { code: 'E_VERSION_FOREIGN' } });
    expect(underMarkers.offsite.errors.map((one: { key: string }) => one.key).sort()).toEqual(rows.map((row) => row.key).sort());
    expect(underMarkers.error.message).toMatch(/delete marker|version/);

    // prune looks at the whole store: what is not ours is metered, said, and left
    const pruned = await world.here(['prune', 'dupont']);
    expect(JSON.stringify(pruned.json)).toContain('foreign');
    const store = await inventory(world.bucket);
    expect(store.versions.filter((one) => foreign.some((mine) => mine.versionId === one.versionId))).toHaveLength(foreign.length);
    expect((await world.okHere(['billing', 'level'])).json.levelBytes).toBe(store.totalBytes);

    for (const { key, versionId } of foreign) {
      await client.send(new DeleteObjectCommand({ Bucket: world.bucket.name, Key: key, VersionId: versionId }));
    }
    expect((await world.okHere(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
  }, 120_000);

  const story = (world: World, content: Buffer): Buffer => {
    const signed = readSigned(world, content);
    return reseal(world, Buffer.from(JSON.stringify({ ...signed, manifest: lying(signed.manifest) })));
  };
  const resigned = (world: World, content: Buffer): Buffer =>
    reseal(world, Buffer.from(JSON.stringify(signManifest(readSigned(world, content).manifest, makeSigningKey()))));
  const CASES = [
    {
      name: 'segment replaced',
      kind: 'segment',
      make: (_: World, content: Buffer) => flipped(content),
      rebuilt: false,
      code: 'E_OBJECT_MISSING',
    },
    {
      name: 'segment replaced, catalog rebuilt',
      kind: 'segment',
      make: (_: World, content: Buffer) => flipped(content),
      rebuilt: true,
      code: 'E_OBJECT_MISSING',
    },
    {
      name: 'index replaced, catalog rebuilt',
      kind: 'index',
      make: (_: World, content: Buffer) => flipped(content),
      rebuilt: true,
      code: 'E_OBJECT_MISSING',
    },
    { name: 'manifest replaced', kind: 'manifest', make: resigned, rebuilt: false, code: 'E_OBJECT_MISSING' },
    { name: 'manifest that tells another story, catalog rebuilt', kind: 'manifest', make: story, rebuilt: true, code: 'E_SIGNATURE' },
    { name: 'manifest signed with another key, catalog rebuilt', kind: 'manifest', make: resigned, rebuilt: true, code: 'E_SIGNATURE' },
  ] as const;

  for (const { name, kind, make, rebuilt, code } of CASES) {
    it(`${name} - is refused with ${code} by restore and verify, and nothing is restored`, async () => {
      const { world } = here;
      const { id } = (await world.okHere(['backup', 'dupont', '--full'])).json.snapshots[0];
      const row = objectsOf(world, id, 'offsite').find((one) => one.kind === kind) as StoredRow;
      const bytes = make(world, await download(world, row));
      const versionId = await replaceVersion(world, row, bytes);
      if (rebuilt) rebuildCatalog(world, row, versionId, bytes);
      const [error, { status, offsite }] = await Promise.all([refused(world, ['--snapshot', id]), verified(world, id)]);
      expect(error).toMatchObject({ code, message: expect.stringContaining(row.key) });
      expect(status).toBe(6);
      expect(offsite.errors[0].message).toContain(row.key);
      if (code === 'E_SIGNATURE') expect(offsite.errors[0].code).toBe(code);
      // known as bad by now: who asks for no particular snapshot gets an older one that is good
      const instead = await restored(here, []);
      expect(instead.json.restored[0].snapshot).not.toBe(id);
    });
  }
});

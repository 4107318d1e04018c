// README.md's procedure, followed by `sh` on snapshots made for it: reused segments, no encryption, wrong objects, wrong rows.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { makeIdentity, recipientOf, sealIdentity } from '../../src/segment/age.ts';
import { newId } from '../../src/segment/id.ts';
import { encodeEntry } from '../../src/segment/index-line.ts';
import { identityKey, indexKey, manifestKey, segmentKey } from '../../src/segment/layout.ts';
import { encodeManifest, signManifest } from '../../src/segment/manifest.ts';
import type { Manifest, ManifestSegment } from '../../src/segment/manifest-types.ts';
import { seal } from '../../src/segment/seal.ts';
import { fingerprint, makeSigningKey } from '../../src/segment/signing-key.ts';
import type { IndexEntry } from '../../src/source/source.ts';
import { follow, step, steps } from '../by-hand.ts';
import { type Mariadb, startMariadb } from '../servers/mariadb.ts';
import { bash, describeTree, makeAwkwardTree, type Segments, take } from '../source/files/tree.ts';
import { tempDir } from '../temp-dir.ts';

interface Ingredient {
  readonly id: string;
  readonly kind: ManifestSegment['kind'];
  readonly phase: ManifestSegment['phase'];
  readonly plaintext: Uint8Array;
  readonly load?: ManifestSegment['load'];
  readonly partial?: boolean;
}

/** A vault's folder with one snapshot of shop `dupont`, and the recovery key beside it. */
async function makeVault(
  folder: string,
  source: Manifest['source'],
  ingredients: readonly Ingredient[],
  entries: readonly IndexEntry[],
  encryption?: 'none',
) {
  const recovery = await makeIdentity();
  const identity = await makeIdentity();
  const recipient = await recipientOf(identity);
  const signingKey = makeSigningKey();
  const snapshot = newId(systemClock);
  const put = (key: string, bytes: Uint8Array): void => {
    mkdirSync(dirname(join(folder, key)), { recursive: true });
    writeFileSync(join(folder, key), bytes);
  };
  const encrypted = encryption !== 'none';
  const recipients = encrypted ? [recipient] : ('none' as const);
  if (encrypted) {
    writeFileSync(join(folder, 'recovery.key'), `${recovery}\n`);
    put(identityKey('dupont', newId(systemClock)), await sealIdentity(identity, [await recipientOf(recovery)]));
  }
  const lock = { mode: 'advisory', retainUntil: '2030-01-01T00:00:00Z' } as const;
  const store = async (key: string, plaintext: Uint8Array) => {
    const sealed = await seal([plaintext], { recipients });
    put(key, sealed.stored);
    return { ...sealed.facts, key, versionId: 'v', lock };
  };
  const segments: ManifestSegment[] = [];
  for (const { id, kind, phase, plaintext, load, partial } of ingredients) {
    const stored = await store(segmentKey('dupont', id, kind, encrypted), plaintext);
    segments.push({
      ...stored,
      id,
      kind,
      phase,
      name: id,
      fresh: true,
      ...(load ? { load } : {}),
      ...(partial ? { partial: true as const } : {}),
    });
  }
  const index = await store(indexKey('dupont', snapshot, encrypted), Buffer.from(entries.map(encodeEntry).join('')));
  const at = '2026-11-22T02:30:00Z';
  const manifest: Manifest = {
    ...{ format: 1, snapshot, shop: 'dupont', source, vault: 'nas', startedAt: at, asOf: at, completedAt: at, full: true, complete: true },
    ...{
      tools: {},
      counts: {},
      warnings: [],
      encryption: encryption ?? { recipient },
      lock,
      index: { ...index, entries: entries.length },
      segments,
    },
  };
  const document = encodeManifest(signManifest(manifest, signingKey));
  put(manifestKey('dupont', snapshot, encrypted), (await seal([document], { recipients })).stored);
  return { snapshot, manifest, fingerprint: fingerprint(signingKey) };
}

/** Runs steps in the vault's folder; never throws. */
async function followIn(folder: string, steps: readonly string[], variables: Record<string, string>) {
  const { status, stdout, stderr } = await follow(folder, steps, { SHOP: 'dupont', ...variables });
  return { status, output: stdout + stderr };
}

describe('restoring by hand', () => {
  it('a tree that changed twice comes back with what was reused, moved and touched, and without what was removed', async () => {
    const folder = await tempDir();
    const tree = join(folder, 'tree');
    makeAwkwardTree(tree);
    bash(
      `cd "$TREE"; mkdir -p swap old; echo 1 > changed; echo 1 > gone; echo 1 > becomes-dir; echo 1 > swap/x; echo 1 > old/y; printf 1 > $'caf\\351'
       echo 1 > touched; echo 2 > $'touched-caf\\351'; mkdir moves; cd moves
       echo one > reused; echo two > 'new "name"'; echo three > $'caf\\351'; echo four > $'line\\nbreak'; echo five > 'back\\u0041'; echo six > twice; sleep 0.05`,
      { TREE: tree },
    );
    const held: Segments = new Map();
    const first = await take(tree, held);
    bash(
      `cd "$TREE"; echo 22 > changed; rm -r gone becomes-dir swap old; mkdir becomes-dir; echo 2 > becomes-dir/z; echo 2 > swap; echo 2 > $'new\\nline'
       touch touched; touch -d '2001-02-03 04:05:06.7 UTC' $'touched-caf\\351'
       cd moves; mkdir into; mv reused into/; mv 'new "name"' $'latin\\351'; mv $'caf\\351' plain; mv $'line\\nbreak' $'\\n'; mv 'back\\u0041' ' -n \\0101 "'
       cp -p twice copy; mv twice original; sleep 0.05`,
      { TREE: tree },
    );
    const second = await take(tree, held, { previous: [first.entries] });
    expect(second.carried).toBeGreaterThan(0);
    expect(second.entries.filter((entry) => entry.member !== undefined).length).toBeGreaterThanOrEqual(6);
    // a name that a moved file had before is in use again
    bash('cd "$TREE/moves"; echo another > reused; sleep 0.05', { TREE: tree });
    const third = await take(tree, held, { previous: [second.entries] });

    const ids = new Map(third.segments.map((segment) => [segment.id, newId(systemClock)]));
    const idOf = (id: string | undefined): string => ids.get(id as string) as string;
    const older = new Set([...first.segments, ...second.segments].map((segment) => segment.id));
    const vault = join(folder, 'vault');
    mkdirSync(vault);
    const ingredients = third.segments.map(({ id, phase, name, bytes }) => ({
      id: idOf(id),
      kind: 'tar' as const,
      phase,
      plaintext: bytes,
      // as a run marks what no line of the index names
      partial: older.has(id) || name === 'moved',
    }));
    const made = await makeVault(
      vault,
      'files',
      ingredients,
      third.entries.map((entry) => ({ ...entry, segment: idOf(entry.segment) })),
    );
    expect(made.manifest.segments.some((segment) => segment.partial)).toBe(true);

    const target = join(folder, 'restored');
    const { status, output } = await followIn(vault, steps('open', 'signature', 'check', 'files'), {
      SNAPSHOT: made.snapshot,
      FINGERPRINT: made.fingerprint,
      TARGET: target,
    });
    expect(output).toContain('Signature Verified Successfully');
    expect(status, output).toBe(0);
    expect(describeTree(target)).toBe(describeTree(tree));
  });

  it('an object exchanged for another, and a manifest with another signature, are found', async () => {
    const folder = await tempDir();
    const plaintext = Buffer.from('SELECT 1;\n');
    const ingredients = (['pre', 'post'] as const).map((phase) => ({ id: newId(systemClock), kind: 'sql' as const, phase, plaintext }));
    const { snapshot, manifest, fingerprint } = await makeVault(folder, 'database', ingredients, []);
    const variables = { SNAPSHOT: snapshot, FINGERPRINT: fingerprint };
    const proof = steps('open', 'signature', 'check');
    expect(await followIn(folder, proof, variables)).toMatchObject({ status: 0 });
    const [one, two] = manifest.segments.map((segment) => join(folder, segment.key)) as [string, string];
    writeFileSync(one, readFileSync(two));
    const exchanged = await followIn(folder, proof, variables);
    expect(exchanged.status).not.toBe(0);
    expect(exchanged.output).toContain(`${manifest.segments[0]?.key}: FAILED`);
    const forge = 'sed -i \'s/,"vault":"nas"/,"vault":"xxx"/\' manifest.json\n';
    const opened = step('signature').split('\n');
    const forged = await followIn(folder, [step('open'), ...opened.toSpliced(1, 0, forge)], variables);
    expect(forged.status).not.toBe(0);
    expect(forged.output).toContain('Signature Verification Failure');
  });

  it('a vault without encryption - opened without keys', async () => {
    const folder = await tempDir();
    const tree = join(folder, 'tree');
    bash('mkdir -p "$TREE/img"; echo 1 > "$TREE/img/1.jpg"', { TREE: tree });
    const { entries, segments } = await take(tree, new Map());
    const ids = new Map(segments.map((segment) => [segment.id, newId(systemClock)]));
    const vault = join(folder, 'vault');
    mkdirSync(vault);
    const made = await makeVault(
      vault,
      'files',
      segments.map(({ id, phase, bytes }) => ({ id: ids.get(id) as string, kind: 'tar' as const, phase, plaintext: bytes })),
      entries.map((entry) => ({ ...entry, segment: ids.get(entry.segment as string) as string })),
      'none',
    );
    const target = join(folder, 'restored');
    const { status, output } = await followIn(vault, steps('open', 'signature', 'check', 'files'), {
      SNAPSHOT: made.snapshot,
      FINGERPRINT: made.fingerprint,
      TARGET: target,
    });
    expect(status, output).toBe(0);
    expect(describeTree(target)).toBe(describeTree(tree));
  });

  describe('a database', () => {
    let server: Mariadb;
    beforeAll(async () => {
      server = await startMariadb({ args: ['--local-infile=1'] });
    });
    afterAll(() => server.stop());

    const rows = Buffer.from('1\tcaf\u00e9\\ttab\t00ff\n2\t\\N\t\n3\tback\\\\slash\\nline\t0a0d\n');
    const load = {
      table: 'big',
      statement:
        "LOAD DATA LOCAL INFILE '/dev/stdin' INTO TABLE `big` CHARACTER SET utf8mb4 FIELDS TERMINATED BY 0x09 ENCLOSED BY '' ESCAPED BY 0x5C LINES TERMINATED BY 0x0A (`id`,`text`,@v2) SET `raw`=UNHEX(@v2)",
      rows: 3,
    };

    async function restoreRows(plaintext: Buffer, database: string) {
      const folder = await tempDir();
      const part = (kind: 'sql' | 'tsv', phase: ManifestSegment['phase'], text: Uint8Array) => ({
        id: newId(systemClock),
        kind,
        phase,
        plaintext: text,
      });
      const { snapshot, fingerprint } = await makeVault(
        folder,
        'database',
        [
          part('sql', 'pre', Buffer.from('SET NAMES utf8mb4; CREATE TABLE big (id INT PRIMARY KEY, text VARCHAR(30), raw VARBINARY(9));')),
          part('sql', 'data', Buffer.from('CREATE TABLE small (id INT); INSERT INTO small VALUES (1),(2);')),
          { ...part('tsv', 'rows', plaintext), load },
          part('sql', 'post', Buffer.from('ALTER TABLE big ADD KEY (text);')),
        ],
        [],
      );
      await server.createDatabase(database);
      writeFileSync(join(folder, '.my.cnf'), `[client]\nsocket=${server.socketPath}\nuser=root\n`);
      const variables = { SNAPSHOT: snapshot, FINGERPRINT: fingerprint, DATABASE: database };
      return await followIn(folder, steps('open', 'signature', 'check', 'database'), variables);
    }

    it('comes back, rows and keys', async () => {
      const { status, output } = await restoreRows(rows, 'good');
      expect(status, output).toBe(0);
      expect(await server.sql('SELECT id, HEX(text), HEX(raw) FROM big ORDER BY id', { database: 'good' })).toBe(
        ['1', '636166C3A909746162', '00FF'].join('\t') +
          `\n2\tNULL\t\n3\t${Buffer.from('back\\slash\nline').toString('hex').toUpperCase()}\t0A0D\n`,
      );
      expect(await server.sql('SELECT COUNT(*) FROM small; SHOW KEYS FROM big', { database: 'good' })).toMatch(/^2\n[\s\S]*text/);
    });

    const wrong: [string, string][] = [
      ['a duplicated row', `${rows}2\ttwice\t\n`],
      ['a duplicated row in place of another', '1\ta\t\n1\tb\t\n3\tc\t\n'],
      ['a row cut short', '1\ta\t\n2\tb\t\n3\n'],
      ['a missing row', '1\ta\t\n2\tb\t\n'],
      ['a text that does not fit', `1\t${'x'.repeat(31)}\t\n2\tb\t\n3\tc\t\n`],
      ['a number that is none', '1\ta\t\n2\tb\t\nx\tc\t\n'],
    ];
    it.each(wrong)('%s is refused', async (what, text) => {
      const { status, output } = await restoreRows(Buffer.from(text), what.replaceAll(' ', '_'));
      expect(status).not.toBe(0);
      expect(output).toContain('expected 3 rows, 0 warnings');
    });
  });
});

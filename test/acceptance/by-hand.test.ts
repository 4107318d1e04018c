// README.md's procedure, followed by `sh` with age, zstd, tar and mariadb, brings back what the real bin/coffre stored, and refuses what it must.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeManifest, signManifest } from '../../src/segment/manifest.ts';
import type { Manifest, SignedManifest } from '../../src/segment/manifest-types.ts';
import { loadSigningKey } from '../../src/segment/signing-key.ts';
import { follow, steps } from '../by-hand.ts';
import { inventory } from '../servers/s3.ts';
import { bash, describeTree, makeAwkwardTree } from '../source/files/tree.ts';
import { type DatabaseServer, dumpText, freshDatabase, startDatabaseServer } from '../source/mariadb/server.ts';
import { makeWorld, type World } from '../world/world.ts';

/** A name that JSON, the shell and SQL each have an opinion about; its Cyrillic letters hold bytes that old shells take for their own. */
const ODD_TABLE = 'стол "a" \\ $x \'b\'';
const ROWS = 30_000;
/** Large enough for files of rows; written as UTF-8, for the client reads it on its standard input. */
const LARGE_TABLES = `
CREATE TABLE orders (id int NOT NULL PRIMARY KEY, reference varchar(40) NOT NULL, total decimal(20,6), token varbinary(20),
  twice int GENERATED ALWAYS AS (id * 2) STORED, note text, KEY (reference));
INSERT INTO orders (id, reference, total, token, note)
  SELECT seq, CONCAT('réf-', seq), seq / 7, UNHEX(SHA1(seq)), IF(seq % 3 = 0, NULL, CONCAT('tab\\there\\nand ', REPEAT('é', seq % 40))) FROM seq_1_to_${ROWS};
CREATE TABLE \`${ODD_TABLE}\` (\`ключ "с"\` int NOT NULL PRIMARY KEY, \`б\\\\\` blob, t text);
INSERT INTO \`${ODD_TABLE}\` SELECT seq, UNHEX(MD5(seq)), REPEAT('с', 40) FROM seq_1_to_${ROWS};
ANALYZE TABLE orders, \`${ODD_TABLE}\`;
`.replaceAll('`б\\\\`', '`б\\`');

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** With `age` and `zstd` alone, as an attacker who holds the shop's keys would. */
function unseal(stored: Buffer): Buffer {
  const compressed = execFileSync('age', ['-d', '-i', join(world.keyDir, 'identities/dupont.key')], { input: stored, maxBuffer: 1 << 28 });
  return execFileSync('zstd', ['-dc'], { input: compressed, maxBuffer: 1 << 28 });
}

function seal(plaintext: Buffer): Buffer {
  const compressed = execFileSync('zstd', ['-c'], { input: plaintext, maxBuffer: 1 << 28 });
  return execFileSync('age', ['-R', join(world.keyDir, 'dupont.pub')], { input: compressed, maxBuffer: 1 << 28 });
}

let server: DatabaseServer;
let world: World;
let root: string;
/** Taken one after the other: the tree was changed in between. */
let files: { readonly full: string; readonly increment: string };
let database: string;
/** What the paper kit says. */
let fingerprint: string;
let store: Record<string, string>;
const folders: string[] = [];

beforeAll(async () => {
  server = await startDatabaseServer();
  world = await makeWorld();
  root = join(world.dir, 'www');
  await freshDatabase(server, 'shop');
  await server.sql(readFileSync(new URL('../source/mariadb/everything.sql', import.meta.url)), 'shop');
  await server.sql(LARGE_TABLES, 'shop');
  makeAwkwardTree(root);
  bash(
    `cd "$TREE"; mkdir -p swap old/deep; echo 1 > changed; echo 1 > gone; echo 1 > becomes-dir; ln -s /etc becomes-real; echo 1 > swap/x; echo 1 > old/deep/y
     printf 1 > 'literal\\n'; printf 2 > 'quote"and\\'; printf 3 > $'control\\001\\0379'; printf 4 > 'стол'; printf 5 > '%b %s'; printf 6 > 'u\\u0041'; printf 7 > $'del\\177'`,
    { TREE: root },
  );
  const socketPath = server.where.socketPath;
  if (socketPath === null) throw new Error('this test reaches its database over a socket');
  world.writeConfig({ database: { socketPath, user: 'root', name: 'shop' }, files: { root } });
  const first = await world.ok(['backup', 'dupont']);
  bash(
    'cd "$TREE"; echo 22 > changed; rm -r gone becomes-dir becomes-real swap old; mkdir becomes-dir becomes-real; echo 2 > becomes-dir/z; echo 2 > becomes-real/passwd; echo 2 > swap; echo 2 > \'new "one"\'; mv big img/moved; touch empty-file index.php setuid',
    { TREE: root },
  );
  await world.ok(['backup', 'dupont', '--source', 'files']);
  // what was moved or touched stays where its segment has it
  bash('cd "$TREE"; echo another > newer', { TREE: root });
  const last = await world.ok(['backup', 'dupont', '--source', 'files']);
  const idOf = (outcome: typeof first, source: string): string =>
    outcome.json.snapshots.find((snapshot: { source: string }) => snapshot.source === source).id;
  files = { full: idOf(first, 'files'), increment: idOf(last, 'files') };
  database = idOf(first, 'database');
  fingerprint = (await world.ok(['keys'])).json.signing.fingerprint;
  const { endpoint, region, accessKey, secretKey } = world.bucket.store;
  store = {
    ...{ ENDPOINT: endpoint, REGION: region, BUCKET: world.bucket.name, PREFIX: 'prod' },
    ...{ AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey },
  };
}, 180_000);

afterAll(async () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  await server?.stop();
  await world?.[Symbol.asyncDispose]();
});

/** An empty folder with what is on paper, and the client's own file that says where the database server is. */
function desk(): string {
  const folder = mkdtempSync(join(tmpdir(), 'coffre-by-hand-'));
  folders.push(folder);
  writeFileSync(join(folder, 'recovery.key'), `${world.recovery}\n`);
  writeFileSync(join(folder, '.my.cnf'), `[client]\nsocket=${server.where.socketPath}\nuser=root\n`);
  return folder;
}

const paper = (snapshot: string) => ({ ...store, SHOP: 'dupont', SNAPSHOT: snapshot, FINGERPRINT: fingerprint });

describe('files', () => {
  it('an increment over a tree whose files, directories and links had changed places - the same tree', async () => {
    const folder = desk();
    const target = join(folder, 'back');
    const { status, stdout, stderr } = await follow(folder, steps('fetch', 'open', 'signature', 'check', 'files'), {
      ...paper(files.increment),
      TARGET: target,
    });
    expect(status, stderr).toBe(0);
    for (const [source, id] of [
      ['files', files.full],
      ['files', files.increment],
      ['database', database],
    ]) {
      expect(stdout).toMatch(new RegExp(`^${id}  ${source}  as of 20\\S+Z  complete: true$`, 'm'));
    }
    expect(stdout).toContain('Signature Verified Successfully');
    expect(describeTree(target)).toBe(describeTree(root));
    // it is an increment: one of its segments holds more than it
    expect(readFileSync(join(folder, 'segments'), 'utf8')).toMatch(/^partial /m);
    // and one of its files was moved
    expect(readFileSync(join(folder, 'index.ndjson'), 'utf8')).toContain('"o":"big"');
    expect(readdirSync(join(folder, 'dupont'), { recursive: true })).not.toContain('dupont.key');
  });
});

describe('a database', () => {
  /** Fetched once; each test works on a copy. */
  let fetched: string;
  beforeAll(async () => {
    fetched = desk();
    const { status, stderr } = await follow(fetched, steps('fetch', 'open', 'signature', 'check'), paper(database));
    expect(status, stderr).toBe(0);
  }, 60_000);

  async function restore(folder: string, into: string) {
    await freshDatabase(server, into, 'CHARACTER SET latin1');
    return await follow(folder, steps('open', 'signature', 'check', 'database'), { ...paper(database), DATABASE: into });
  }

  it('every type and program, tables large enough for files of rows - the same dump text', async () => {
    expect(readFileSync(join(fetched, 'hashes'), 'utf8')).toMatch(/\.tsv\.zst\.age$/m);
    const { status, stderr } = await restore(fetched, 'back');
    expect(status, stderr).toBe(0);
    expect(await dumpText(server, 'back')).toBe(await dumpText(server, 'shop'));
  }, 60_000);

  /** A copy of what was fetched in which the rows of `orders` are others, sealed and named by a manifest that `resign` signs. */
  async function withOtherRows(change: (rows: string[]) => string[], resign: 'our key' | 'nobody' = 'our key'): Promise<string> {
    const folder = desk();
    cpSync(join(fetched, 'dupont'), join(folder, 'dupont'), { recursive: true });
    const manifestFile = join(folder, `dupont/snapshots/${database}.json.zst.age`);
    const signed = JSON.parse(unseal(readFileSync(manifestFile)).toString()) as SignedManifest;
    const segment = signed.manifest.segments.find((each) => each.load?.table === 'orders');
    if (!segment) throw new Error('orders has no file of rows');
    const lines = unseal(readFileSync(join(folder, segment.key)))
      .toString('utf8')
      .split('\n')
      .slice(0, -1);
    const plaintext = Buffer.from(
      change(lines)
        .map((line) => `${line}\n`)
        .join(''),
    );
    const sealed = seal(plaintext);
    writeFileSync(join(folder, segment.key), sealed);
    const facts = {
      plainBytes: plaintext.length,
      plainSha256: sha256(plaintext),
      storedBytes: sealed.length,
      storedSha256: sha256(sealed),
    };
    const manifest: Manifest = {
      ...signed.manifest,
      segments: signed.manifest.segments.map((each) => (each === segment ? { ...each, ...facts } : each)),
    };
    const key = await loadSigningKey(join(world.keyDir, 'signing.key'));
    const again = resign === 'our key' ? signManifest(manifest, key) : { manifest, signature: signed.signature };
    writeFileSync(manifestFile, seal(encodeManifest(again)));
    return folder;
  }

  const wrong: readonly (readonly [string, (rows: string[]) => string[]])[] = [
    ['a row twice', (rows) => [...rows, rows[7] as string]],
    ['a row twice in place of another', (rows) => rows.map((row, at) => (at === 8 ? (rows[7] as string) : row))],
    ['a row missing', (rows) => rows.toSpliced(100, 1)],
    ['a row cut short', (rows) => rows.map((row, at) => (at === 9 ? row.slice(0, row.lastIndexOf('\t')) : row))],
    ['the last row cut in the middle', (rows) => rows.map((row, at) => (at === rows.length - 1 ? row.slice(0, 5) : row))],
    ['a field too many', (rows) => rows.map((row, at) => (at === 9 ? `${row}\tmore` : row))],
    ['a number that is none', (rows) => rows.map((row, at) => (at === 9 ? row.replace(/^\d+/, 'ten') : row))],
    ['a text that does not fit', (rows) => rows.map((row, at) => (at === 9 ? row.replace('réf-', 'x'.repeat(50)) : row))],
    ['bytes that are not hexadecimal', (rows) => rows.map((row, at) => (at === 9 ? row.replace(/\t[0-9a-f]{40}\t/, '\tzz\t') : row))],
  ];
  it.each(wrong)('%s, under right hashes and our signature - the load is refused', async (_what, change) => {
    const { status, stderr } = await restore(await withOtherRows(change), 'refused');
    expect(status).toBe(1);
    expect(stderr).toMatch(
      new RegExp(`^dupont/segments/\\S+\\.tsv\\.zst\\.age: loaded \\d+ rows, \\d+ warnings, expected ${ROWS} rows, 0 warnings$`, 'm'),
    );
  });

  it('another value that loads well, under right hashes - the signature is refused', async () => {
    const folder = await withOtherRows((rows) => rows.map((row) => row.replace('réf-9\t', 'réf-8\t')), 'nobody');
    const { status, stdout, stderr } = await restore(folder, 'refused');
    expect(status).not.toBe(0);
    expect(stdout + stderr).toMatch(/Signature Verification Failure/);
  });

  it('a segment in the place of another - its hash is refused', async () => {
    const folder = desk();
    cpSync(join(fetched, 'dupont'), join(folder, 'dupont'), { recursive: true });
    const [one, two] = readdirSync(join(folder, 'dupont/segments')).filter((name) => name.endsWith('.sql.zst.age'));
    cpSync(join(folder, 'dupont/segments', one as string), join(folder, 'dupont/segments', two as string));
    const { status, stdout } = await restore(folder, 'refused');
    expect(status).not.toBe(0);
    expect(stdout).toContain(`dupont/segments/${two}: FAILED`);
  });

  it('another snapshot’s manifest under this name, or another key on paper - refused', async () => {
    const folder = desk();
    cpSync(join(fetched, 'dupont'), join(folder, 'dupont'), { recursive: true });
    const other = await follow(folder, steps('open', 'signature'), { ...paper(database), FINGERPRINT: fingerprint.replace(/.$/, 'x') });
    expect(other.status).not.toBe(0);
    cpSync(join(folder, `dupont/snapshots/${files.full}.json.zst.age`), join(folder, `dupont/snapshots/${database}.json.zst.age`));
    const swapped = await follow(folder, steps('open', 'signature'), paper(database));
    expect(swapped.status).not.toBe(0);
    expect(swapped.stdout).not.toContain('Verified Successfully');
  });
});

describe('a vault that somebody else has written to', () => {
  it('delete markers and other versions over everything - seen through by asking for the versions of that time', async () => {
    const { client, name: Bucket } = world.bucket;
    // the store keeps times to the second in what it compares
    bash('sleep 1.1');
    const at = bash("date -u +'%F %T'").trim();
    bash('sleep 1.1');
    for (const { key: Key, isLatest } of (await inventory(world.bucket, 'prod/dupont/')).versions) {
      if (!isLatest) continue;
      if (Key.includes('/snapshots/')) await client.send(new PutObjectCommand({ Bucket, Key, Body: Buffer.from('forged') }));
      else await client.send(new DeleteObjectCommand({ Bucket, Key }));
    }
    const blind = await follow(desk(), steps('fetch', 'open', 'signature', 'check'), paper(files.full));
    expect(blind.status).not.toBe(0);
    const seeing = await follow(desk(), steps('fetch', 'open', 'signature', 'check'), { ...paper(files.full), RCLONE_S3_VERSION_AT: at });
    expect(seeing.status, seeing.stderr).toBe(0);
  });
});

// An export unpacked with tar, zstd, sha256sum and mariadb alone, beside the shop that it is of.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { flipped, objectsOf, StoredFile } from '../acceptance/attack.ts';
import { until } from '../servers/rig.ts';
import { bash, describeTree, makeAwkwardTree } from '../source/files/tree.ts';
import { checksums, type DatabaseServer, dumpText, freshDatabase, startDatabaseServer } from '../source/mariadb/server.ts';
import { makeWorld, type World } from '../world/world.ts';

let dir: string;
let root: string;
let server: DatabaseServer;
let world: World;
let filesSnapshot: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-test-'));
  root = join(dir, 'shop');
  makeAwkwardTree(root);
  // random: it fills segments
  bash('head -c 40000000 /dev/urandom > "$TREE/img/large.bin"', { TREE: root });
  server = await startDatabaseServer();
  await freshDatabase(server, 'shop', 'CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci');
  await server.sql(readFileSync(new URL('../source/mariadb/everything.sql', import.meta.url)), 'shop');
  await server.sql(
    `CREATE TABLE ps_large (id INT PRIMARY KEY, note TEXT, raw VARBINARY(40), KEY (note(20)));
     INSERT INTO ps_large SELECT seq, CONCAT('l''été "', REPEAT(SHA2(seq, 256), 20), '\\r\\n\\\\ tab\\t'), UNHEX(SHA1(seq)) FROM seq_1_to_9000;`,
    'shop',
  );
  const options = {
    vaults: ['nas', 'offsite'] as const,
    files: { root },
    database: { socketPath: server.where.socketPath as string, user: 'root', name: 'shop' },
  };
  world = await makeWorld(options);
  await world.ok(['backup', 'dupont']);
  // what moved keeps its place in an older segment
  bash('cd "$TREE"; mv img/p moved; touch -d 2022-02-02 index.php; printf new > new.txt; rm big', { TREE: root });
  filesSnapshot = (await world.ok(['backup', 'dupont', '--source', 'files'])).json.snapshots[0].id;
}, 180_000);
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await server?.stop();
  if (dir) rmSync(dir, { recursive: true, force: true });
});

/** As the README in it says. */
function unpacked(file: string): string {
  const folder = mkdtempSync(join(dir, 'unpacked-'));
  const reading = file.endsWith('.zst') ? 'zstd -dcq "$FILE"' : 'cat "$FILE"';
  bash(`cd "$INTO"; ${reading} | tar -x --xattrs --xattrs-include='*' --acls; sha256sum --quiet -c SHA256SUMS`, {
    FILE: file,
    INTO: folder,
  });
  return folder;
}

/** The live tree as an export has it: without the device. */
const expected = (): string =>
  describeTree(root)
    .replace(/^.* \.\/null -> \n/m, '')
    .replace(/^# file: \.\/null\n(?:.+\n)+\n/m, '');

describe('coffre export', () => {
  it.each(['shop.tar', 'shop.tar.zst'])(
    '%s - unpacked with standard tools alone it is the shop, files and database',
    async (name) => {
      const file = join(dir, name);
      const { json } = await world.ok(['export', 'dupont', '--to', file]);
      expect(json).toMatchObject({ shop: 'dupont', sizeBytes: statSync(file).size, problems: [] });
      expect(statSync(file).mode & 0o777).toBe(0o600);
      // nothing is left beside it
      expect(readdirSync(dir).filter((one) => one.startsWith('.'))).toEqual([]);
      const folder = unpacked(file);
      expect(readdirSync(folder).sort()).toEqual(['LISEZMOI.txt', 'README.txt', 'SHA256SUMS', 'database.sql', 'files']);
      // a device and what gives rights was left out; hard links of files are what the tree has
      bash('cd "$TREE"; chmod u-s,g-s setuid; setcap -r setuid 2>/dev/null || true', { TREE: root });
      expect(describeTree(join(folder, 'files'))).toBe(expected());
      const sums = readFileSync(join(folder, 'SHA256SUMS'), 'latin1');
      expect(sums).toMatch(/^[0-9a-f]{64} {2}database\.sql$/m);
      expect(sums).toMatch(/^[0-9a-f]{64} {2}files\/new\.txt$/m);

      const back = `back_${name.replaceAll('.', '_')}`;
      await freshDatabase(server, back, 'CHARACTER SET latin1');
      await server.client('mariadb', ['--binary-mode', '--comments', back], readFileSync(join(folder, 'database.sql')));
      const ownerless = (text: string): string => text.replaceAll(/DEFINER=`[^`]*`@`[^`]*`/g, 'DEFINER');
      expect(ownerless(await dumpText(server, back))).toBe(ownerless(await dumpText(server, 'shop')));
      expect(await checksums(server, back)).toBe(await checksums(server, 'shop'));
      expect(readFileSync(join(folder, 'database.sql'), 'latin1')).not.toMatch(/^CREATE.*DEFINER\s*=/m);
      expect(readFileSync(join(folder, 'LISEZMOI.txt'), 'utf8')).toContain('MODE D’EMPLOI');
      expect(readFileSync(join(folder, 'README.txt'), 'utf8')).toContain('sha256sum --quiet -c SHA256SUMS');
    },
    120_000,
  );

  it('something has that name - refused, and left as it is', async () => {
    const file = join(dir, 'taken.tar');
    writeFileSync(file, 'mine');
    const { status, json } = await world.coffre(['export', 'dupont', '--to', file]);
    expect({ status, code: json.error.code }).toEqual({ status: expect.any(Number), code: 'E_TARGET_NOT_EMPTY' });
    expect(readFileSync(file, 'utf8')).toBe('mine');
  });

  it('killed on the way - nothing under its name; the same command makes it whole', async () => {
    const file = join(dir, 'killed.tar.zst');
    const child = world.start(['export', 'dupont', '--to', file]);
    const part = join(dir, '.killed.tar.zst.coffre-part');
    await until('it writes', 60_000, () => existsSync(part) && statSync(part).size > 1000);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    expect(existsSync(file)).toBe(false);
    await world.ok(['export', 'dupont', '--to', file]);
    unpacked(file);
    expect(readdirSync(dir).filter((one) => one.startsWith('.'))).toEqual([]);
  }, 120_000);

  it('a segment is damaged in the nearer vault - taken from the other, said, and the archive is right', async () => {
    const [row] = objectsOf(world, filesSnapshot, 'nas').filter(({ key }) => key.includes('/segments/'));
    if (!row) throw new Error('no segment');
    const stored = new StoredFile(world, row);
    stored.replace(flipped(stored.content));
    const file = join(dir, 'mended.tar');
    const { json } = await world.ok(['export', 'dupont', '--to', file]);
    stored.undo();
    expect(json.problems).toEqual([expect.objectContaining({ vault: 'nas', key: row.key })]);
    expect(describeTree(join(unpacked(file), 'files'))).toBe(expected());
  }, 120_000);
});

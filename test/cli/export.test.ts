// An export unpacked with tar, zstd, sha256sum and mariadb alone, beside the shop that it is of.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { flipped, objectsOf, StoredFile } from '../acceptance/attack.ts';
import { until } from '../servers/rig.ts';
import { bash, describeTree, makeAwkwardTree } from '../source/files/tree.ts';
import { checksums, type DatabaseServer, dumpText, freshDatabase, startDatabaseServer } from '../source/mariadb/server.ts';
import { COFFRE, makeWorld, type World } from '../world/world.ts';
import { runDaemon } from './running-daemon.ts';

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
  bash('head -c 12000000 /dev/urandom > "$TREE/img/large.bin"', { TREE: root });
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
  // what gives rights is left out of an export: the tree to compare with has it no more
  bash('cd "$TREE"; chmod u-s,g-s setuid; setcap -r setuid 2>/dev/null || true', { TREE: root });
}, 180_000);
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await server?.stop();
  if (dir) rmSync(dir, { recursive: true, force: true });
});

/** As the README in it says; -P, for without it tar puts absolute links in last, which changes the times of their folders. */
function unpacked(file: string): string {
  const folder = mkdtempSync(join(dir, 'unpacked-'));
  const reading = file.endsWith('.zst') ? 'zstd -dcq "$FILE"' : 'cat "$FILE"';
  bash(`cd "$INTO"; ${reading} | tar -xP --xattrs --xattrs-include='*' --acls; sha256sum --quiet -c SHA256SUMS`, {
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

describe.skipIf(process.geteuid?.() !== 0)('an export through the daemon', () => {
  it('an owner asks with a token - made by the restore unit, downloaded over a line that is cut, gone on with, and the shop', async () => {
    const socket = join(world.dir, 'restore.sock');
    const scratch = join(world.dir, 'scratch');
    mkdirSync(scratch, { mode: 0o700 });
    bash('chown nobody: "$DIR"; chmod 755 "$WORLD"', { DIR: scratch, WORLD: world.dir });
    const written = readFileSync(world.configFile, 'utf8').replace(
      'listen: { socket: null, http: null }',
      `listen: { socket: ${world.socket}, http: "127.0.0.1:0" }\nrestore: { socket: ${socket}, unattended: true, scratchDir: ${scratch} }`,
    );
    writeFileSync(world.configFile, written);
    const command = [COFFRE, '--config', world.configFile, 'restore-unit', `1-${process.pid}-1`];
    const unit = spawn('systemd-socket-activate', ['--accept', '--inetd', `--listen=${socket}`, ...command], {
      stdio: 'ignore',
      env: { ...process.env, NODE_COMPILE_CACHE: new URL('../../node_modules/.cache/coffre-compile', import.meta.url).pathname },
    });
    onTestFinished(() => void unit.kill());
    await until('the restore socket', 30_000, () => existsSync(socket));
    const daemon = await runDaemon(world);
    const made = (await world.ok(['token', 'create', 'owner', '--role', 'client', '--shop', 'dupont'])).json;
    const token = join(world.dir, 'owner.token');
    writeFileSync(token, made.token ?? made.secret, { mode: 0o600 });
    const line = await cuttingLine(new URL(daemon.url), 8_000_000);
    const owner = (file: string, url: string) =>
      world.coffre(['export', 'dupont', '--to', file], { env: { COFFRE_URL: url, COFFRE_TOKEN_FILE: token, COFFRE_CONFIG: '/nowhere' } });

    const file = join(dir, 'downloaded.tar.zst');
    const done = await owner(file, line.url);
    expect(done, done.stdout + done.stderr).toMatchObject({ status: 0 });
    expect(line.cuts()).toBe(1);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(describeTree(join(unpacked(file), 'files'))).toBe(expected());

    // killed after some of it: the same command goes on with the same export
    const again = join(dir, 'again.tar.zst');
    const { export: id, sizeBytes } = done.json;
    const content = readFileSync(file);
    writeFileSync(join(dir, '.again.tar.zst.coffre-part'), content.subarray(0, 5_000_000));
    writeFileSync(join(dir, '.again.tar.zst.coffre-export'), `${id}\n${new URL(daemon.url).origin} dupont newest\n`);
    const resumed = await owner(again, daemon.url);
    expect(resumed.json, resumed.stdout).toMatchObject({ export: id, sizeBytes });
    expect(readFileSync(again).equals(content)).toBe(true);
    expect(readdirSync(join(scratch, 'exports'))).toEqual([`${id}.tar.zst`]);

    const audit = await fetch(`${daemon.url}/v1/audit?shop=dupont`, { headers: { authorization: `Bearer ${await adminToken()}` } });
    const { audit: rows } = (await audit.json()) as { audit: { what: string; who: string }[] };
    // what went on is no second download
    expect(rows.filter(({ what }) => what.startsWith('export')).map(({ what, who }) => `${what} ${who}`)).toEqual([
      'export download token:owner',
      'export token:owner',
      'export order token:owner',
    ]);
    daemon.signal('SIGTERM');
    await daemon.gone;
  }, 120_000);

  async function adminToken(): Promise<string> {
    const { json } = await world.ok(['token', 'create', 'admin', '--role', 'admin']);
    return json.token ?? json.secret;
  }
});

/** A way to the daemon that is cut once, after so many bytes of its answers. */
async function cuttingLine(to: URL, afterBytes: number) {
  let cuts = 0;
  const proxy = createServer((near) => {
    const far = connect(Number(to.port), to.hostname);
    let passed = 0;
    near.on('error', () => far.destroy()).pipe(far);
    far.on('error', () => near.destroy());
    far.on('data', (chunk: Buffer) => {
      passed += chunk.length;
      if (cuts === 0 && passed > afterBytes) {
        cuts += 1;
        near.destroy();
        far.destroy();
      } else if (!near.write(chunk)) {
        far.pause();
        near.once('drain', () => far.resume());
      }
    });
    far.on('end', () => near.end());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void proxy.close());
  return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, cuts: () => cuts };
}

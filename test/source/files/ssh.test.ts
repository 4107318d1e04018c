// A tree read over SSH from a real sshd: the same tree comes back, a broken connection is mended, and nothing is left over there.
import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type Clock, systemClock } from '../../../src/clock.ts';
import { secretFromFile } from '../../../src/config/secret.ts';
import { SshHost } from '../../../src/host/ssh.ts';
import { FilesSource } from '../../../src/source/files/files-source.ts';
import { detectShop } from '../../../src/source/shop/detect.ts';
import { readHostFile } from '../../../src/source/shop/host-file.ts';
import { startFaultProxy } from '../../servers/fault-proxy.ts';
import { until } from '../../servers/rig.ts';
import { type Sshd, startSshd } from '../../servers/sshd.ts';
import { restoreByHand } from '../../target/files/restore.ts';
import { tempDir } from '../../temp-dir.ts';
import { bash, describeTree, makeAwkwardTree, type Segments, take } from './tree.ts';

let sshd: Sshd;
/** Gives nothing but SFTP. */
let sftpOnly: Sshd;
beforeAll(async () => {
  [sshd, sftpOnly] = await Promise.all([startSshd(), startSshd({ config: ['ForceCommand internal-sftp'] })]);
});
afterAll(async () => {
  await Promise.all([sshd?.stop(), sftpOnly?.stop()]);
});

/** Waits as the real one does, but not as long. */
const impatient: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms / 50, signal) };

async function hostOf(server: Sshd, port = server.port): Promise<SshHost> {
  const knownHostsFile = join(await tempDir(), 'known_hosts');
  writeFileSync(knownHostsFile, readFileSync(server.knownHostsFile, 'utf8').replaceAll(String(server.port), String(port)));
  const host = new SshHost(
    {
      type: 'ssh',
      host: server.host,
      port,
      user: server.user,
      keys: [secretFromFile(server.keyFile)],
      passphrase: null,
      agent: null,
      knownHostsFile,
      connectTimeoutMs: 5_000,
    },
    systemClock,
  );
  onTestFinished(() => host.close());
  return host;
}

async function cuttable(server: Sshd) {
  const proxy = await startFaultProxy(server.port);
  onTestFinished(() => proxy.stop());
  return { proxy, host: await hostOf(server, proxy.port) };
}

/** Processes that the server started and that are not its own. */
function programs(server: Sshd): string[] {
  const rows = execFileSync('ps', ['-eo', 'pid=,ppid=,comm='], { encoding: 'utf8' }).trim().split('\n');
  const children = (parent: string): string[] =>
    rows
      .map((row) => row.trim().split(/\s+/))
      .flatMap(([pid, ppid, comm]) => (ppid === parent ? [comm as string, ...children(pid as string)] : []));
  return children(String(server.pid)).filter((name) => !name.startsWith('sshd'));
}

test('an awkward tree over ssh - comes back the same, unchanged costs nothing, changes cost what changed', async () => {
  const dir = await tempDir();
  const root = join(dir, 'tree');
  makeAwkwardTree(root);
  const host = await hostOf(sshd);
  const segments: Segments = new Map();
  const first = await take(root, segments, { host });
  expect(first.summary).toMatchObject({ complete: true, warnings: [] });
  const before = describeTree(root);
  restoreByHand(first, join(dir, 'restored'));
  expect(describeTree(join(dir, 'restored'))).toBe(before);

  // What was written less than a second before it was read is read once more.
  let clean = first;
  for (let tries = 0; tries < 20 && clean.entries.some(({ type, ctimeNs }) => type !== 'directory' && ctimeNs === 0n); tries++) {
    clean = await take(root, segments, { host, previous: [clean.entries] });
  }
  const second = await take(root, segments, { host, previous: [clean.entries] });
  expect(second.carried).toBe(second.summary.counts.files);
  expect(second.segments.filter(({ phase, id }) => phase === 'files' && !clean.segments.some((one) => one.id === id))).toEqual([]);

  appendFileSync(join(root, 'index.php'), 'more');
  rmSync(join(root, 'links', 'one'));
  const third = await take(root, segments, { host, previous: [second.entries] });
  const fresh = third.segments.filter(({ id }) => !second.segments.some((one) => one.id === id));
  expect(fresh.filter(({ phase }) => phase === 'files')).toHaveLength(1);
  const changed = describeTree(root);
  restoreByHand(third, join(dir, 'again'));
  expect(describeTree(join(dir, 'again'))).toBe(changed);
  await host.close();
  await until('nothing runs there', 5_000, () => programs(sshd).length === 0);
});

test('a connection that is cut while the tree is scanned and packed - is opened again, and the tree is whole', async () => {
  const dir = await tempDir();
  const root = join(dir, 'tree');
  bash(
    'mkdir -p "$TREE/many/deep"; cd "$TREE"; for i in {1..150}; do head -c 60000 /dev/urandom > many/$i; done; ln many/7 many/deep/linked; ln -s 7 many/link; truncate -s 1M many/sparse; head -c 9000000 /dev/urandom > large',
    { TREE: root },
  );
  const { proxy, host } = await cuttable(sshd);
  const before = describeTree(root);
  // in the scan, in the large file, in the small ones: bytes to the client, some of them the handshake's
  for (const afterBytes of [15_000, 5_000_000, 14_000_000]) {
    const opened = proxy.connections.accepted;
    proxy.set({ mode: 'cut', direction: 'toClient', afterBytes });
    const snapshot = await take(root, new Map(), { host, clock: impatient });
    await proxy.cutDone();
    expect(proxy.connections.accepted).toBeGreaterThan(opened);
    expect(snapshot.summary).toMatchObject({ complete: true, warnings: [] });
    restoreByHand(snapshot, join(dir, String(afterBytes)));
    expect(describeTree(join(dir, String(afterBytes)))).toBe(before);
  }
});

test('a host that stays away - the reading ends with E_SSH_LOST or E_SSH_CONNECT, after some attempts', async () => {
  const root = join(await tempDir(), 'tree');
  bash('mkdir "$TREE"; cd "$TREE"; for i in {1..50}; do head -c 100000 /dev/urandom > $i; done', { TREE: root });
  const { proxy, host } = await cuttable(sshd);
  proxy.set({ mode: 'cut', direction: 'toClient', afterBytes: 2_000_000, afterwards: 'reset' });
  const code = await take(root, new Map(), { host, clock: impatient }).catch((error) => error.code);
  expect(['E_SSH_LOST', 'E_SSH_CONNECT']).toContain(code);
  expect(proxy.connections.accepted).toBeGreaterThan(4);
});

test('a run that is stopped - leaves no program on the host', async () => {
  const root = join(await tempDir(), 'tree');
  bash('mkdir "$TREE"; truncate -s 40M "$TREE/zeros"; head -c 30000000 /dev/urandom > "$TREE/random"', { TREE: root });
  const { proxy, host } = await cuttable(sshd);
  const source = new FilesSource({ root, profile: 'generic', exclude: [] }, host, systemClock);
  const stop = new AbortController();
  const reading = await source.open({ signal: stop.signal, previous: [], scratchDir: await tempDir(), reread: false });
  let read = 0;
  const work = (async () => {
    for await (const item of reading.items()) {
      if (item.type === 'carry') continue;
      for await (const chunk of item.read(stop.signal)) {
        read += chunk.length;
        if (read > 1_000_000) proxy.set({ mode: 'blackHole' });
      }
    }
  })();
  await until('the part is being read', 10_000, () => read > 1_000_000);
  stop.abort(new Error('enough'));
  await expect(work).rejects.toThrow('enough');
  proxy.set({ mode: 'pass' });
  await reading.close();
  await host.close();
  await until('nothing runs there', 10_000, () => programs(sshd).length === 0);
});

test('files and directories that the SSH user may not read - are named, the rest is read', async () => {
  if (process.geteuid?.() === 0) return;
  const root = await tempDir();
  writeFileSync(join(root, 'open'), 'x');
  writeFileSync(join(root, 'closed'), 'x', { mode: 0 });
  const { summary } = await take(root, new Map(), { host: await hostOf(sshd) });
  expect(summary).toMatchObject({ complete: false, counts: { files: 1 } });
});

test('doctor over ssh - names the tools there, and says what cannot be read', async () => {
  const dir = await tempDir();
  writeFileSync(join(dir, 'file'), 'x');
  const host = await hostOf(sshd);
  const check = (root: string) => new FilesSource({ root, profile: 'generic', exclude: [] }, host, systemClock).check();
  expect(await check(dir)).toMatchObject([
    { name: 'tar', ok: true, detail: expect.stringMatching(/GNU tar .*GNU find/) },
    { name: 'files', ok: true, detail: expect.stringContaining('1 entries tried') },
  ]);
  expect((await check('/nonexistent/shop'))[1]).toMatchObject({ name: 'files', ok: false });
});

test('a host that gives SFTP alone - the tree comes back as far as SFTP knows it, and the snapshot says what it does not', async () => {
  const dir = await tempDir();
  const root = join(dir, 'tree');
  makeAwkwardTree(root);
  bash(
    `cd "$TREE"; rm -rf null all-hole; setfattr -x user.coffre index.php; setfattr -x user.dir empty; setfacl -bk index.php empty; setcap -r setuid 2>/dev/null || true
    cp sparse dense --sparse=never; mv dense sparse; head -c 700000 /dev/urandom > large
    for link in hard-three links/deep/two; do cp -p --remove-destination links/one x; mv x $link; done; rm links/symlink-again links/absolute-again
    find . -exec touch -hd '2021-05-06 07:08:09' {} +`,
    { TREE: root },
  );
  const host = await hostOf(sftpOnly);
  const segments: Segments = new Map();
  const first = await take(root, segments, { host });
  expect(first.summary.complete).toBe(true);
  expect(first.summary.warnings).toEqual([{ kind: 'other', where: root, message: expect.stringContaining('no hard links') }]);
  restoreByHand(first, join(dir, 'restored'));
  expect(describeTree(join(dir, 'restored'))).toBe(describeTree(root));

  const second = await take(root, segments, { host, previous: [first.entries] });
  expect(second.carried).toBe(second.summary.counts.files);
  chmodSync(join(root, 'index.php'), 0o640);
  writeFileSync(join(root, 'large'), 'smaller');
  const third = await take(root, segments, { host, previous: [second.entries] });
  expect((third.summary.counts.files as number) - third.carried).toBe(2);
  // written this minute: read again each time until it is older
  const fourth = await take(root, segments, { host, previous: [third.entries] });
  expect((fourth.summary.counts.files as number) - fourth.carried).toBe(1);
  restoreByHand(fourth, join(dir, 'again'));
  const rounded = (tree: string): string => describeTree(tree).replace(/(\.\d+)/g, '');
  expect(rounded(join(dir, 'again'))).toBe(rounded(root));
});

test('SFTP that is cut in the middle of files - goes on over a new connection', async () => {
  const dir = await tempDir();
  const root = join(dir, 'tree');
  bash(
    'mkdir -p "$TREE"/{a..f}; cd "$TREE"; for d in {a..f}; do for i in {1..20}; do head -c 20000 /dev/urandom > $d/$i; done; done; head -c 6000000 /dev/urandom > large; find . -exec touch -d 2020-01-01 {} +',
    {
      TREE: root,
    },
  );
  const { proxy, host } = await cuttable(sftpOnly);
  for (const afterBytes of [12_000, 1_500_000, 6_000_000]) {
    proxy.set({ mode: 'cut', direction: 'toClient', afterBytes });
    const snapshot = await take(root, new Map(), { host, clock: impatient });
    await proxy.cutDone();
    expect(snapshot.summary.complete).toBe(true);
    restoreByHand(snapshot, join(dir, String(afterBytes)));
    expect(describeTree(join(dir, String(afterBytes)))).toBe(describeTree(root));
  }
});

test('doctor of a host that gives SFTP alone - says so, and what is missing', async () => {
  const dir = await tempDir();
  mkdirSync(join(dir, 'shop'));
  writeFileSync(join(dir, 'shop', 'file'), 'x');
  utimesSync(join(dir, 'shop', 'file'), 1, 1);
  const host = await hostOf(sftpOnly);
  const check = (root: string) => new FilesSource({ root, profile: 'generic', exclude: [] }, host, systemClock).check();
  expect(await check(join(dir, 'shop'))).toMatchObject([
    { name: 'tar', ok: true, detail: expect.stringContaining('by SFTP') },
    { name: 'files', ok: true },
  ]);
  await expect(take(join(dir, 'missing'), new Map(), { host })).rejects.toMatchObject({ code: 'E_FILES_ROOT' });
  expect(readdirSync(dir)).toEqual(['shop']);
});

test('a PrestaShop on a host that gives SFTP alone - is known for what it is, as over a shell', async () => {
  const root = await tempDir();
  bash(
    `cd "$TREE"; mkdir -p config app src/Core admin123/filemanager real; ln -s real linked; touch config/defines.inc.php admin123/filemanager/dialog.php app/.env
    printf '<?php class Version { const VERSION = "8.1.2"; }' > src/Core/Version.php; printf 'secret' > .env; mkfifo auth.json`,
    { TREE: root },
  );
  const shop = { root, profile: 'prestashop' } as const;
  const bySftp = await hostOf(sftpOnly);
  expect(await detectShop(bySftp, shop)).toEqual(await detectShop(await hostOf(sshd), shop));
  expect(await detectShop(bySftp, shop)).toMatchObject({
    application: { name: 'PrestaShop', version: '8.1.2' },
    excludes: ['admin123/autoupgrade/backup/**', 'admin123/backups/**'],
  });
  for (const host of [bySftp, await hostOf(sshd)]) {
    expect(await readHostFile(host, join(root, 'missing'))).toBe(null);
    await expect(readHostFile(host, join(root, 'auth.json'))).rejects.toMatchObject({ code: 'E_CONFIG' });
  }
});

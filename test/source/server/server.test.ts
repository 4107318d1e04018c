// A machine, played by a small tree, through bin/coffre: what is kept, what is left out, what is said about it, and how it comes back.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Sshd, startSshd } from '../../servers/sshd.ts';
import { makeWorld, type World } from '../../world/world.ts';

/** What is to come back, and what is not; a slash at the end: an empty directory. */
const KEPT = [
  'etc/hostname',
  'etc/fstab',
  'home/anna/letter',
  'srv/www/index.php',
  'var/log/syslog',
  'var/lib/docker/volumes/shop/data',
  'mnt/',
];
const LEFT_OUT = [
  'proc/1/status',
  'sys/kernel/x',
  'dev/fake',
  'run/pid',
  'tmp/junk',
  'var/tmp/junk',
  'swapfile',
  'lost+found/inode',
  'var/cache/apt/archives/a.deb',
  'var/lib/apt/lists/b',
  'home/anna/.cache/c',
  'root/.cache/d',
  'var/lib/docker/overlay2/layer/file',
  'var/lib/mysql/ibdata1',
  '.coffre-server/old',
  'srv/mirror/iso',
];

function makeMachine(root: string): void {
  for (const path of [...KEPT, ...LEFT_OUT]) {
    const at = join(root, path);
    mkdirSync(path.endsWith('/') ? at : dirname(at), { recursive: true });
    if (!path.endsWith('/')) writeFileSync(at, path);
  }
  symlinkSync('var/log', join(root, 'logs'));
}

async function sshServer(): Promise<AsyncDisposable & Sshd> {
  const sshd = await startSshd();
  return { ...sshd, [Symbol.asyncDispose]: () => sshd.stop() };
}

function configure(world: World, root: string, host?: readonly string[]): void {
  world.writeConfig({ vaults: ['nas', 'offsite'], ...(host ? { host } : {}) });
  appendFileSync(world.configFile, `    server: { root: ${root}, exclude: [srv/mirror/**] }\n`);
}

const list = (root: string): string[] =>
  execFileSync('find', ['.', '-mindepth', '1'], { cwd: root, encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((path) => path.slice(2));

describe('a machine', () => {
  it('is kept without what a machine makes again, with facts about it, and comes back equal; unchanged it costs nothing', async () => {
    await using world = await makeWorld({});
    const root = join(world.dir, 'machine');
    makeMachine(root);
    configure(world, root);
    const mount = join(root, 'mnt');
    using unmounting = new DisposableStack();
    const mounted = spawnSync('mount', ['-t', 'tmpfs', 'none', mount]).status === 0;
    if (mounted) {
      // before the world goes
      unmounting.defer(() => void spawnSync('umount', ['-l', mount]));
      writeFileSync(join(mount, 'other'), 'of another file system');
    }

    const { json } = await world.ok(['backup', 'dupont', '--source', 'server']);
    const [snapshot] = json.snapshots;
    expect(snapshot).toMatchObject({ source: 'server', vaults: ['nas', 'offsite'], complete: true, lock: { verified: true } });
    expect(snapshot.warnings).toContainEqual({
      kind: 'skipped',
      where: 'var/lib/mysql',
      message: 'raw files of a database server: not kept, the dumps of the source database are',
    });

    const back = join(world.dir, 'back');
    const restored = await world.ok(['restore', 'dupont', '--source', 'server', '--to-dir', back]);
    expect(restored.json.verified).toBe(true);
    const names = list(back);
    for (const path of KEPT) expect(names).toContain(path.replace(/\/$/, ''));
    for (const path of LEFT_OUT) expect(names).not.toContain(path);
    for (const path of ['proc', 'sys', 'dev', 'run', 'tmp', 'var/lib/mysql']) expect(readdirSync(join(back, path))).toEqual([]);
    if (mounted) expect(readdirSync(join(back, 'mnt'))).toEqual([]);
    expect(readFileSync(join(back, 'home/anna/letter'), 'utf8')).toBe('home/anna/letter');
    expect(lstatSync(join(back, 'logs')).isSymbolicLink()).toBe(true);

    const facts = readdirSync(join(back, '.coffre-server'));
    expect(facts).toEqual(expect.arrayContaining(['REBUILD.txt', 'kernel.txt', 'os-release.txt', 'packages.txt', 'users.txt']));
    expect(readFileSync(join(back, '.coffre-server/users.txt'), 'utf8')).toContain('root:x:0:0');
    if (existsSync('/usr/bin/dpkg-query')) {
      expect(readFileSync(join(back, '.coffre-server/packages.txt'), 'utf8')).toMatch(/^tar\t\S+\tii/m);
    }
    expect(lstatSync(join(back, '.coffre-server/crontabs.txt')).mode & 0o777).toBe(0o600);
    expect(lstatSync(join(back, '.coffre-server')).mode & 0o777).toBe(0o700);

    const { json: shown } = await world.ok(['show', snapshot.id]);
    expect(shown.manifest.server.system).toBe(/^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1]);

    const again = (await world.ok(['backup', 'dupont', '--source', 'server'])).json.snapshots[0];
    expect(again.reusedSegments).toBe(again.segments);

    // one path of it, and one fact
    const letter = join(world.dir, 'letter');
    await world.ok([
      'restore',
      'dupont',
      '--source',
      'server',
      '--path',
      'home/anna/letter',
      '--path',
      '.coffre-server/*.txt',
      '--to-dir',
      letter,
    ]);
    expect(list(letter)).toEqual(expect.arrayContaining(['home/anna/letter', '.coffre-server/users.txt']));
    expect(list(letter)).not.toContain('etc/hostname');
  }, 120_000);

  it('behind SSH - the same tree, facts of that machine, mount points without content', async () => {
    await using world = await makeWorld({});
    await using sshd = await sshServer();
    const root = join(world.dir, 'machine');
    makeMachine(root);
    configure(world, root, sshd.hostLines());
    const mount = join(root, 'mnt');
    using unmounting = new DisposableStack();
    if (spawnSync('mount', ['-t', 'tmpfs', 'none', mount]).status === 0) {
      unmounting.defer(() => void spawnSync('umount', ['-l', mount]));
      writeFileSync(join(mount, 'other'), 'of another file system');
    }
    const { json } = await world.ok(['backup', 'dupont', '--source', 'server']);
    expect(json.snapshots[0]).toMatchObject({ source: 'server', complete: true });
    const back = join(world.dir, 'back');
    await world.ok(['restore', 'dupont', '--source', 'server', '--to-dir', back]);
    const names = list(back);
    for (const path of KEPT) expect(names).toContain(path.replace(/\/$/, ''));
    for (const path of [...LEFT_OUT, 'mnt/other']) expect(names).not.toContain(path);
    expect(readFileSync(join(back, '.coffre-server/users.txt'), 'utf8')).toContain('root:x:0:0');
    const again = (await world.ok(['backup', 'dupont', '--source', 'server'])).json.snapshots[0];
    expect(again.reusedSegments).toBe(again.segments);
  }, 120_000);

  it('that coffre itself runs on - state, vaults and keys stay out, also behind links; doctor and status know it', async () => {
    await using world = await makeWorld({});
    writeFileSync(join(world.dir, 'own-file'), 'kept');
    // the vault's folder is named by a link, its bytes lie elsewhere in the machine
    mkdirSync(join(world.dir, 'srv'));
    execFileSync('mv', [world.nasPath, join(world.dir, 'srv/really [here]')]);
    symlinkSync(join(world.dir, 'srv/really [here]'), world.nasPath);
    configure(world, world.dir);
    await world.ok(['backup', 'dupont', '--source', 'server']);
    await world.ok(['backup', 'dupont', '--source', 'server', '--full']);
    const back = join(realpathSync('/tmp'), `coffre-server-back-${process.pid}`);
    onTestFinished(() => void spawnSync('rm', ['-rf', back]));
    await world.ok(['restore', 'dupont', '--source', 'server', '--to-dir', back]);
    expect(readdirSync(back)).toEqual(expect.arrayContaining(['own-file', 'coffre.yaml', 'state', 'keys', 'nas', 'srv']));
    for (const folder of ['state', 'keys', 'srv/really [here]']) expect(readdirSync(join(back, folder))).toEqual([]);
    const { json: status } = await world.coffre(['status', 'dupont']);
    expect(JSON.stringify(status)).toContain('"server"');
    const { json: doctor } = await world.coffre(['doctor', 'dupont']);
    expect(doctor.checks).toContainEqual(expect.objectContaining({ name: 'dupont server: files', ok: true }));
  }, 120_000);
});

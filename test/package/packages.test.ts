// The packages as `npm run package` makes them: the .deb installed, upgraded, removed and purged in a fresh Debian tree and run from any
// folder, the npm tarball installed into an empty one.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FreshTree, makeFreshTree, noFreshTree, type Said } from './fresh-tree.ts';
import { smallPackage } from './small-package.ts';

const run = promisify(execFile);
const top = resolve(import.meta.dirname, '../..');
const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { version: string };
const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

let dir: string;
let deb: string;
let tarball: string;
/** The .deb unpacked, nothing else done. */
let unpacked: string;
let fresh: Promise<FreshTree | Error>;
/** A folder in which npm installed the tarball. */
let installed: Promise<string | Error>;
const missing = await noFreshTree();

beforeAll(async () => {
  dir = mkdtempSync(join(process.env.COFFRE_TEST_RIGS || tmpdir(), 'coffre-packages-'));
  // it takes as long as the packages do, and needs none of them
  fresh = missing === null ? makeFreshTree(join(dir, 'tree')).catch((error: Error) => error) : Promise.resolve(new Error(missing));
  const main = join(top, 'bin/package/main.ts');
  await run(process.execPath, ['--disable-warning=ExperimentalWarning', main, join(dir, 'dist'), '--compress', 'none'], {
    cwd: dir,
    env: { ...process.env, TMPDIR: dir },
    maxBuffer: 2 ** 24,
  });
  deb = join(dir, `dist/coffre_${version}_${architecture}.deb`);
  tarball = join(dir, `dist/coffre-${version}.tgz`);
  unpacked = join(dir, 'another place');
  installed = installWithNpm(join(dir, 'npm'), tarball).catch((error: Error) => error);
  await run('dpkg-deb', ['-x', deb, unpacked]);
}, 600_000);
afterAll(async () => {
  await Promise.all([fresh, installed]);
  rmSync(dir, { recursive: true, force: true });
});

async function installWithNpm(folder: string, packed: string): Promise<string> {
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{ "private": true }');
  await run('npm', ['install', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', packed], { cwd: folder });
  return folder;
}

/** With no Node on its PATH. */
async function coffreAt(program: string, args: readonly string[]): Promise<string> {
  return (await run(program, args, { cwd: '/', env: { PATH: '/usr/bin:/bin' } })).stdout;
}

describe('the .deb', () => {
  it('unpacked anywhere - runs, by its own Node', async () => {
    expect(await coffreAt(join(unpacked, 'usr/bin/coffre'), ['--version'])).toBe(`${version}\n`);
    expect(JSON.parse(await coffreAt(join(unpacked, 'usr/bin/coffre'), ['--json', 'errors'])).errors.length).toBeGreaterThan(50);
  });

  it('every package that a module names, at its start or when it is needed - loads from what was kept of it', async () => {
    const lib = join(unpacked, 'usr/lib/coffre');
    const named = new Set<string>();
    for (const file of readdirSync(join(lib, 'src'), { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.js')) continue;
      const source = readFileSync(join(lib, 'src', file), 'utf8');
      for (const [, name = ''] of source.matchAll(/(?:\bfrom |\bimport\(|^import )'((?!node:)[^.'][^']*)'/gm)) named.add(name);
      // and every module of its own that it names is there
      for (const [, own = ''] of source.matchAll(/'(\.{1,2}\/[^'\n]+\.[jt]s)'/g))
        expect(existsSync(join(lib, 'src', file, '..', own)), `${file}: ${own}`).toBe(true);
    }
    expect([...named]).toEqual(expect.arrayContaining(['zod', '@aws-sdk/client-s3', 'mysql2', 'ssh2', 'commander']));
    const node = join(lib, `node_modules/node-linux-${process.arch}/bin/node`);
    const script = `for (const name of ${JSON.stringify([...named])}) await import(name);`;
    await run(node, ['--input-type=module', '--eval', script], { cwd: lib, env: { PATH: '/usr/bin:/bin' } });
  });

  it('what it holds - no types, tests, compiler or dates but the commit’s; small enough', async () => {
    const { stdout } = await run('dpkg-deb', ['--contents', deb], { maxBuffer: 2 ** 24, env: { ...process.env, TZ: 'UTC' } });
    const lines = stdout.trimEnd().split('\n');
    expect(lines.filter((line) => /\.(ts|map)$|node_modules\/(vitest|typescript|@biomejs|\.bin)\//.test(line))).toEqual([]);
    expect(lines.filter((line) => !line.includes(' root/root '))).toEqual([]);
    const modes = new Set(lines.map((line) => line.slice(0, 10)));
    expect([...modes].sort()).toEqual(['-rw-r--r--', '-rwxr-xr-x', 'drwxr-xr-x', 'lrwxrwxrwx']);
    expect(new Set(lines.map((line) => /\d{4}-\d\d-\d\d \d\d:\d\d/.exec(line)?.[0])).size).toBe(1);
    // Node itself is 124 MB of it
    expect(statSync(deb).size).toBeLessThan(200e6);
    const { stdout: fields } = await run('dpkg-deb', ['--field', deb]);
    expect(fields).toContain(`Version: ${version}\nArchitecture: ${architecture}\n`);
    expect(fields).toMatch(/^Depends: .*\btar\b/m);
    expect(fields).toMatch(/^Recommends: .*\bage\b.*\battr\b/m);
    // what root runs comes from no other user's folder
    expect(readlinkSync(join(unpacked, 'usr/lib/coffre/node_modules/.cache'))).toBe('/var/cache/coffre-root');
  });
});

// one after the other, in one tree: the life of an installation
describe.skipIf(missing !== null)(`installed in a fresh Debian tree${missing === null ? '' : ` (${missing})`}`, () => {
  let tree: FreshTree;
  const inTree = (path: string): string => join(tree.path, path);
  /** What the maintainer scripts asked of systemd since the last time. */
  const asked = (): string[] => {
    const log = inTree('var/log/systemctl');
    const lines = existsSync(log) ? readFileSync(log, 'utf8').split('\n').filter(Boolean) : [];
    rmSync(log, { force: true });
    return lines.filter((line) => /start|stop|reload-or/.test(line));
  };
  const succeeds = async (command: readonly string[], env?: Record<string, string>): Promise<Said> => {
    const said = await tree.run(command, env);
    expect(said, said.stderr).toMatchObject({ status: 0 });
    return said;
  };

  /** Without a sync for each of four thousand files. */
  const install = (file: string): Promise<Said> => succeeds(['dpkg', '--force-unsafe-io', '--install', `/packages/${file}`]);

  beforeAll(async () => {
    const made = await fresh;
    if (made instanceof Error) throw made;
    tree = made;
    // a systemd that is running, as far as maintainer scripts can see
    mkdirSync(inTree('run/systemd/system'), { recursive: true });
    writeFileSync(inTree('usr/bin/systemctl'), '#!/bin/sh\necho "$*" >>/var/log/systemctl\n', { mode: 0o755 });
    mkdirSync(inTree('packages'));
    await run('cp', [deb, inTree('packages/coffre.deb')]);
  }, 300_000);

  it('with nothing but required packages there - dependencies hold, it is configured, and nothing is started', async () => {
    // libstdc++6 is there with apt, as on every Debian
    const { stdout } = await install('coffre.deb');
    expect(stdout).toContain("run 'coffre init'");
    expect(asked()).toEqual([]);
    expect((await succeeds(['dpkg', '--status', 'coffre'])).stdout).toContain('Status: install ok installed\n');
    expect((await succeeds(['dpkg', '--verify', 'coffre'])).stdout).toBe('');
    expect(existsSync(inTree('etc/systemd/system/multi-user.target.wants/coffre.service'))).toBe(false);
    expect((await succeeds(['id', 'coffre'])).stdout).toMatch(/uid=\d{1,3}\(coffre\) gid=\d{1,3}\(coffre\)/);
    expect((await succeeds(['stat', '-c', '%U:%G %a', '/var/lib/coffre', '/etc/coffre/keys/identities'])).stdout).toBe(
      'coffre:coffre 700\nroot:root 700\n',
    );
  });

  it('coffre --version, coffre doctor - run; without a configuration doctor says what to do', async () => {
    expect((await succeeds(['coffre', '--version'])).stdout).toBe(`${version}\n`);
    const doctor = await tree.run(['coffre', 'doctor']);
    expect(doctor).toMatchObject({ status: 2, stdout: '' });
    expect(doctor.stderr).toMatch(/no configuration at \/etc\/coffre\/coffre\.yaml.*\nHINT: .*coffre init/);
  });

  it('coffre init, doctor - a configuration is made and each thing that can be is green', async () => {
    await succeeds(['sh', '-c', 'mkdir -p /var/www/demo && echo 1 >/var/www/demo/index.php']);
    // one disk: 3-2-1 is red, and so is init
    const init = await tree.run(['coffre', 'init', '--vault-path', '/srv/coffre', '--shop', 'demo', '--files-root', '/var/www/demo']);
    expect(init.status, init.stderr).toBe(1);
    const doctor = await tree.run(['coffre', '--json', 'doctor']);
    const { checks } = JSON.parse(doctor.stdout) as { checks: { name: string; ok: boolean }[] };
    const ok = new Map(checks.map((check) => [check.name, check.ok]));
    expect([doctor.status, ok.get('configuration'), ok.get('signing key'), ok.get('state directory')]).toEqual([1, true, true, true]);
    expect([ok.get('demo files: tar'), ok.get('demo files: files'), ok.get('vault nas: write')]).toEqual([true, true, true]);
    expect((await succeeds(['coffre', '--json', 'snapshots'])).stdout).toContain('snapshots');
  });

  it('compiled code of what root runs - is kept where only root writes', async () => {
    expect((await succeeds(['stat', '-c', '%U %a', '/var/cache/coffre-root'])).stdout).toBe('root 755\n');
    expect(readdirSync(inTree('var/cache/coffre-root/coffre-compile')).length).toBeGreaterThan(0);
    expect((await succeeds(['dpkg', '--verify', 'coffre'])).stdout).toBe('');
  });

  it('a container’s entrypoint - the daemon is started as its user, with the one capability', async () => {
    await run('cp', [join(top, 'docker/entrypoint'), inTree('usr/local/bin/coffre-entrypoint')]);
    writeFileSync(inTree('usr/local/bin/coffre'), '#!/bin/sh\necho "$*"\nid -un\ngrep -E "^Cap(Eff|Bnd)|NoNewPrivs" /proc/self/status\n', {
      mode: 0o755,
    });
    const daemon = await succeeds(['coffre-entrypoint', 'daemon']);
    expect(daemon.stdout.split(/\s+/).join(' ')).toBe('daemon coffre CapEff: 0000000000000004 CapBnd: 0000000000000004 NoNewPrivs: 1 ');
    expect((await succeeds(['coffre-entrypoint', 'restore', 'demo'])).stdout).toMatch(/^restore demo\nroot\n/);
    rmSync(inTree('usr/local/bin/coffre'));
  });

  it('maintainer scripts again - change nothing', async () => {
    const before = await succeeds(['sh', '-c', 'getent passwd; getent group; ls -lRn /etc/coffre /var/lib/coffre']);
    for (const _ of [1, 2]) await succeeds(['/var/lib/dpkg/info/coffre.postinst', 'configure', version]);
    const after = await succeeds(['sh', '-c', 'getent passwd; getent group; ls -lRn /etc/coffre /var/lib/coffre']);
    expect(after.stdout).toBe(before.stdout);
    asked();
  });

  it('an upgrade - what ran is restarted, configuration, state and changed conffiles stay', async () => {
    writeFileSync(inTree('etc/default/coffre'), 'COFFRE_LOG=debug\n');
    const configuration = readFileSync(inTree('etc/coffre/coffre.yaml'), 'utf8');
    await run('cp', [smallPackage(dir, 'next', { prefix: '/usr', version: '99.0.0', architecture }), inTree('packages/next.deb')]);
    await install('next.deb');
    expect(asked()).toEqual([expect.stringMatching(/try-restart .*coffre\.service/)]);
    expect(readFileSync(inTree('etc/default/coffre'), 'utf8')).toBe('COFFRE_LOG=debug\n');
    expect(readFileSync(inTree('etc/coffre/coffre.yaml'), 'utf8')).toBe(configuration);
    expect((await succeeds(['coffre', '--version'])).stdout).toBe('99.0.0\n');
    expect(existsSync(inTree('usr/lib/coffre/src/cli'))).toBe(false);
  });

  it('removed - it is stopped, and gone; configuration, keys and state stay', async () => {
    await run('cp', [inTree('var/lib/dpkg/info/coffre.postrm'), join(dir, 'postrm')]);
    await succeeds(['dpkg', '--remove', 'coffre']);
    expect(asked()[0]).toMatch(/^(--\S+ )*stop .*coffre\.service/);
    for (const gone of ['usr/bin/coffre', 'usr/lib/coffre']) expect(existsSync(inTree(gone)), gone).toBe(false);
    for (const kept of ['etc/default/coffre', 'etc/coffre/coffre.yaml', 'etc/coffre/keys/signing.key', 'var/lib/coffre'])
      expect(existsSync(inTree(kept)), kept).toBe(true);
  });

  it('purged - conffiles and caches go; keys never, the state only when it is said', async () => {
    const { stdout } = await succeeds(['dpkg', '--purge', 'coffre']);
    expect(stdout).toContain('/var/lib/coffre stays');
    for (const gone of ['etc/default/coffre', 'var/cache/coffre-root', 'etc/systemd/system/coffre.service'])
      expect(existsSync(inTree(gone)), gone).toBe(false);
    for (const kept of ['etc/coffre/coffre.yaml', 'etc/coffre/keys/signing.key', 'var/lib/coffre'])
      expect(existsSync(inTree(kept)), kept).toBe(true);
    expect((await succeeds(['dpkg', '--list'])).stdout).not.toContain(' coffre ');
    await run('cp', [join(dir, 'postrm'), inTree('packages/postrm')]);
    for (const _ of [1, 2]) await succeeds(['/packages/postrm', 'purge'], { COFFRE_PURGE: 'state' });
    expect([existsSync(inTree('var/lib/coffre')), existsSync(inTree('etc/coffre/keys/signing.key'))]).toEqual([false, true]);
  });
});

describe('the npm tarball', () => {
  it('installed into an empty folder by npm - runs, with the packages of the lock file', async () => {
    const folder = await installed;
    if (folder instanceof Error) throw folder;
    expect(await coffreAt(join(folder, 'node_modules/.bin/coffre'), ['--version'])).toBe(`${version}\n`);
    const locked = JSON.parse(readFileSync(join(top, 'package-lock.json'), 'utf8')).packages as Record<
      string,
      { version: string; dev?: boolean }
    >;
    const found = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8')).packages as Record<
      string,
      { version: string; peer?: boolean }
    >;
    const versions = new Set(
      Object.entries(locked).flatMap(([name, it]) => (it.dev ? [] : [`${name.split('node_modules/').at(-1)} ${it.version}`])),
    );
    // but for peers, which npm takes as it likes: mysql2 wants the types of Node
    const others = Object.entries(found).flatMap(([name, it]) =>
      name === '' || name.endsWith('/coffre') || it.peer ? [] : [`${name.split('node_modules/').at(-1)} ${it.version}`],
    );
    expect(others.filter((one) => !versions.has(one))).toEqual([]);
  });
});

// A Debian of its own in a folder, with required packages and no others, and commands that run in it as root, alone with their processes.
import { execFile } from 'node:child_process';
import { copyFile, mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Said {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface FreshTree {
  readonly path: string;
  /** Runs a program in it. Its mounts and processes end with it. */
  run(command: readonly string[], env?: Readonly<Record<string, string>>): Promise<Said>;
}

/** Why there can be none here; null: there can. */
export async function noFreshTree(): Promise<string | null> {
  if (process.geteuid?.() !== 0) return 'only root makes a Debian tree';
  const debian = await readFile('/var/lib/dpkg/status').catch(() => null);
  if (debian === null) return 'this machine is no Debian';
  const alone = await run('unshare', ['--mount', '--pid', '--fork', 'true']).catch(() => null);
  return alone ? null : 'this machine gives no namespaces of our own';
}

/**
 * With COFFRE_TEST_DEBOOTSTRAP=1 by debootstrap, from a mirror: some minutes. Else what debootstrap's minbase variant would put there, out
 * of the packages of this machine: their files, and what dpkg knows of them.
 */
export async function makeFreshTree(path: string): Promise<FreshTree> {
  if (process.env.COFFRE_TEST_DEBOOTSTRAP === '1') {
    const release = /^VERSION_CODENAME=(\w+)$/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1] ?? 'stable';
    await run('debootstrap', ['--variant=minbase', release, path], { maxBuffer: 64 * 2 ** 20 });
  } else {
    await copyRequired(path);
  }
  return { path, run: (command, env = {}) => runIn(path, command, env) };
}

async function copyRequired(path: string): Promise<void> {
  const stanzas = requiredStanzas(await readFile('/var/lib/dpkg/status', 'utf8'));
  const info = join(path, 'var/lib/dpkg/info');
  await mkdir(info, { recursive: true });
  // merged /usr: these links belong to no package
  for (const name of ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32']) {
    const target = await readlink(`/${name}`).catch(() => null);
    if (target === null) continue;
    await mkdir(join(path, target), { recursive: true });
    await symlink(target, join(path, name));
  }
  const known = await readdir('/var/lib/dpkg/info');
  // by it dpkg knows how the others are named
  await copyFile('/var/lib/dpkg/info/format', join(info, 'format'));
  let files = '';
  for (const name of stanzas.keys()) {
    for (const file of known.filter((it) => it.startsWith(`${name}.`) || it.startsWith(`${name}:`))) {
      await copyFile(join('/var/lib/dpkg/info', file), join(info, file));
      if (file.endsWith('.list')) files += await readFile(join('/var/lib/dpkg/info', file), 'utf8');
    }
  }
  await writeFile(join(path, 'var/lib/dpkg/status'), [...stanzas.values()].map((stanza) => `${stanza}\n\n`).join(''));
  await writeFile(join(path, 'var/lib/dpkg/available'), '');
  await writeFile(join(path, 'files'), files);
  // conffiles come with this machine's content, documentation may be missing here: neither matters
  await run('sh', [
    '-c',
    'tar -C / --no-recursion --ignore-failed-read -cf - -T "$0/files" 2>/dev/null | tar -C "$0" --keep-directory-symlink -xpf - && rm "$0/files"',
    path,
  ]);
  // what the packages' own scripts make
  for (const [from, to] of [
    ['usr/share/base-passwd/passwd.master', 'etc/passwd'],
    ['usr/share/base-passwd/group.master', 'etc/group'],
  ] as const) {
    await copyFile(join(path, from), join(path, to));
  }
  for (const folder of ['proc', 'dev', 'tmp', 'etc/alternatives', 'usr/local/bin']) await mkdir(join(path, folder), { recursive: true });
  await writeFile(join(path, 'dev/null'), '');
  await runIn(path, ['ldconfig'], {});
}

/** Packages that are essential or required, apt, and what they need, by name, as dpkg's own file has them. */
function requiredStanzas(status: string): Map<string, string> {
  const installed = new Map<string, string>();
  for (const stanza of status.split('\n\n')) {
    const name = field(stanza, 'Package');
    if (name !== '' && field(stanza, 'Status') === 'install ok installed') installed.set(name, stanza);
  }
  const providers = new Map<string, string>();
  for (const [name, stanza] of installed)
    for (const [provided] of relations(field(stanza, 'Provides'))) if (provided) providers.set(provided, name);
  const found = new Map<string, string>();
  const take = (name: string): void => {
    const stanza = installed.get(name);
    if (stanza === undefined || found.has(name)) return;
    found.set(name, stanza);
    for (const alternatives of [...relations(field(stanza, 'Pre-Depends')), ...relations(field(stanza, 'Depends'))]) {
      const first =
        alternatives.find((it) => installed.has(it)) ?? alternatives.map((it) => providers.get(it)).find((it) => it !== undefined);
      if (first !== undefined) take(first);
    }
  };
  for (const [name, stanza] of installed) {
    if (field(stanza, 'Essential') === 'yes' || field(stanza, 'Priority') === 'required' || name === 'apt') take(name);
  }
  return found;
}

const field = (stanza: string, name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1] ?? '';

/** `a (>= 1), b | c` without versions and architectures: one list of alternatives for each relation. */
function relations(text: string): string[][] {
  return text === '' ? [] : text.split(',').map((one) => one.split('|').map((it) => it.trim().replace(/[ (:].*$/, '')));
}

async function runIn(path: string, command: readonly string[], env: Readonly<Record<string, string>>): Promise<Said> {
  // a device node in a folder may be forbidden to be one
  const enter = 'mount --bind /dev/null "$0/dev/null" && exec chroot "$0" "$@"';
  const inside = ['--mount', '--pid', '--fork', '--kill-child', `--mount-proc=${path}/proc`, 'sh', '-c', enter, path, ...command];
  const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  return new Promise((done) => {
    const options = { cwd: '/', env: { PATH, LC_ALL: 'C.UTF-8', ...env }, timeout: 120_000, maxBuffer: 2 ** 24 };
    const child = execFile('unshare', inside, options, (error, stdout, stderr) => {
      done({ status: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout, stderr });
    });
    // maintainer scripts ask nothing
    child.stdin?.end();
  });
}

// A Debian of its own in a folder, made by debootstrap, and commands that run in it as root, alone with their processes.
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
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
  for (const program of ['debootstrap', 'unshare']) {
    if (!(await run('sh', ['-c', `command -v ${program}`]).catch(() => null))) return `no ${program} here`;
  }
  const alone = await run('unshare', ['--mount', '--pid', '--fork', 'true']).catch(() => null);
  return alone ? null : 'this machine gives no namespaces of our own';
}

/** The smallest Debian of this machine's own release: what is essential or required, and apt. Rejects when no mirror answers. */
export async function makeFreshTree(path: string): Promise<FreshTree> {
  const release = /^VERSION_CODENAME=(\w+)$/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1] ?? 'stable';
  await run('debootstrap', ['--variant=minbase', release, path], { timeout: 150_000, maxBuffer: 64 * 2 ** 20 });
  return { path, run: (command, env = {}) => runIn(path, command, env) };
}

async function runIn(path: string, command: readonly string[], env: Readonly<Record<string, string>>): Promise<Said> {
  const inside = ['unshare', '--mount', '--pid', '--fork', '--kill-child', `--mount-proc=${path}/proc`, 'chroot', path, ...command];
  const [program = '', ...args] = inside;
  return new Promise((done) => {
    const child = execFile(
      program,
      args,
      {
        cwd: '/',
        env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8', ...env },
        timeout: 120_000,
        maxBuffer: 16 * 2 ** 20,
      },
      (error, stdout, stderr) => done({ status: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout, stderr }),
    );
    // maintainer scripts ask nothing
    child.stdin?.end();
  });
}

// What a machine's backup leaves out: what the kernel makes, what is thrown away anyway, what comes back by itself, and what is ours.
import { relative } from 'node:path';
import type { Host } from '../../host/host.ts';
import type { PathPattern } from '../path-pattern.ts';
import { literalPattern } from '../shop/detect.ts';
import { outputLines } from '../shop/host-file.ts';

/** Where facts about the machine stand in the snapshot. After a restore to `/` it is really there, and is not archived a second time. */
export const FACTS_FOLDER = '.coffre-server';

/** Directories stay, empty: a machine needs them to boot. */
export const SERVER_EXCLUDES: readonly PathPattern[] = [
  // made by the kernel and at boot
  'proc/**',
  'sys/**',
  'dev/**',
  'run/**',
  // gone at the next boot, or by their age
  'tmp/**',
  'var/tmp/**',
  '/lost+found/',
  // memory, not data
  '/swapfile',
  '/swap.img',
  'var/crash/**',
  'var/lib/systemd/coredump/**',
  // fetched anew by the package manager
  'var/cache/apt/**',
  'var/lib/apt/lists/**',
  'var/cache/dnf/**',
  'var/cache/yum/**',
  'var/cache/zypp/**',
  'var/cache/apk/**',
  'var/cache/pacman/pkg/**',
  'var/cache/man/**',
  'root/.cache/**',
  'home/*/.cache/**',
  'root/.npm/_cacache/**',
  'home/*/.npm/_cacache/**',
  // images and running containers' layers, pulled again; volumes stay
  'var/lib/docker/overlay2/**',
  'var/lib/docker/containers/**',
  'var/lib/containerd/**',
  'var/lib/containers/storage/overlay/**',
  'var/lib/containers/storage/overlay-containers/**',
  // snapshots of this very file system
  '/.snapshots/**',
  '/timeshift/**',
];

/** Raw files of a running database server: a copy of them, read one after the other, does not start. Its dump is what is kept. */
export const RAW_DATABASES: readonly string[] = ['var/lib/mysql'];

/** Raw files of servers that coffre has no dump of: kept, for want of better, and said. */
export const RAW_DATABASES_KEPT: readonly string[] = ['var/lib/postgresql', 'var/lib/pgsql', 'var/lib/mongodb', 'var/lib/mongo'];

/**
 * Patterns for absolute `paths` of the host, symbolic links followed too: of directories what is in them, other files themselves. Paths
 * that are not below `root` need none. Throws what reaching the host throws.
 */
export async function patternsOf(host: Host, root: string, paths: readonly string[]): Promise<PathPattern[]> {
  if (paths.length === 0) return [];
  // a last part that is not there yet is no matter to readlink -f
  const real = await outputLines(host, ['readlink', '-f', '--', ...paths]);
  const all = [...new Set([...paths, ...real])];
  const [rootReal = root] = await outputLines(host, ['readlink', '-f', '--', root]);
  // -p: a slash behind directories, and (-L) behind links to them, which stay as links
  const files = new Set(
    await outputLines(host, ['ls', '-1dpL', '--', ...all]).then((lines) => lines.filter((line) => !line.endsWith('/'))),
  );
  return all.flatMap((path) => {
    const below = new Set([relative(root, path), relative(rootReal, path)]);
    return [...below]
      .filter((step) => step !== '' && step !== '..' && !step.startsWith('../'))
      .map((step) => `/${step.split('/').map(literalPattern).join('/')}${files.has(path) ? '' : '/**'}`);
  });
}

/** Files that the machine swaps to, as the kernel lists them; absolute. */
export async function swapFiles(host: Host): Promise<readonly string[]> {
  const lines = await outputLines(host, ['cat', '/proc/swaps']);
  return lines.flatMap((line) => {
    const [path = '', type] = line.split(/\s+/);
    if (type !== 'file') return [];
    return [path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))];
  });
}

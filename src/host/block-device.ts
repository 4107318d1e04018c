// Which disks a path really lies on: two folders, two partitions or two volumes of one disk die together.
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/**
 * Names of the disks under `path` (`sda`, `nvme0n1`), through partitions, LVM, RAID and encryption; a file system without a
 * disk of its own (overlay, tmpfs, NFS) gives its mount's source or its device number. `path` need not exist yet: its nearest parent counts.
 * Throws when the system's tables cannot be read.
 */
export async function disksUnder(path: string): Promise<ReadonlySet<string>> {
  const existing = await nearestExisting(path);
  const source = mountSource(await readFile('/proc/self/mountinfo', 'utf8'), existing);
  // Some kernels name a /dev/root that is nowhere.
  const device = source?.startsWith('/dev/') ? await realpath(source).catch(() => null) : null;
  if (device !== null) return await disksOf(basename(device));
  if (source?.includes(':')) return new Set([source]);
  return new Set([`device ${(await stat(existing)).dev}`]);
}

async function nearestExisting(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    try {
      return await realpath(at);
    } catch (error) {
      if (at === dirname(at)) throw error;
    }
  }
}

/** Source of the mount that holds `path`, by the longest mount point; of equal ones the last one covers the others. */
export function mountSource(mountinfo: string, path: string): string | null {
  let best: { point: string; source: string } | null = null;
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const point = unescapeOctal(before.split(' ')[4] ?? '');
    const source = unescapeOctal(after.split(' ')[1] ?? '');
    if (point === '' || !(path === point || path.startsWith(point.endsWith('/') ? point : `${point}/`))) continue;
    if (best === null || point.length >= best.point.length) best = { point, source };
  }
  return best?.source ?? null;
}

/** mountinfo writes blanks as `\040`. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

async function disksOf(device: string): Promise<ReadonlySet<string>> {
  const folder = await realpath(join('/sys/class/block', device)).catch(() => null);
  if (folder === null) return new Set([device]);
  const slaves = await readdir(join(folder, 'slaves')).catch(() => []);
  if (slaves.length > 0) return new Set((await Promise.all(slaves.map(disksOf))).flatMap((disks) => [...disks]));
  // A partition's folder lies in its disk's.
  const isPartition = await stat(join(folder, 'partition')).then(
    () => true,
    () => false,
  );
  return new Set([isPartition ? basename(dirname(folder)) : device]);
}

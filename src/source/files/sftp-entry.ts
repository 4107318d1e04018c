// What SFTP says of an entry, in the words of the walk.
import { constants } from 'node:fs';
import type { SftpAttributes } from '../../host/sftp-session.ts';
import type { BytePath } from '../source.ts';
import { absolutePath, type Found } from './walk.ts';

const { S_IFMT, S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO } = constants;
const TYPES: ReadonlyMap<number, Found['type']> = new Map([
  [S_IFREG, 'file'],
  [S_IFDIR, 'directory'],
  [S_IFLNK, 'symlink'],
  [S_IFIFO, 'fifo'],
]);

export const bytePath = (root: string, path: BytePath): BytePath => absolutePath(root, path).toString('latin1');

/**
 * SFTP has neither ctime nor inode. In place of the ctime stand mode and owner, as a number far below any ctime: they are what else would
 * change it, so a file counts as unchanged when size, mtime, mode and owner are the same.
 */
export function describe(path: BytePath, { sizeBytes, mode, uid, gid, mtimeSeconds }: SftpAttributes): Found | null {
  const type = mode === null ? undefined : TYPES.get(mode & S_IFMT);
  if (mode === null || type === undefined) return null;
  const size = type === 'file' ? sizeBytes : 0;
  return {
    type,
    path,
    sizeBytes: size,
    occupiedBytes: size,
    mode: mode & 0o7777,
    uid,
    gid,
    mtimeNs: BigInt(mtimeSeconds) * 1_000_000_000n,
    ctimeNs: BigInt(1 + (mode & 0o7777)) + BigInt((uid * 31 + gid) % 1_000_000) * 4096n,
    inode: 0n,
    device: 0n,
    links: 1,
  };
}

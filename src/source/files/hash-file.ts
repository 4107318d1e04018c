// The hash of one large file of a local tree, read piece by piece beside everything else.
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open, readlink } from 'node:fs/promises';
import { absolutePath, type Found } from './walk.ts';

const PIECE_BYTES = 1024 * 1024;

/**
 * Hex SHA-256 of the content of a regular file; null when it is not, or does not stay while it is read, what the scan saw, or cannot be
 * read: whoever packs it then says so. Throws the signal's reason.
 */
export async function hashFile(root: string, found: Found, signal: AbortSignal): Promise<string | null> {
  const path = absolutePath(root, found.path);
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => null);
  if (file === null) return null;
  try {
    // not through a directory that was swapped for a symbolic link
    const place = await readlink(`/proc/self/fd/${file.fd}`, { encoding: 'buffer' }).catch(() => null);
    if (place === null || !place.equals(path)) return null;
    const content = createHash('sha256');
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    let at = 0;
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(piece, 0, PIECE_BYTES, at);
      if (bytesRead === 0) break;
      content.update(piece.subarray(0, bytesRead));
      at += bytesRead;
      if (at > found.sizeBytes) return null;
    }
    const now = await file.stat({ bigint: true });
    const same = now.isFile() && now.ino === found.inode && now.mtimeNs === found.mtimeNs && now.ctimeNs === found.ctimeNs;
    return same && at === found.sizeBytes ? content.digest('hex') : null;
  } catch {
    signal.throwIfAborted();
    return null;
  } finally {
    await file.close();
  }
}

// Files in stateDir that only coffre's user may read, whoever makes them first.
import { lchown, open, stat } from 'node:fs/promises';

/**
 * Makes an empty file of mode 0600, owned like `stateDir`; false when it exists. An existing file is not even opened: closing any
 * descriptor of a file drops the POSIX locks that this process holds on it, SQLite's among them.
 */
export async function createPrivateFile(path: string, stateDir: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx', 0o600);
    await file.close();
  } catch (error) {
    if (typeof error === 'object' && error !== null && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
  await ownAs(path, stateDir);
  return true;
}

/** The CLI is often root's, the daemon's user is not: what root makes in `stateDir` must stay usable by the daemon. */
export async function ownAs(path: string, stateDir: string): Promise<void> {
  if (process.geteuid?.() !== 0) return;
  const { uid, gid } = await stat(stateDir);
  await lchown(path, uid, gid);
}

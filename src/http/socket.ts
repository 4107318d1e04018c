// The Unix socket in the file system: whoever may open it is an administrator, so its rights come before its name.
import { chmod, chown, lstat, mkdir, mkdtemp, readFile, rename, rm, rmdir, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { asCoffreError, CoffreError } from '../errors.ts';

/** Root and this group administer coffre. */
const GROUP = 'coffre';
const MODE = 0o660;
/** What fits into sockaddr_un, its end included, in bytes. */
const LONGEST_PATH = 107;

export interface BoundSocket {
  /** Removes it, unless another daemon's stands there by now. */
  remove(): Promise<void>;
}

/**
 * Makes the socket at `path`, with `listen` binding it: in a private folder first, given its rights there, and then moved to its name. So
 * nobody ever meets it with other rights, and one that a dead daemon left is replaced in one step. Throws E_DAEMON_RUNNING when a daemon
 * answers there, E_CONFIG for a path that is too long, E_STATE for a folder or file that cannot be used.
 */
export async function bindSocket(path: string, listen: (path: string) => Promise<void>): Promise<BoundSocket> {
  const folder = dirname(path);
  let made: string | null = null;
  try {
    await checkFolder(folder);
    await checkPlace(path);
    made = await mkdtemp(join(folder, '.new-'));
    const first = join(made, 's');
    if (Buffer.byteLength(first) > LONGEST_PATH || Buffer.byteLength(path) > LONGEST_PATH)
      throw new CoffreError('E_CONFIG', `listen.socket ${path} is too long a path for a socket`, {
        hint: 'the kernel takes about 90 bytes',
      });
    await listen(first);
    await giveToGroup(first);
    await chmod(first, MODE);
    const { dev, ino } = await lstat(first);
    await rename(first, path);
    return {
      async remove() {
        const now = await lstat(path).catch(() => null);
        if (now?.dev === dev && now.ino === ino) await rm(path, { force: true });
      },
    };
  } catch (error) {
    const failure = asCoffreError(error, 'E_STATE', `cannot make the socket ${path}`);
    if (failure === error || failure.code !== 'E_STATE') throw failure;
    throw new CoffreError('E_STATE', failure.message, {
      cause: error,
      hint: `make ${folder}, the folder of listen.socket, one that coffre may write into, or give listen.socket another path`,
    });
  } finally {
    if (made !== null) await rmdir(made).catch(() => {});
  }
}

/** Whoever may rename in the folder decides who answers the administrators. */
async function checkFolder(folder: string): Promise<void> {
  await mkdir(folder, { mode: 0o750 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const { mode, uid } = await stat(folder);
  const own = process.geteuid?.() ?? 0;
  const isSticky = (mode & 0o1000) !== 0;
  if (uid !== 0 && uid !== own)
    throw new CoffreError('E_STATE', `${folder}, where the socket is to be, belongs to uid ${uid}`, {
      hint: 'make root or the user coffre runs as its owner',
    });
  if ((mode & 0o002) !== 0 && !isSticky)
    throw new CoffreError('E_STATE', `everybody may write into ${folder}, where the socket is to be`, { hint: `chmod o-w ${folder}` });
}

/** Throws unless nothing is there, or a socket at which nobody answers. */
async function checkPlace(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (found === null) return;
  if (!found.isSocket())
    throw new CoffreError('E_STATE', `${path} is there, and is no socket`, { hint: 'move it away, or give listen.socket another path' });
  const refusal = await new Promise<NodeJS.ErrnoException | null>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(null);
    });
    probe.once('error', resolve);
  });
  if (refusal === null) throw new CoffreError('E_DAEMON_RUNNING', `a daemon answers at ${path}`);
  if (refusal.code !== 'ECONNREFUSED' && refusal.code !== 'ENOENT') throw refusal;
}

/** Where the group exists and we may: root may, and its members. Else the socket is that of our own group. */
async function giveToGroup(path: string): Promise<void> {
  const groups = await readFile('/etc/group', 'utf8').catch(() => '');
  const gid = groups
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === GROUP)?.[2];
  if (gid === undefined) return;
  await chown(path, process.geteuid?.() ?? 0, Number(gid)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPERM') throw error;
  });
}

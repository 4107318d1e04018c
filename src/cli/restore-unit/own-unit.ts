// A restore unit of this command's own, for what it does as another user: the same process that systemd would start, with the same request.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, type Stats } from 'node:fs';
import type { Clock } from '../../clock.ts';
import type { Config } from '../../config/config.ts';
import { asCoffreError, CoffreError } from '../../errors.ts';
import { type Hearing, hearUnit } from '../../restore/ask-unit.ts';
import type { UnitRequest } from '../../restore/unit-protocol.ts';
import { FORMER_USER, type SystemUser, scratchUserOf, systemUsers } from './scratch-users.ts';

/** What it made is removed by then. */
const LEAVE_WITHIN_MS = 60_000;

/**
 * Has a unit of our own serve a request that goes into the scratch folder. Root's becomes the folder's owner, as systemd's does; another user's
 * stays who it is, and writes into his own folder. Throws what the unit says, E_RESTORE_UNIT, E_TARGET_WRITE, the signal's reason once
 * the unit has left nothing behind.
 */
export async function askOwnUnit<Result extends object>(
  config: Config,
  clock: Clock,
  request: UnitRequest,
  hearing: Hearing,
): Promise<Result> {
  const { signal } = hearing;
  signal.throwIfAborted();
  const uid = process.geteuid?.() ?? 0;
  makeScratch(config.restore, uid);
  const [script = ''] = process.argv.slice(1);
  const line = JSON.stringify(request);
  const command = ['--config', config.file, 'restore-unit', `0-${process.pid}-${uid}`, ...(uid === 0 ? [] : ['--as-owner', line])];
  const unit = spawn(process.execPath, [...process.execArgv, script, ...command], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(unit, 'close').catch((cause: unknown) => {
    throw asCoffreError(cause, 'E_RESTORE_UNIT', 'the restore unit does not start');
  });
  ended.catch(() => {});
  // the end of its input is for the unit the end of whoever asked; ^C in a terminal reaches it by itself
  const stop = (): void => void unit.stdin.end();
  signal.addEventListener('abort', stop, { once: true });
  unit.stdin.on('error', () => {});
  try {
    if (uid === 0) unit.stdin.write(`${line}\n`);
    return await hearUnit<Result>(unit.stdout, clock, hearing, LEAVE_WITHIN_MS);
  } finally {
    signal.removeEventListener('abort', stop);
    unit.stdin.end();
    await Promise.race([ended, clock.sleep(LEAVE_WITHIN_MS)]);
  }
}

/** Throws E_TARGET_WRITE. */
function makeScratch({ scratchDir: folder, scratchUser }: Config['restore'], uid: number): void {
  const there = lstatSync(folder, { throwIfNoEntry: false });
  const owner = uid === 0 ? scratchUserOf(scratchUser, systemUsers()) : null;
  try {
    if (there) {
      if (owner && scratchUser === null) takeFromFormer(folder, there, owner);
      return;
    }
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    chmodSync(folder, 0o700);
    if (owner) chownSync(folder, owner.uid, owner.gid);
  } catch (cause) {
    throw new CoffreError('E_TARGET_WRITE', `cannot make ${folder}: ${(cause as NodeJS.ErrnoException).code}`, {
      cause,
      hint: `restore.scratchDir names another folder; or mkdir -p ${folder}`,
    });
  }
}

/** What coffre makes in it. */
const OWN_FOLDERS = ['drills', 'exports', 'in-place'];

/**
 * Before, a folder that no package had made became the database server's user's. What is nothing but coffre's own is taken over from that user,
 * by chown(1), which goes through no link while it goes down.
 */
function takeFromFormer(folder: string, there: Stats, owner: SystemUser): void {
  const former = systemUsers().find(({ name }) => name === FORMER_USER);
  if (there.uid !== former?.uid || !there.isDirectory() || (there.mode & 0o077) !== 0) return;
  if (!readdirSync(folder).every((name) => OWN_FOLDERS.includes(name))) return;
  spawnSync('chown', ['-hR', '--from', String(former.uid), `${owner.uid}:${owner.gid}`, '--', folder], { stdio: 'ignore' });
}

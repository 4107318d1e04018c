// Tries a filesystem vault: writing, reading, the advisory lock, deleting, free space. `proven` means usable, never immutable.
import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import type { FilesystemVault } from './filesystem.ts';
import { EXPIRY_STEP, failed, ok, ProbeLog, type ProbeOptions, type ProbeResult, skipped } from './probe-report.ts';
import type { StoredObject } from './vault.ts';

/** Long enough to be tried on a busy machine, short enough to wait for its end. */
const LOCK_MS = 1_500;
/** Where even that was over before it could be tried: a disk that spins up, a share under load. */
const PATIENT_LOCK_MS = 10_000;
/** Less than this is as good as full: a few segments. */
const LEAST_FREE_BYTES = 256 * 1024 * 1024;

/** Leaves nothing behind. Never throws for what the vault does: the steps say it. */
export async function probeFilesystem(vault: FilesystemVault, clock: Clock, options: ProbeOptions, prefix: string): Promise<ProbeResult> {
  const log = new ProbeLog(options);
  const body = randomBytes(4096);
  let object: StoredObject | null = null;
  const stored = (): StoredObject => {
    if (object === null) throw new CoffreError('E_LOCK_UNPROVEN', 'nothing could be written');
    return object;
  };
  const write = async (lockMs: number): Promise<StoredObject> => {
    const key = `${prefix}${clock.nowMs()}-${randomBytes(6).toString('hex')}`;
    await log.intent(key, body.length);
    const written = await vault.put({ key, body, retainUntil: clock.now().add({ milliseconds: lockMs }) });
    await log.stored(written);
    return written;
  };
  /** Whether deleting was refused for the lock; `late`: there was none any more. */
  const tryLock = async (written: StoredObject): Promise<'refused' | 'deleted' | 'late'> => {
    try {
      await vault.deleteVersion(written.key, written.versionId);
    } catch (error) {
      if (error instanceof CoffreError && error.code === 'E_LOCKED') return 'refused';
      throw error;
    }
    await log.released({ ...written, lockedUntil: null });
    return written.lock !== null && written.lock.retainUntil.epochMilliseconds <= clock.nowMs() ? 'late' : 'deleted';
  };

  const folder = await log.step('folder', 'E_VAULT_UNREACHABLE', async () => {
    await vault.ready();
    return ok(vault.root);
  });
  if (folder.outcome !== 'ok') log.end(new CoffreError('E_VAULT_UNREACHABLE', folder.detail));
  await log.step('write', 'E_VAULT_IO', async () => {
    object = await write(LOCK_MS);
    return ok('written, synced, renamed, synced again');
  });
  if (object === null && !log.isEnded) log.end(new CoffreError('E_VAULT_IO', 'nothing could be written'));
  await log.step('read', 'E_VAULT_IO', async () => {
    const read = await buffer(await vault.get(stored().key, stored().versionId));
    return read.equals(body) ? ok('the same bytes come back') : failed('other bytes come back');
  });
  await log.step('advisory lock', 'E_LOCK_DROPPED', async () => {
    let outcome = await tryLock(stored());
    if (outcome === 'late') outcome = await tryLock(await write(PATIENT_LOCK_MS));
    if (outcome === 'refused') return ok('coffre refuses to delete; it stops nobody else');
    return outcome === 'late' ? skipped('this machine was too slow to try it') : failed('it did not keep coffre from deleting');
  });
  await log.step('space', 'E_VAULT_SPACE', async () => {
    const freeBytes = await vault.freeBytes();
    const words = `${(freeBytes / 1e9).toFixed(1)} GB free`;
    return freeBytes < LEAST_FREE_BYTES ? failed(words) : ok(words);
  });
  await log.step(EXPIRY_STEP, 'E_VAULT_IO', async () => {
    for (const object of log.left) {
      const leftMs = (object.lockedUntil?.epochMilliseconds ?? 0) - clock.nowMs();
      if (leftMs > 0) await clock.sleep(leftMs + 1, options.signal);
      await vault.deleteVersion(object.key, object.versionId);
      await log.released(object);
    }
    return ok('deleted after the lock ended');
  });
  return log.result({ multipartLock: null, canExtend: null });
}

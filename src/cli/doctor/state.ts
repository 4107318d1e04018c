// Doctor's look at the state directory: writable, private, with room.
import { mkdtemp, rmdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { CoffreError } from '../../errors.ts';
import { formatBytes } from '../output.ts';
import { type Check, redCheck } from './check.ts';

/** The catalog, the indexes and the journals of running backups want this much at least. */
const LEAST_FREE_BYTES = 1e9;
/** A file system that is fuller than this is one night from being full. */
const LEAST_FREE_SHARE = 0.05;

export async function checkState(stateDir: string): Promise<readonly Check[]> {
  const name = 'state directory';
  try {
    const { mode } = await stat(stateDir);
    const probe = await mkdtemp(join(stateDir, '.doctor-'));
    await rmdir(probe);
    if ((mode & 0o007) !== 0) {
      throw new CoffreError(
        'E_STATE',
        `${stateDir} is open to others (mode ${(mode & 0o7777).toString(8)}): indexes name every file of every shop`,
        {
          hint: `chmod 700 ${stateDir}`,
        },
      );
    }
  } catch (error) {
    if (error instanceof CoffreError) return [redCheck(name, error)];
    const code = (error as NodeJS.ErrnoException).code;
    return [redCheck(name, new CoffreError('E_STATE', `${stateDir} cannot be written: ${code}`))];
  }
  const space = await statfs(stateDir);
  const freeBytes = space.bavail * space.bsize;
  const share = space.blocks === 0 ? 1 : space.bavail / space.blocks;
  const detail = `${formatBytes(freeBytes)} free at ${stateDir} (${Math.round(share * 100)} %)`;
  const enough = freeBytes >= LEAST_FREE_BYTES && share >= LEAST_FREE_SHARE;
  return [
    { name, ok: true, detail: `${stateDir} is writable` },
    { name: 'disk space', ok: enough, detail, ...(!enough && { hint: 'free space there, or move stateDir' }) },
  ];
}

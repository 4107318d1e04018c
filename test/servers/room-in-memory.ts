// Where a test may keep files that need not outlive the machine: in memory, if there is room.
import { accessSync, constants, statfsSync } from 'node:fs';

/** A file system in memory, on any Linux. */
export const MEMORY = '/dev/shm';

/**
 * The folder, or null when it has no room for so many bytes: a server that flushes to a disk at each statement takes ten times as long,
 * and no test cuts the power. What is killed finds all it wrote.
 */
export function roomInMemory(folder: string, bytes: number): string | null {
  try {
    accessSync(folder, constants.W_OK);
    const { bavail, bsize } = statfsSync(folder);
    return Math.min(bavail * bsize, process.availableMemory()) >= bytes ? folder : null;
  } catch {
    return null;
  }
}

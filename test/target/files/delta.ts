// Restores snapshots taken by tests over what a directory holds: missing entries alone, then the tail.
import { localHost } from '../../../src/host/local.ts';
import type { BytePath, FileEntry } from '../../../src/source/source.ts';
import { DirectoryTarget } from '../../../src/target/files/directory-target.ts';
import { LandingDirectory, type LandingOptions } from '../../../src/target/files/landing-directory.ts';
import type { FilesTarget, WantedMember } from '../../../src/target/target.ts';
import type { TakenSnapshot } from '../../source/files/tree.ts';
import { bytes, each } from './restore.ts';

const NEVER = new AbortController().signal;

export interface DeltaRun {
  readonly differences: readonly string[];
  readonly landing: LandingDirectory['landing'];
  /** Segments that were handed over, the tail's not counted. */
  readonly segments: number;
  readonly wanted: readonly BytePath[];
}

export function landingDirectory(directory: string, options: Partial<LandingOptions> = {}): LandingDirectory {
  const fresh = (inside: string): FilesTarget => new DirectoryTarget(inside, localHost);
  return new LandingDirectory(directory, localHost, { fresh, overwrite: true, checksum: false, removeAllBut: null, ...options });
}

export interface DeltaTestOptions extends Partial<LandingOptions> {
  readonly id?: string;
  /** Ends the restore after so many segments, as a failing vault does. */
  readonly failAfter?: number;
  readonly unverified?: boolean;
}

/** What restoreFiles does with a target, without vaults. */
export async function restoreOver(snapshot: TakenSnapshot, directory: string, options: DeltaTestOptions = {}): Promise<DeltaRun> {
  const { id = 'snapshot', failAfter, unverified = false, ...landing } = options;
  const target = landingDirectory(directory, landing);
  try {
    const { everythingMissing } = await target.prepare(id);
    const members = new Map<string, WantedMember[]>();
    const missing = everythingMissing ? each<FileEntry>(snapshot.entries) : target.missing(each<FileEntry>(snapshot.entries));
    const wanted: BytePath[] = [];
    for await (const entry of missing) {
      const list = members.get(entry.segment as string) ?? [];
      list.push(entry.path);
      members.set(entry.segment as string, list);
      if (entry.type !== 'directory') wanted.push(entry.path);
    }
    let segments = 0;
    for (const segment of snapshot.segments) {
      const chosen = members.get(segment.id);
      if (!chosen) continue;
      if (segments === failAfter) throw new Error('cut off');
      if (segment.phase !== 'tail') segments += 1;
      await target.extract({ id: segment.id, phase: segment.phase, plaintext: bytes(segment.bytes), unverified }, chosen, NEVER);
    }
    const differences = await target.compare(each<FileEntry>(snapshot.entries));
    await target.close();
    return { differences, landing: target.landing, segments, wanted: wanted.sort() };
  } catch (error) {
    await target.close();
    throw error;
  }
}

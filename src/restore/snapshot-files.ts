// The files of a snapshot as its index lists them, from the first vault whose copy is right.
import type { SnapshotWithCopies } from '../catalog/snapshots.ts';
import { type BytePath, type FileEntry, isFileEntry } from '../source/source.ts';
import { openCopies, type RestoreDeps, readSnapshotIndex } from './execute.ts';

/** `matches` null: all of them. Nothing is fetched before the first is asked for. Throws vault and integrity codes. */
export async function* snapshotFiles(
  deps: RestoreDeps,
  snapshot: SnapshotWithCopies,
  matches: ((path: BytePath) => boolean) | null,
): AsyncGenerator<FileEntry> {
  const onProblem = (problem: Parameters<RestoreDeps['onProblem']>[1]): void => deps.onProblem(snapshot.id, problem);
  const copies = await openCopies(deps, snapshot, onProblem);
  for await (const entry of readSnapshotIndex(deps, copies, onProblem)) {
    if (isFileEntry(entry) && (matches === null || matches(entry.path))) yield entry;
  }
}

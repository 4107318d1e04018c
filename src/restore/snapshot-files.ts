// What a snapshot holds as its index lists it, files or tables, from the first vault whose copy is right.
import type { SnapshotWithCopies } from '../catalog/snapshots.ts';
import { type BytePath, type FileEntry, isFileEntry, type Warning } from '../source/source.ts';
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

/**
 * The tables of a database's snapshot, in lower case, those without rows too. `all` false: there are more, which stand in no index since they are
 * definitions alone (of the engine MERGE, say). Throws vault and integrity codes.
 */
export async function snapshotTables(
  deps: RestoreDeps,
  snapshot: SnapshotWithCopies,
): Promise<{ readonly names: ReadonlySet<string>; readonly all: boolean }> {
  const onProblem = (problem: Parameters<RestoreDeps['onProblem']>[1]): void => deps.onProblem(snapshot.id, problem);
  const copies = await openCopies(deps, snapshot, onProblem);
  const warnings = JSON.parse(snapshot.warnings) as Warning[];
  const names = new Set(warnings.filter(({ kind }) => kind === 'skipped').map(({ where }) => where.toLowerCase()));
  for await (const entry of readSnapshotIndex(deps, copies, onProblem)) {
    if (!isFileEntry(entry)) for (const table of Object.keys(entry.rows)) names.add(table.toLowerCase());
  }
  const { tables } = JSON.parse(snapshot.counts) as { readonly tables?: number };
  return { names, all: tables !== undefined && names.size >= tables };
}

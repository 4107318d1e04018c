// Exports a shop: its files and its database into one plain archive, both read and checked as a restore does.
import { Temporal } from 'temporal-polyfill';
import type { SnapshotWithCopies } from '../catalog/snapshots.ts';
import type { ExportedArchive, ExportTarget } from '../target/export.ts';
import { restoreDatabase } from './database.ts';
import { type RestoreDeps, type RestoredSource, restoreFiles } from './execute.ts';
import { README_NAMES, type ReadmeFacts, readmeEn, readmeFr } from './export-readme.ts';
import { restoreTogether } from './together.ts';

export interface ExportedShop extends ExportedArchive {
  readonly snapshots: readonly { readonly snapshot: string; readonly source: string; readonly asOf: string }[];
  /** Copies that were refused although the export went on with another. */
  readonly problems: RestoredSource['problems'];
  readonly tables: number;
  readonly rows: number;
}

/**
 * Of each source one snapshot, at most: files, database. Until it returns there is nothing under the archive's name. Closes the target. Throws
 * target, vault and integrity codes, and the signal's reason.
 */
export async function exportShop(
  deps: RestoreDeps,
  shop: string,
  snapshots: readonly SnapshotWithCopies[],
  target: ExportTarget,
  compressed: boolean,
): Promise<ExportedShop> {
  try {
    const facts = readmeFacts(deps, shop, snapshots, compressed);
    await target.addText(README_NAMES.fr, readmeFr(facts));
    await target.addText(README_NAMES.en, readmeEn(facts));
    const jobs = snapshots.map((snapshot) => ({
      ...{ source: snapshot.source, totalBytes: snapshot.plainBytes },
      run: ({ onReady, ...own }: { signal: AbortSignal; onReady: () => void; onProgress: RestoreDeps['onProgress'] }) => {
        const ofSource = { ...deps, ...own, onPrepared: onReady };
        return snapshot.source === 'database'
          ? restoreDatabase(ofSource, snapshot, target.database)
          : restoreFiles(ofSource, snapshot, target.files, null);
      },
    }));
    const restored = await restoreTogether(jobs, deps.signal, deps.onProgress);
    const archive = await target.finish({
      files: snapshots.some(({ source }) => source === 'files'),
      database: snapshots.some(({ source }) => source === 'database'),
    });
    return {
      ...archive,
      snapshots: restored.map(({ snapshot, source, asOf }) => ({ snapshot, source, asOf })),
      problems: restored.flatMap(({ problems }) => problems),
      tables: restored.reduce((sum, { tables = 0 }) => sum + tables, 0),
      rows: restored.reduce((sum, { rows = 0 }) => sum + rows, 0),
    };
  } finally {
    await target.close();
  }
}

const instantOf = (epochMs: number): string => Temporal.Instant.fromEpochMilliseconds(epochMs).round('second').toString();

function readmeFacts(deps: RestoreDeps, shop: string, snapshots: readonly SnapshotWithCopies[], compressed: boolean): ReadmeFacts {
  const of = (kind: SnapshotWithCopies['source']) => {
    const found = snapshots.find(({ source }) => source === kind);
    if (found === undefined) return null;
    const counts = JSON.parse(found.counts) as { readonly files?: number; readonly tables?: number; readonly rows?: number };
    return { ...counts, snapshot: found.id, asOf: instantOf(found.asOf) };
  };
  const files = of('files');
  const database = of('database');
  return {
    ...{ shop, compressed, madeAt: instantOf(deps.clock.nowMs()) },
    files: files && { snapshot: files.snapshot, asOf: files.asOf, count: files.files ?? 0 },
    database: database && {
      snapshot: database.snapshot,
      asOf: database.asOf,
      tables: database.tables ?? 0,
      rows: database.rows ?? 0,
      server: null,
    },
    incomplete: snapshots.some(({ complete }) => complete !== 1),
  };
}

// The files half of `coffre restore`: what of a directory that is there may be written over, and how that is told.
import type { SnapshotWithCopies } from '../../catalog/snapshots.ts';
import type { ShopConfig } from '../../config/config.ts';
import { CoffreError } from '../../errors.ts';
import type { RestoredSource } from '../../restore/execute.ts';
import type { BytePath, FileEntry } from '../../source/source.ts';
import { withoutPrivileges } from '../../target/privileges.ts';
import type { FilesPreview, FilesTargetOptions, LandingFiles } from '../adapters.ts';
import { formatBytes } from '../output.ts';
import { type DatabaseOptions, type RestoredHere, targetHost } from './database.ts';

export interface FilesOptions extends Pick<DatabaseOptions, 'toHost' | 'overwrite' | 'keepOld'> {
  readonly toDir?: string;
  readonly delete?: boolean;
  readonly checksum?: boolean;
  readonly keepSetuid?: boolean;
}

/** Throws E_USAGE for options that have nothing to act on. */
export function checkFilesOptions(options: FilesOptions): void {
  if (options.keepSetuid && options.toDir === undefined)
    throw new CoffreError('E_USAGE', '--keep-setuid is about files: it needs --to-dir');
  if (options.delete && options.toDir === undefined) throw new CoffreError('E_USAGE', '--delete is about files: it needs --to-dir');
  if (options.checksum && options.toDir === undefined) throw new CoffreError('E_USAGE', '--checksum is about files: it needs --to-dir');
  if (options.delete && !options.overwrite) {
    throw new CoffreError('E_USAGE', '--delete needs --overwrite: nothing else writes into a directory that holds something');
  }
}

/** How a directory is opened. Throws E_USAGE for a removal that would take away more than the snapshot can say. */
export function filesTargetOptions(
  shop: ShopConfig,
  options: FilesOptions,
  snapshot: SnapshotWithCopies,
  chosen: ((path: BytePath) => boolean) | null,
): FilesTargetOptions {
  if (options.delete && snapshot.source === 'server') {
    throw new CoffreError('E_USAGE', '--delete is for a shop’s files, not for a whole machine', {
      hint: 'restore into a directory that is empty',
    });
  }
  if (options.delete && snapshot.complete !== 1) {
    throw new CoffreError(
      'E_USAGE',
      `snapshot ${snapshot.id} is incomplete: --delete would remove what could not be read when it was made`,
      {
        hint: `without --delete nothing is removed; coffre snapshots ${shop.name} lists the complete ones`,
      },
    );
  }
  return {
    host: targetHost(shop, options),
    overwrite: options.overwrite === true,
    delete: options.delete === true,
    checksum: options.checksum === true,
    chosen,
    keepOld: options.keepOld === true,
    // a machine without its setuid programs is none
    dropsPrivileges: options.keepSetuid !== true && snapshot.source !== 'server',
    files: shop.files,
  };
}

/** With what the target did with what was there. */
export function landedFiles(restored: RestoredSource, target: LandingFiles): RestoredHere {
  const landing = target.landing ?? { written: restored.files ?? 0, unchanged: 0, resumed: 0, deleted: 0 };
  return { ...restored, ...landing, ...(target.notes?.length ? { warnings: target.notes } : {}) };
}

const files = (count: number): string => `${count} ${count === 1 ? 'file' : 'files'}`;

/** The column that says what was restored. */
export function describeFiles({ files: all = 0, written = all, unchanged = 0, resumed = 0 }: RestoredHere): string {
  const rest = [unchanged > 0 ? `${unchanged} unchanged` : '', resumed > 0 ? `${resumed} there from before` : ''].filter(
    (text) => text !== '',
  );
  return rest.length === 0 ? files(written) : `${files(written)} (${rest.join(', ')})`;
}

/** Lines for people, after the table of what was restored. */
export function describeRemoved({ deleted = 0 }: RestoredHere): string[] {
  return deleted > 0 ? [`removed: ${deleted} files and directories that the snapshot does not have`] : [];
}

/** Lines for people: what the snapshot has and the tree does not. */
export function describeWithheld({ withheld }: RestoredHere): string[] {
  if (!withheld) return [];
  const parts = [
    withheld.bits > 0 ? `the setuid and setgid bits of ${files(withheld.bits)}` : '',
    withheld.devices > 0 ? `${withheld.devices} device nodes` : '',
  ].filter((text) => text !== '');
  return [`left out: ${parts.join(', ')}; --keep-setuid brings them back`];
}

/** What a restore would do to the directory as it is now; null: its target cannot say. */
export async function previewFiles(
  target: LandingFiles,
  snapshot: SnapshotWithCopies,
  entries: AsyncIterable<FileEntry>,
): Promise<FilesPreview | null> {
  return target.preview ? await target.preview(snapshot.id, target.dropsPrivileges ? withoutPrivileges(entries) : entries) : null;
}

export function describePreview(directory: string, { exists, allowed, written, bytes, unchanged, deleted }: FilesPreview): string {
  if (!exists) return `${directory} does not exist yet: it would be made`;
  if (written === null || bytes === null) return `${directory} is empty: everything would be written`;
  const removed = deleted > 0 ? `, and would remove ${deleted} files and directories` : '';
  const what = `would write ${files(written)} (${formatBytes(bytes)}) into ${directory}, would leave ${unchanged} unchanged${removed}`;
  return allowed ? what : `would be refused without --overwrite; with it ${what}`;
}

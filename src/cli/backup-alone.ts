// A backup of a shop in this process: its sources one after the other, and the checkpoint when one is due.
import type { CheckpointResult } from '../backup/checkpoint.ts';
import { prepareNewVaults } from '../backup/first-use.ts';
import { MemoryBudget } from '../backup/memory.ts';
import { type BackupDeps, backupSource } from '../backup/run.ts';
import { type SnapshotResult, shortfallOf } from '../backup/snapshot-result.ts';
import { openCatalog } from '../catalog/open.ts';
import type { ShopConfig } from '../config/config.ts';
import { asCoffreError, type CoffreError, type ErrorCode } from '../errors.ts';
import type { SourceKind } from '../source/source.ts';
import { afterRun } from './checkpoint.ts';
import type { CliContext, Invocation } from './context.ts';
import { operatorName } from './operator.ts';
import { toolVersions } from './tools.ts';

/** What is to be backed up. */
export interface BackupOrder {
  readonly shop: ShopConfig;
  readonly sources: readonly SourceKind[];
  readonly full: boolean;
  /** The state before a restore in place. */
  readonly safety: boolean;
}

/** CLI.md: the document of `backup --json`. */
export interface BackupDocument {
  readonly shop: string;
  readonly snapshots: readonly SnapshotResult[];
  /** Sources without a snapshot, or with one that is not good. */
  readonly failures: readonly { readonly source: SourceKind; readonly code: ErrorCode; readonly message: string; readonly hint: string }[];
  /** null: none was due. */
  readonly checkpoint: CheckpointResult | null;
}

/** What one source's failure leaves of the others is in the document. Throws E_STATE…, E_CATALOG. */
export async function backupAlone(context: CliContext, invocation: Invocation, order: BackupOrder): Promise<BackupDocument> {
  const config = invocation.config();
  const { shop, sources, full, safety } = order;
  const who = operatorName(context.io);
  const catalog = await openCatalog(config.stateDir);
  const bar = invocation.progress(shop.name);
  const deps: BackupDeps = {
    config,
    catalog,
    clock: context.clock,
    openVault: context.adapters.openVault,
    openSource: context.adapters.openSource,
    log: invocation.log,
    tools: await toolVersions(),
    // one run at a time, whatever the daemon may do
    memory: MemoryBudget.forProcess(config.limits.memoryBytes, 1),
    onProgress: (progress) => {
      bar.title(`${progress.shop} ${progress.source}`);
      bar.update({
        doneBytes: progress.plainBytes,
        carriedBytes: progress.carriedBytes,
        totalBytes: progress.expectedBytes,
        totalIsGuess: !progress.expectedExactly,
        storedBytes: progress.storedBytes,
        current: progress.current,
        ...(progress.source === 'database' ? {} : { doneFiles: progress.files }),
      });
    },
  };
  await prepareNewVaults(context.adapters, config, catalog, shop.vaults);
  const snapshots: SnapshotResult[] = [];
  let checkpoint: CheckpointResult | null = null;
  const failures: { source: SourceKind; error: CoffreError }[] = [];
  try {
    // One source's failure does not cost the others their snapshot.
    for (const source of sources) {
      invocation.signal.throwIfAborted();
      try {
        const result = await backupSource(deps, {
          shop,
          source,
          full,
          purpose: safety ? 'safety' : undefined,
          who,
          signal: invocation.signal,
        });
        snapshots.push(result);
        const shortfall = shortfallOf(shop.name, result);
        if (shortfall) failures.push({ source, error: shortfall });
      } catch (error) {
        failures.push({ source, error: asCoffreError(error) });
      }
    }
    const vaults = [...new Set(snapshots.flatMap((snapshot) => snapshot.vaults))];
    checkpoint = await afterRun(context, config, catalog, invocation.log, vaults, invocation.signal);
  } finally {
    bar.stop();
    await catalog.close();
  }
  return {
    shop: shop.name,
    snapshots,
    failures: failures.map(({ source, error }) => ({ source, code: error.code, message: error.message, hint: error.hint })),
    checkpoint,
  };
}

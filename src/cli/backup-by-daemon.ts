// A backup of a shop by the daemon: a run for each source, and the same document as alone.
import type { CheckpointResult } from '../backup/checkpoint.ts';
import { type SnapshotResult, shortfallOf } from '../backup/snapshot-result.ts';
import type { ShopConfig } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import type { ShopDocument } from '../http/shops.ts';
import type { SourceKind } from '../source/source.ts';
import type { BackupDocument } from './backup-alone.ts';
import type { CliContext, Invocation } from './context.ts';
import type { DaemonClient } from './daemon/client.ts';
import { failureOf, olderConfiguration, perform } from './daemon/runs.ts';

/** What is to be backed up. */
export interface DaemonOrder {
  readonly shop: string;
  readonly sources: readonly SourceKind[];
  readonly full: boolean;
  /** The state before a restore in place. */
  readonly safety: boolean;
  /** As the configuration here has it, which the daemon's may not have yet; null: it is not here. */
  readonly declared: ShopConfig | null;
}

/** What one source's failure leaves of the others is in the document. Throws E_DAEMON_…, E_DETACHED. */
export async function backupByDaemon(
  daemon: DaemonClient,
  context: Pick<CliContext, 'clock'>,
  invocation: Invocation,
  { shop, sources, full, safety, declared }: DaemonOrder,
): Promise<BackupDocument> {
  const tasks = sources.map((source) => ({ kind: 'backup', shop, source, full, ...(safety ? { safety } : {}) }) as const);
  const snapshots: SnapshotResult[] = [];
  const failures: BackupDocument['failures'][number][] = [];
  let checkpoint: CheckpointResult | null = null;
  for (const { task, detail, error } of await perform(daemon, invocation, context.clock, tasks)) {
    const result = detail as (SnapshotResult & { readonly checkpoint?: CheckpointResult | null }) | null;
    // a shortfall is worked out of the result, as alone: what the run keeps of it are code, message and hint
    let failure = result === null ? failureOf({ task, error }) : shortfallOf(shop, result);
    if (failure?.code === 'E_CONFIG' && declared && declared[task.source] !== null) failure = olderConfiguration(failure);
    if (failure) failures.push({ source: task.source, code: failure.code, message: failure.message, hint: failure.hint });
    if (result === null) continue;
    const { checkpoint: written = null, ...snapshot } = result;
    snapshots.push(snapshot);
    checkpoint = written ?? checkpoint;
  }
  return { shop, snapshots, failures, checkpoint };
}

/** The same of a daemon on another machine, which says itself what the shop has. `source` null: all of it. Throws E_UNKNOWN_SHOP too. */
export async function backupFromAfar(
  context: Pick<CliContext, 'clock'>,
  invocation: Invocation,
  { shop, source, full, safety }: Omit<DaemonOrder, 'sources' | 'declared'> & { readonly source: SourceKind | null },
): Promise<BackupDocument> {
  const daemon = await invocation.daemon();
  if (daemon === null) throw new CoffreError('E_INTERNAL', 'the daemon of another machine was not asked');
  const known = (await daemon.read(`/shops/${encodeURIComponent(shop)}`, invocation.signal)) as Pick<ShopDocument, 'sources'>;
  if (known.sources.length === 0) throw new CoffreError('E_UNKNOWN_SHOP', `${shop} is not declared any more: there is nothing to back up`);
  return await backupByDaemon(daemon, context, invocation, {
    ...{ shop, sources: source === null ? known.sources : [source], full, safety },
    declared: null,
  });
}

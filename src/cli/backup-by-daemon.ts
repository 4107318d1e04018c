// A backup of a shop by the daemon: a run for each source, and the same document as alone.
import type { CheckpointResult } from '../backup/checkpoint.ts';
import { type SnapshotResult, shortfallOf } from '../backup/snapshot-result.ts';
import type { BackupDocument, BackupOrder } from './backup-alone.ts';
import type { CliContext, Invocation } from './context.ts';
import type { DaemonClient } from './daemon-client.ts';
import { failureOf, perform } from './daemon-runs.ts';

/** What one source's failure leaves of the others is in the document. Throws E_DAEMON_…, E_DETACHED. */
export async function backupByDaemon(
  daemon: DaemonClient,
  context: Pick<CliContext, 'clock'>,
  invocation: Invocation,
  { shop, sources, full }: BackupOrder,
): Promise<BackupDocument> {
  const tasks = sources.map((source) => ({ kind: 'backup', shop: shop.name, source, full }) as const);
  const snapshots: SnapshotResult[] = [];
  const failures: BackupDocument['failures'][number][] = [];
  let checkpoint: CheckpointResult | null = null;
  for (const { task, detail, error } of await perform(daemon, invocation, context.clock, tasks)) {
    const result = detail as (SnapshotResult & { readonly checkpoint?: CheckpointResult | null }) | null;
    // a shortfall is worked out of the result, as alone: what the run keeps of it are code, message and hint
    const failure = result === null ? failureOf({ task, error }) : shortfallOf(shop.name, result);
    if (failure) failures.push({ source: task.source, code: failure.code, message: failure.message, hint: failure.hint });
    if (result === null) continue;
    const { checkpoint: written = null, ...snapshot } = result;
    snapshots.push(snapshot);
    checkpoint = written ?? checkpoint;
  }
  return { shop: shop.name, snapshots, failures, checkpoint };
}

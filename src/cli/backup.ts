// `coffre backup`: takes snapshots of a shop now.
import { type Command, Option } from 'commander';
import { Temporal } from 'temporal-polyfill';
import type { CheckpointResult } from '../backup/checkpoint.ts';
import { MemoryBudget } from '../backup/memory.ts';
import { type BackupDeps, backupSource } from '../backup/run.ts';
import { type SnapshotResult, shortfallOf } from '../backup/snapshot-result.ts';
import { openCatalog } from '../catalog/open.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import type { SourceKind } from '../source/source.ts';
import { afterRun } from './checkpoint.ts';
import { action, type CliContext } from './context.ts';
import { prepareNewVaults } from './first-use.ts';
import { formatBytes, formatDuration, formatInstant, table } from './output.ts';
import { findShop } from './shop.ts';
import { toolVersions } from './tools.ts';

interface BackupOptions {
  readonly source?: SourceKind;
  readonly full?: boolean;
}

export function registerBackup(program: Command, context: CliContext): void {
  program
    .command('backup')
    .description('take a snapshot of each source of a shop now; what did not change is not stored again')
    .argument('<shop>', 'shop to back up')
    .addOption(
      new Option('--source <source>', 'only this source (default: all that the shop has); server is its whole machine').choices([
        'database',
        'files',
        'server',
      ]),
    )
    .option('--full', 'read every file anew, and store it anew too unless the plan says full: reread (a database is always read whole)')
    .addHelpText('after', '\nExample:\n  coffre backup dupont\n  coffre --json backup dupont --source database\n')
    .action(
      action(context, async (invocation, shopName: string, options: BackupOptions) => {
        const config = invocation.config();
        const shop = findShop(config, shopName);
        const sources = options.source ? [options.source] : sourcesOf(shop);
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
              const result = await backupSource(deps, { shop, source, full: options.full === true, signal: invocation.signal });
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
        const first = failures[0]?.error;
        return {
          document: {
            shop: shop.name,
            snapshots,
            failures: failures.map(({ source, error }) => ({ source, code: error.code, message: error.message, hint: error.hint })),
            checkpoint,
          },
          text: [describe(config, snapshots, failures), ...(checkpoint?.failed ?? []).map(notWritten)].join('\n'),
          ...(first ? { failure: first } : {}),
        };
      }),
    );
}

function notWritten({ vault, message, code }: CheckpointResult['failed'][number]): string {
  return `warning: no checkpoint of the state in ${vault}: ${message} [${code}]`;
}

/** The sources a shop declares. Throws E_CONFIG when it has none. */
export function sourcesOf(shop: ShopConfig): SourceKind[] {
  const sources: SourceKind[] = [];
  if (shop.database) sources.push('database');
  if (shop.files) sources.push('files');
  if (shop.server) sources.push('server');
  if (sources.length === 0) throw new CoffreError('E_CONFIG', `shop ${shop.name} declares neither database nor files`);
  return sources;
}

function describe(
  config: Config,
  snapshots: readonly SnapshotResult[],
  failures: readonly { source: SourceKind; error: CoffreError }[],
): string {
  const rows = snapshots.map((snapshot) => [
    snapshot.source,
    snapshot.id,
    formatBytes(snapshot.plainBytes),
    formatBytes(snapshot.newBytes),
    `${snapshot.segments} (${snapshot.reusedSegments} reused)`,
    snapshot.vaults.join(', '),
    `${snapshot.lock.mode} until ${formatInstant(Temporal.Instant.from(snapshot.lock.retainUntil), config.timezone)}`,
    formatDuration(snapshot.durationMs),
  ]);
  const lines =
    rows.length === 0
      ? []
      : [
          table(
            ['source', 'snapshot', 'size', 'stored now', 'segments', 'vaults', 'locked', 'took'].map((title) => ({ title })),
            rows,
          ),
        ];
  for (const snapshot of snapshots) {
    for (const note of snapshot.notes) lines.push(`note: ${snapshot.source}: ${note}`);
    for (const warning of snapshot.warnings.slice(0, 20))
      lines.push(
        `warning: ${snapshot.source}: ${warning.where}: ${warning.message}${warning.kind === 'other' ? '' : ` (${warning.kind})`}`,
      );
    if (snapshot.warnings.length > 20) lines.push(`… and ${snapshot.warnings.length - 20} more: coffre show ${snapshot.id}`);
  }
  for (const { source, error } of failures.slice(1)) lines.push(`failed: ${source}: ${error.message} [${error.code}]`);
  if (config.encryption === 'none') lines.push('note: encryption is none: whoever reads the vault reads the shop');
  return lines.join('\n');
}

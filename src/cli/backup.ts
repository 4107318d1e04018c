// `coffre backup`: takes snapshots of a shop now, through the daemon when it runs.
import { type Command, Option } from 'commander';
import { Temporal } from 'temporal-polyfill';
import type { CheckpointResult } from '../backup/checkpoint.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import type { SourceKind } from '../source/source.ts';
import type { BackupDocument } from './backup-alone.ts';
import { action, type CliContext } from './context.ts';
import { formatBytes, formatDuration, formatInstant, type Result, table } from './output.ts';
import { findShop } from './shop.ts';

interface BackupOptions {
  readonly source?: SourceKind;
  readonly full?: boolean;
  readonly safety?: boolean;
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
    .option(
      '--safety',
      'the state before a repair, as a restore in place takes it: kept as any other, and never taken for the newest good one (status, restores, retention)',
    )
    .addHelpText('after', '\nExample:\n  coffre backup dupont\n  coffre --json backup dupont --source database\n')
    .action(
      action(context, async (invocation, shopName: string, options: BackupOptions) => {
        const [full, safety] = [options.full === true, options.safety === true];
        if (invocation.isRemote) {
          const { backupFromAfar } = await import('./backup-by-daemon.ts');
          const document = await backupFromAfar(context, invocation, { shop: shopName, source: options.source ?? null, full, safety });
          return backupResult(document, { timezone: invocation.timezone(), encryption: null });
        }
        const config = invocation.config();
        const shop = findShop(config, shopName);
        const sources = options.source ? [options.source] : sourcesOf(shop);
        const daemon = await invocation.daemon();
        if (daemon === null) {
          const { backupAlone } = await import('./backup-alone.ts');
          return backupResult(await backupAlone(context, invocation, { shop, sources, full, safety }), config);
        }
        const { backupByDaemon } = await import('./backup-by-daemon.ts');
        return backupResult(
          await backupByDaemon(daemon, context, invocation, { shop: shopName, sources, full, safety, declared: shop }),
          config,
        );
      }),
    );
}

/** What of the configuration the text needs; from another machine it is not known. */
type Said = Pick<Config, 'timezone'> & { readonly encryption: Config['encryption'] | null };

function backupResult(document: BackupDocument, config: Said): Result {
  const [first] = document.failures;
  return {
    document,
    text: [describe(config, document), ...(document.checkpoint?.failed ?? []).map(notWritten)].join('\n'),
    ...(first ? { failure: new CoffreError(first.code, first.message, { hint: first.hint }) } : {}),
  };
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

function describe(config: Said, { snapshots, failures }: BackupDocument): string {
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
  for (const { source, message, code } of failures.slice(1)) lines.push(`failed: ${source}: ${message} [${code}]`);
  if (config.encryption === 'none') lines.push('note: encryption is none: whoever reads the vault reads the shop');
  return lines.join('\n');
}

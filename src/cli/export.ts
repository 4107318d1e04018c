// `coffre export`: one plain archive of a shop for a client who leaves. Runs in the restore unit; with --url it is downloaded from the daemon.
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type Catalog, openCatalog } from '../catalog/open.ts';
import { finishRun, startRun } from '../catalog/runs.ts';
import { getSnapshot, listSnapshots, type SnapshotWithCopies } from '../catalog/snapshots.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { chooseSnapshot } from '../restore/choose.ts';
import type { RestoreDeps } from '../restore/execute.ts';
import { exportShop } from '../restore/export.ts';
import type { Problem } from '../restore/fetch.ts';
import { shopIdentities, trustedKeys, vaultOrder } from '../restore/keys.ts';
import { checkPast } from '../restore/request-preview.ts';
import { pinSnapshot, recordDamage } from '../restore/restore-run.ts';
import { newId } from '../segment/id.ts';
import type { Vault } from '../vault/vault.ts';
import type { RestoreAdapters } from './adapters.ts';
import { action, type CliContext, type Invocation } from './context.ts';
import type { ExportCommandOptions } from './export-download.ts';
import { parseInstant } from './instant.ts';
import { operatorName } from './operator.ts';
import { formatBytes, formatDuration, formatInstant } from './output.ts';
import { findShop } from './shop.ts';

export function registerExport(program: Command, context: CliContext): void {
  program
    .command('export')
    .description('one plain archive of a shop, files and database, for a client who leaves: readable with tar, sha256sum and mariadb alone')
    .argument('<shop>', 'shop to export')
    .requiredOption('--to <file>', 'the archive to make; .tar, or .tar.zst for a compressed one; nothing may be there')
    .option('--at <time>', 'as it was at this time (RFC 3339, or a date and time of the configured zone)')
    .option(
      '--snapshot <id>',
      'exactly this snapshot; may be given twice, for files and database',
      (id: string, all: string[]) => [...all, id],
      [],
    )
    .option('--from <vault>', 'read from this vault alone')
    .addHelpText(
      'after',
      '\nExample:\n' +
        '  coffre export dupont --to /srv/exports/dupont.tar.zst\n' +
        '  coffre export dupont --at 2026-11-20T04:00 --to /srv/exports/dupont.tar\n' +
        '\nOf a daemon elsewhere, which makes it; cut off, the same command goes on with the download:\n' +
        '  coffre --url https://backup.example.net export dupont --to dupont.tar.zst\n',
    )
    .action(
      action(context, async (invocation, shop: string, options: ExportCommandOptions) => {
        if (invocation.isRemote) return await (await import('./export-download.ts')).downloadExport(context, invocation, shop, options);
        const { restore } = context;
        return restore.here ? await exportHere(context, invocation, restore.adapters, shop, options) : restore.become();
      }),
    );
}

/** By the name alone. Throws E_USAGE for one that promises something else than what would be in it. */
export function isCompressed(file: string): boolean {
  if (file.endsWith('.tar.zst')) return true;
  if (file.endsWith('.tar')) return false;
  throw new CoffreError('E_USAGE', `--to ${file}: an export is a tar archive`, {
    hint: 'give it a name that ends with .tar, or with .tar.zst for a compressed one',
  });
}

async function exportHere(
  context: CliContext,
  invocation: Invocation,
  adapters: RestoreAdapters,
  shopName: string,
  options: ExportCommandOptions,
) {
  const config = invocation.config();
  const { clock } = context;
  const shop = findShop(config, shopName);
  const file = resolve(options.to);
  const compressed = isCompressed(file);
  const startedMs = clock.monotonicMs();
  await using catalog = await openCatalog(config.stateDir);
  const snapshots = await chooseForExport(config, catalog, shop, options, clock.nowMs());
  const target = await adapters.openExport({ file, madeAtS: Math.floor(clock.nowMs() / 1000) });
  const runId = newId(clock);
  const vaults: Vault[] = [];
  const problems: (Problem & { readonly snapshot: string })[] = [];
  const bar = invocation.progress(`export ${shop.name}`);
  try {
    await startRun(catalog, clock, { id: runId, kind: 'export', shop: shop.name, source: null, who: operatorName(context.io) });
    try {
      for (const { id } of snapshots) await pinSnapshot(catalog, runId, id);
      const identities = await shopIdentities(config, shop.name);
      const trusted = await trustedKeys(config);
      for (const vault of vaultOrder(config, shop, options.from ?? null)) vaults.push(await adapters.openVault(vault));
      const deps: RestoreDeps = {
        ...{ catalog, clock, vaults, identities, trusted, signal: invocation.signal },
        onProgress: (progress) => bar.update(progress),
        onProblem: (snapshot, problem) => problems.push({ snapshot, ...problem }),
      };
      const exported = await exportShop(deps, shop.name, snapshots, target, compressed);
      const document = { shop: shop.name, file, durationMs: Math.round(clock.monotonicMs() - startedMs), ...exported };
      await finishRun(catalog, clock, runId, 'done', null, { ...document, bytes: exported.sizeBytes });
      return { document, text: describe(document, snapshots) };
    } catch (error) {
      const failure = asCoffreError(error);
      await finishRun(catalog, clock, runId, 'failed', failure).catch(() => {});
      throw failure;
    }
  } finally {
    await target.close();
    for (const vault of vaults) await vault.close().catch(() => {});
    for (const problem of problems) await recordDamage(catalog, clock, problem).catch(() => {});
  }
}

/** Of files and database those that the shop has a snapshot of. Throws E_USAGE, E_UNKNOWN_SNAPSHOT, E_UNKNOWN_VAULT. */
export async function chooseForExport(
  config: Config,
  catalog: Catalog,
  shop: ShopConfig,
  options: Pick<ExportCommandOptions, 'at' | 'from' | 'snapshot'>,
  nowMs: number,
): Promise<SnapshotWithCopies[]> {
  const from = options.from ?? null;
  if (from !== null && !shop.vaults.includes(from)) {
    throw new CoffreError('E_UNKNOWN_VAULT', `shop ${shop.name} has no vault ${JSON.stringify(from)}`, {
      hint: `its vaults: ${shop.vaults.join(', ')}`,
    });
  }
  if (options.snapshot.length > 0) {
    if (options.at !== undefined) throw new CoffreError('E_USAGE', '--at and --snapshot exclude each other');
    const named: SnapshotWithCopies[] = [];
    for (const id of options.snapshot) {
      const snapshot = await getSnapshot(catalog, id);
      if (snapshot.shop !== shop.name) throw new CoffreError('E_UNKNOWN_SNAPSHOT', `shop ${shop.name} has no snapshot ${id}`);
      if (snapshot.source === 'server') throw new CoffreError('E_USAGE', `snapshot ${id} is of a whole machine: an export is of a shop`);
      if (named.some(({ source }) => source === snapshot.source))
        throw new CoffreError('E_USAGE', `two snapshots of ${snapshot.source} are named`);
      named.push(snapshot);
    }
    return named.sort((a, b) => order(a) - order(b));
  }
  const at = options.at === undefined ? null : parseInstant(options.at, config.timezone);
  checkPast(at, nowMs, (instant) => formatInstant(instant, config.timezone));
  const snapshots = await listSnapshots(catalog, shop.name);
  const sources = (['files', 'database'] as const).filter(
    (source) => shop[source] !== null || snapshots.some((one) => one.source === source),
  );
  if (sources.length === 0) throw new CoffreError('E_UNKNOWN_SNAPSHOT', `shop ${shop.name} has neither files nor a database`);
  const tell = (instant: Parameters<typeof formatInstant>[0]): string => formatInstant(instant, config.timezone);
  return sources.map((source) => chooseSnapshot(snapshots, { shop: shop.name, source, at, from, tell }));
}

const order = ({ source }: SnapshotWithCopies): number => (source === 'files' ? 0 : 1);

function describe(
  document: {
    readonly file: string;
    readonly sizeBytes: number;
    readonly durationMs: number;
    readonly files: number;
    readonly tables: number;
  },
  snapshots: readonly SnapshotWithCopies[],
): string {
  const { file, sizeBytes, durationMs, files, tables } = document;
  const parts = snapshots.map(({ source }) => (source === 'files' ? `${files} files and links` : `${tables} tables`));
  const missing = snapshots.filter(({ complete }) => complete !== 1).map(({ id }) => id);
  return [
    `${file}: ${formatBytes(sizeBytes)}, ${parts.join(', ')}, in ${formatDuration(durationMs)}`,
    'README.txt and LISEZMOI.txt in it say how it is unpacked; it is not encrypted: hand it over by a safe way',
    ...missing.map((id) => `note: snapshot ${id} is incomplete: what could not be read when it was taken is missing`),
  ].join('\n');
}

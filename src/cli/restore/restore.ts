// `coffre restore`: brings a shop's files and database back to a directory and a database. Runs in the restore unit.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { openCatalog } from '../../catalog/open.ts';
import { rateHost } from '../../catalog/rates.ts';
import { finishRun, startRun } from '../../catalog/runs.ts';
import type { Config, ShopConfig } from '../../config/config.ts';
import { asCoffreError } from '../../errors.ts';
import { restoreDatabase } from '../../restore/database.ts';
import { type RestoreDeps, restoreFiles } from '../../restore/execute.ts';
import type { Problem } from '../../restore/fetch.ts';
import { shopIdentities, trustedKeys, vaultOrder } from '../../restore/keys.ts';
import { compilePaths } from '../../restore/paths.ts';
import { pinSnapshot, recordDamage, recordMeasured } from '../../restore/restore-run.ts';
import { snapshotFiles } from '../../restore/snapshot-files.ts';
import { restoreTogether, type TogetherDeps } from '../../restore/together.ts';
import { newId } from '../../segment/id.ts';
import type { BytePath } from '../../source/source.ts';
import type { Vault } from '../../vault/vault.ts';
import type { FilesPreview, LandingDatabase, RestoreAdapters } from '../adapters.ts';
import { type CliContext, type Invocation, unitAction } from '../context.ts';
import { findShop } from '../shop.ts';
import { checkDatabaseOptions, describeOverwriting, landed, openTarget, type RestoredHere, targetHost } from './database.ts';
import { checkFilesOptions, filesTargetOptions, landedFiles, previewFiles } from './files.ts';
import { checkInPlaceOptions, type RestoreOptions, restoreInPlace } from './in-place.ts';
import { planTasks, type Task } from './tasks.ts';
import { describePlan, describeRestored, incompleteness, instantText, passedOverNote } from './text.ts';

export function registerRestore(program: Command, context: CliContext): void {
  program
    .command('restore')
    .description(
      'bring a shop back: its files (or its whole machine) into a directory, its database into a database; interrupted, the same command goes on',
    )
    .argument('<shop>', 'shop to restore')
    .addOption(
      new Option('--at <time>', 'as it was at this time (RFC 3339, or a date and time of the configured zone)').conflicts('snapshot'),
    )
    .addOption(new Option('--snapshot <id>', 'exactly this snapshot (the beginning of its id is enough)').argParser(once))
    .addOption(new Option('--source <source>', 'only this source (default: files and database)').choices(['database', 'files', 'server']))
    .option(
      '--in-place',
      'the running shop, files and database together, into its own tree and database, by the restore unit as the tree’s owner: a safety snapshot of what is there, the maintenance page, all loaded beside and checked, then swapped; killed anywhere, the same command goes on',
    )
    .option(
      '--rollback',
      'with --in-place: back to what was there before a restore in place that did not end. After one that ended nothing is changed: the commands are printed that restore its safety snapshots',
    )
    .option('--skip-safety', 'with --in-place: no safety snapshot of the present state first')
    .addOption(
      new Option(
        '--secrets <whose>',
        'with --in-place: settings with passwords (app/config/parameters.php) stay the running shop’s (keep, the default), or come from the archive',
      ).choices(['keep', 'archive']),
    )
    .option('--domain <name>', 'with --in-place: the shop’s address becomes this one')
    .option('--keep-open', 'with --in-place: no maintenance page while data is loaded, only for the swap; orders taken meanwhile are lost')
    .option('--to-dir <dir>', 'where the files go: a directory that is empty or not there yet, or with --overwrite a tree')
    .option('--to-database <url>', 'where the database goes: mysql://user@host:port/db or mysql://user@localhost/db?socketPath=…')
    .option('--password-file <file>', 'password for --to-database (else $COFFRE_DB_PASSWORD); never in the URL')
    .option(
      '--to-host',
      '--to-dir and the address in --to-database are meant on the shop’s own host, reached over SSH, not on this machine',
    )
    .option(
      '--overwrite',
      'allow a database that is not empty: loaded beside it, then swapped; and a directory that is not: only what differs (size, time, mode, owner; not extended attributes and ACLs) is fetched and replaced. Until all of that has arrived, both stay as they are',
    )
    .option('--delete', 'with --overwrite, of files: remove what the snapshot does not have; what the configuration excludes stays')
    .option(
      '--checksum',
      'of files that are there: compare contents too, not size and time alone; not extended attributes and ACLs (a new directory gets them all)',
    )
    .option(
      '--keep-setuid',
      'of files: with their setuid and setgid bits, file capabilities and devices, which are left out otherwise (but for --source server)',
    )
    .option(
      '--keep-old',
      'with --overwrite: keep the replaced tables in a database beside (NAME_coffre_old); with --to-host the replaced tree too (beside DIR, as DIR.coffre-old-…)',
    )
    .addOption(severalTimes('--table <name>', 'only this table of the database (may be given again); others stay untouched'))
    .option(
      '--definers <rule>',
      'of views, triggers, routines, events: keep (default), strip (the restoring user’s), or an account: shop@localhost',
    )
    .addOption(severalTimes('--path <pattern>', 'only files that match (may be given again): img/p/1, *.php'))
    .option('--from <vault>', 'read from this vault alone')
    .option('--dry-run', 'say what would be restored, and from where')
    .addHelpText(
      'after',
      '\nExample:\n  coffre restore dupont --to-dir /srv/restore/dupont --to-database "mysql://root@localhost/dupont_back?socketPath=/run/mysqld/mysqld.sock"\n' +
        '  coffre restore dupont --at 2026-11-20T04:00 --to-dir /tmp/look --path "config/**"\n' +
        '\nOver the live tree: how much that would be, then only what differs; and its images alone, exactly as they were:\n' +
        '  coffre restore dupont --to-dir /var/www/dupont --overwrite --dry-run\n' +
        '  coffre restore dupont --to-dir /var/www/dupont --overwrite\n' +
        '  coffre restore dupont --to-dir /var/www/dupont --overwrite --delete --path img\n' +
        '\nOver the live database, keeping what was there; and one table of it, as it was yesterday:\n' +
        '  coffre restore dupont --to-database "mysql://root@localhost/dupont?socketPath=/run/mysqld/mysqld.sock" --overwrite --keep-old\n' +
        '  coffre restore dupont --at 2026-11-20T04:00 --to-database mysql://coffre_restore@127.0.0.1/dupont --password-file /etc/coffre/restore.password --table ps_cart_rule --overwrite\n' +
        '\nThe running shop as it was yesterday, files and database together; if that did not end, back (if it did, its last lines say how); its images alone:\n' +
        '  coffre restore dupont --in-place --at 2026-11-20T04:00\n' +
        '  coffre restore dupont --in-place --rollback\n' +
        '  coffre restore dupont --in-place --source files --path img\n' +
        '\nOnto the shop’s own host, over SSH; and a whole machine, into a new directory:\n' +
        '  coffre restore martin --to-host --to-dir /var/www/martin --overwrite --keep-old\n' +
        '  coffre restore dupont --source server --to-dir /mnt/restored\n',
    )
    .action(
      unitAction(context, (invocation, adapters, shop: string, options: RestoreOptions) =>
        restore(context, invocation, adapters, shop, options),
      ),
    );
}

/** Throws InvalidArgumentError: the last of two would be taken without a word. */
function once(value: string, before: string | undefined): string {
  if (before !== undefined) throw new InvalidArgumentError('one snapshot is of one source: a command for each');
  return value;
}

/** An option that collects its values; none given is an empty list, which the help need not say. */
function severalTimes(flags: string, description: string): Option {
  const option = new Option(flags, description).default([], 'all');
  return option.argParser((value: string, all: string[]) => [...all, value]);
}

async function restore(context: CliContext, invocation: Invocation, adapters: RestoreAdapters, shopName: string, options: RestoreOptions) {
  const config = invocation.config();
  const shop = findShop(config, shopName);
  checkInPlaceOptions(options);
  if (options.inPlace) return await restoreInPlace(context, invocation, shop, options);
  checkDatabaseOptions(options);
  checkFilesOptions(options);
  const matches = compilePaths(options.path);
  const { clock } = context;
  const startedMs = clock.monotonicMs();
  await using catalog = await openCatalog(config.stateDir);
  const tasks = await planTasks(config, catalog, shop, options, clock);
  const database = tasks.flatMap(({ to }) => ('database' in to ? [to.database] : [])).at(0);
  if (options.dryRun) {
    const present = database === undefined ? null : await describeOverwriting(adapters, shop, database, options);
    const reading = { clock, catalog, signal: invocation.signal, onProgress: () => {}, onProblem: () => {} };
    return describePlan(config, shop, tasks, present, await previewTask(reading, config, shop, adapters, tasks, options, matches));
  }
  const warnings: string[] = [];
  // Before anything is written anywhere: it refuses a wrong URL, password file or rule for definers.
  const databaseTarget = database === undefined ? null : await openTarget(adapters, shop, database, options, warnings);

  const runId = newId(clock);
  await startRun(catalog, clock, {
    id: runId,
    kind: 'restore',
    shop: shop.name,
    source: tasks.length === 1 ? (tasks[0] as Task).source : null,
  });
  const vaults: Vault[] = [];
  const problems: (Problem & { readonly snapshot: string })[] = [];
  const bar = invocation.progress(`restore ${shop.name}`);
  try {
    // Pinned, prune leaves these segments, and the manifest and index over them, alone while they are read.
    for (const task of tasks) await pinSnapshot(catalog, runId, task.snapshot.id);
    const identities = await shopIdentities(config, shop.name);
    const trusted = await trustedKeys(config);
    for (const vault of vaultOrder(config, shop, options.from ?? null)) vaults.push(await adapters.openVault(vault));
    const deps: RestoreDeps = {
      catalog,
      clock,
      vaults,
      identities,
      trusted,
      signal: invocation.signal,
      onProgress: (progress) => bar.update(progress),
      onProblem: (snapshot, problem) => problems.push({ snapshot, ...problem }),
    };
    bar.title(`restore ${shop.name} ${tasks.map(({ source }) => source).join(' and ')}`);
    const jobs = tasks.map((task) => ({
      ...{ source: task.source, totalBytes: task.snapshot.plainBytes },
      async run({ onReady, ...own }: TogetherDeps): Promise<RestoredHere> {
        const ofTask = { ...deps, ...own, onPrepared: onReady };
        if ('directory' in task.to) {
          const target = await adapters.openFilesTarget(task.to.directory, filesTargetOptions(shop, options, task.snapshot, matches));
          const files = await restoreFiles(ofTask, task.snapshot, target, matches).finally(() => target.close());
          return { ...landedFiles(files, target), bySizeAndTime: options.checksum !== true, ...incompleteness(task.snapshot) };
        }
        const target = databaseTarget as LandingDatabase;
        const tables = options.table.length > 0 ? { tables: options.table } : {};
        const loaded = await restoreDatabase(ofTask, task.snapshot, target, tables);
        return { ...landed(loaded, target, options, warnings), ...incompleteness(task.snapshot) };
      },
    }));
    const restored = await restoreTogether(jobs, invocation.signal, deps.onProgress);
    await recordMeasured(catalog, clock, { host: rateHost(targetHost(shop, options)), shop: shop.name, kind: 'restore', runId }, restored);
    const document = {
      shop: shop.name,
      durationMs: Math.round(clock.monotonicMs() - startedMs),
      bytes: restored.reduce((total, one) => total + one.bytes, 0),
      verified: restored.every((one) => one.verified),
      restored,
      passedOver: tasks.flatMap((task) =>
        task.passedOver.map(({ id, source, asOf }) => ({ snapshot: id, source, asOf: instantText(asOf) })),
      ),
    };
    // the speed of a restore is that of what it reads, chosen paths or not
    const readBytes = restored.reduce((total, one) => total + one.readBytes, 0);
    await finishRun(catalog, clock, runId, 'done', null, { ...document, bytes: readBytes });
    const notes = tasks.flatMap((task) => passedOverNote(config, task));
    return { document, text: [describeRestored(config, restored), ...notes].join('\n') };
  } catch (error) {
    const failure = asCoffreError(error);
    await finishRun(catalog, clock, runId, 'failed', failure).catch(() => {});
    // What was done before it failed: above all, that an interrupted restore was finished or undone first.
    for (const warning of warnings) context.io.err(`note: ${warning}\n`);
    throw failure;
  } finally {
    await databaseTarget?.close().catch(() => {});
    for (const vault of vaults) await vault.close().catch(() => {});
    for (const problem of problems) await recordDamage(catalog, clock, problem).catch(() => {});
  }
}

/** What the restore of files would do to a directory that is there; null: no files are restored, or its target cannot say. */
async function previewTask(
  reading: Pick<RestoreDeps, 'clock' | 'catalog' | 'signal' | 'onProgress' | 'onProblem'>,
  config: Config,
  shop: ShopConfig,
  adapters: RestoreAdapters,
  tasks: readonly Task[],
  options: RestoreOptions,
  matches: ((path: BytePath) => boolean) | null,
): Promise<FilesPreview | null> {
  const [task] = tasks.filter(({ to }) => 'directory' in to);
  if (!task || options.toDir === undefined) return null;
  const vaults: Vault[] = [];
  const target = await adapters.openFilesTarget(options.toDir, filesTargetOptions(shop, options, task.snapshot, matches));
  try {
    for (const vault of vaultOrder(config, shop, options.from ?? null)) vaults.push(await adapters.openVault(vault));
    const keys = { identities: await shopIdentities(config, shop.name), trusted: await trustedKeys(config) };
    return await previewFiles(target, task.snapshot, snapshotFiles({ ...reading, ...keys, vaults }, task.snapshot, matches));
  } finally {
    await target.close();
    for (const vault of vaults) await vault.close().catch(() => {});
  }
}

// `coffre restore`: brings a shop's files and database back to a directory and a database. Runs in the restore unit.
import { type Command, Option } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { type Catalog, openCatalog } from '../catalog/open.ts';
import { finishRun, startRun } from '../catalog/runs.ts';
import { pinSegments } from '../catalog/segments.ts';
import { recordDamagedSegment, recordVerification, type SnapshotWithCopies, snapshotSegments } from '../catalog/snapshots.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import { asCoffreError, CoffreError, ERRORS, type ErrorCode } from '../errors.ts';
import { askRestoreUnit } from '../restore/ask-unit.ts';
import { restoreDatabase } from '../restore/database.ts';
import { type RestoreDeps, restoreFiles } from '../restore/execute.ts';
import type { Problem } from '../restore/fetch.ts';
import { shopIdentities, trustedKeys, vaultOrder } from '../restore/keys.ts';
import { compilePaths } from '../restore/paths.ts';
import type { DamagedCopy, RestoreRequest } from '../restore/request.ts';
import { snapshotFiles } from '../restore/snapshot-files.ts';
import { newId } from '../segment/id.ts';
import type { BytePath } from '../source/source.ts';
import type { Vault } from '../vault/vault.ts';
import type { FilesPreview, LandingDatabase, RestoreAdapters } from './adapters.ts';
import { type CliContext, type Invocation, unitAction } from './context.ts';
import { operatorName } from './operator.ts';
import { formatBytes, formatDuration, formatInstant, table } from './output.ts';
import {
  checkDatabaseOptions,
  type DatabaseOptions,
  describeLanding,
  describeOverwriting,
  describeOverwritingText,
  landed,
  type Overwriting,
  openTarget,
  type RestoredHere,
} from './restore-database.ts';
import {
  checkFilesOptions,
  describeFiles,
  describePreview,
  describeRemoved,
  describeWithheld,
  type FilesOptions,
  filesTargetOptions,
  landedFiles,
  previewFiles,
} from './restore-files.ts';
import { planTasks, type Task, type TaskOptions } from './restore-tasks.ts';
import { findShop } from './shop.ts';

interface RestoreOptions extends DatabaseOptions, FilesOptions, TaskOptions {
  readonly inPlace?: boolean;
  readonly path: readonly string[];
  readonly dryRun?: boolean;
}

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
    .option('--snapshot <id>', 'exactly this snapshot (the beginning of its id is enough)')
    .addOption(new Option('--source <source>', 'only this source (default: files and database)').choices(['database', 'files', 'server']))
    .option(
      '--in-place',
      'of files: into the shop’s own tree, made equal to the snapshot by the restore unit, which systemd starts as the tree’s owner',
    )
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
        '\nIts own tree, on this machine, without giving this command the right to write there:\n' +
        '  coffre restore dupont --in-place --source files\n' +
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

/** An option that collects its values; none given is an empty list, which the help need not say. */
function severalTimes(flags: string, description: string): Option {
  const option = new Option(flags, description).default([], 'all');
  return option.argParser((value: string, all: string[]) => [...all, value]);
}

async function restore(context: CliContext, invocation: Invocation, adapters: RestoreAdapters, shopName: string, options: RestoreOptions) {
  const config = invocation.config();
  const shop = findShop(config, shopName);
  if (options.inPlace) return await restoreInPlace(context, invocation, shop, options);
  checkDatabaseOptions(options);
  checkFilesOptions(options);
  const matches = compilePaths(options.path);
  const { clock } = context;
  const startedMs = clock.monotonicMs();
  await using catalog = await openCatalog(config.stateDir);
  const tasks = await planTasks(config, catalog, shop, options);
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
    const restored: RestoredHere[] = [];
    for (const task of tasks) {
      bar.title(`restore ${shop.name} ${task.source}`);
      if ('directory' in task.to) {
        const target = await adapters.openFilesTarget(task.to.directory, filesTargetOptions(shop, options, task.snapshot, matches));
        const files = await restoreFiles(deps, task.snapshot, target, matches).finally(() => target.close());
        restored.push({ ...landedFiles(files, target), bySizeAndTime: options.checksum !== true, ...incompleteness(task.snapshot) });
      } else {
        const target = databaseTarget as LandingDatabase;
        try {
          const tables = options.table.length > 0 ? { tables: options.table } : {};
          const loaded = await restoreDatabase(deps, task.snapshot, target, tables);
          restored.push({ ...landed(loaded, target, options, warnings), ...incompleteness(task.snapshot) });
        } finally {
          await target.close();
        }
      }
    }
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
    for (const vault of vaults) await vault.close().catch(() => {});
    for (const problem of problems) await recordDamage(catalog, problem).catch(() => {});
  }
}

/** The files, into the shop's own tree: by the restore unit, which may write there. The run and its pins are ours, the unit writes no catalog. */
async function restoreInPlace(context: CliContext, invocation: Invocation, shop: ShopConfig, options: RestoreOptions) {
  const config = invocation.config();
  const { clock } = context;
  const { socket } = config.restore;
  if (socket === null) throw new CoffreError('E_USAGE', `--in-place: restore.socket is null in ${config.file}`);
  if (options.source !== 'files') {
    throw new CoffreError('E_USAGE', '--in-place is for files: it needs --source files', {
      hint: 'the database: --to-database URL --overwrite',
    });
  }
  const root = shop.files?.root;
  if (root === undefined) throw new CoffreError('E_USAGE', `shop ${shop.name} has no files`);
  const idle = (['toDir', 'toDatabase', 'toHost', 'overwrite', 'keepOld', 'dryRun'] as const).find((name) => options[name] !== undefined);
  if (idle) throw new CoffreError('E_USAGE', `--in-place says where to, and that it is written over: leave --${flagOf(idle)} out`);
  const startedMs = clock.monotonicMs();
  await using catalog = await openCatalog(config.stateDir);
  const [task] = (await planTasks(config, catalog, shop, { ...options, toDir: root })) as [Task];
  const runId = newId(clock);
  await startRun(catalog, clock, { id: runId, kind: 'restore', shop: shop.name, source: 'files', who: operatorName(context.io) });
  const bar = invocation.progress(`restore ${shop.name} files`);
  const damaged: DamagedCopy[] = [];
  try {
    await pinSnapshot(catalog, runId, task.snapshot.id);
    const request: RestoreRequest = {
      ...{ request: runId, shop: shop.name, snapshot: task.snapshot.id, from: options.from ?? null, paths: [...options.path] },
      ...{ delete: options.delete === true, checksum: options.checksum === true, keepSetuid: options.keepSetuid === true },
    };
    const restored: RestoredHere = await askRestoreUnit(request, {
      ...{ socket, signal: invocation.signal },
      onProgress: (progress) => bar.update(progress),
      onDamaged: (problem) => damaged.push(problem),
    });
    const document = {
      ...{ shop: shop.name, durationMs: Math.round(clock.monotonicMs() - startedMs), bytes: restored.bytes, verified: restored.verified },
      restored: [restored],
      passedOver: task.passedOver.map(({ id, source, asOf }) => ({ snapshot: id, source, asOf: instantText(asOf) })),
    };
    await finishRun(catalog, clock, runId, 'done', null, { ...document, bytes: restored.readBytes });
    return { document, text: [describeRestored(config, [restored]), ...passedOverNote(config, task)].join('\n') };
  } catch (error) {
    const failure = asCoffreError(error);
    await finishRun(catalog, clock, runId, 'failed', failure).catch(() => {});
    throw failure;
  } finally {
    for (const problem of damaged) await recordDamage(catalog, problem).catch(() => {});
  }
}

const flagOf = (option: string): string => option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** What a restore finds damaged is not good any more, whether or not another copy helped. An unreachable vault says nothing of that. */
async function recordDamage(
  catalog: Catalog,
  { snapshot, vault, key, code }: Pick<DamagedCopy, 'snapshot' | 'vault' | 'key' | 'code'>,
): Promise<void> {
  if (ERRORS[code as ErrorCode].exit !== ERRORS.E_OBJECT_ALTERED.exit) return;
  const segment = await catalog.db.selectFrom('segments').select('id').where('key', '=', key).executeTakeFirst();
  if (segment) await recordDamagedSegment(catalog, vault, segment.id, code);
  else await recordVerification(catalog, snapshot, vault, 0, code);
}

/** Throws E_UNKNOWN_SNAPSHOT when its removal began since it was chosen. */
async function pinSnapshot(catalog: Catalog, runId: string, snapshotId: string): Promise<void> {
  await catalog.transaction(async (tx) => {
    const snapshot = await tx.selectFrom('snapshots').select('state').where('id', '=', snapshotId).executeTakeFirst();
    if (snapshot?.state !== 'committed') {
      throw new CoffreError('E_UNKNOWN_SNAPSHOT', `snapshot ${snapshotId} is past its window and being removed`);
    }
    const segments = await snapshotSegments(catalog, snapshotId, tx);
    await pinSegments(
      tx,
      runId,
      segments.map((segment) => segment.id),
    );
  });
}

/** Someone who restores the newest must hear that there is something newer, which is not whole. */
function passedOverNote(config: Config, { source, passedOver }: Task): string[] {
  const [newest] = passedOver;
  if (!newest) return [];
  const at = formatInstant(Temporal.Instant.fromEpochMilliseconds(newest.asOf), config.timezone);
  const why = newest.complete === 1 ? 'damaged, or not in the vault asked for' : 'incomplete: something could not be read';
  return [`note: ${source}: snapshot ${newest.id} of ${at} is newer and ${why}; --snapshot ${newest.id} takes it`];
}

const instantText = (epochMs: number): string => Temporal.Instant.fromEpochMilliseconds(epochMs).toString();

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

function describePlan(config: Config, shop: ShopConfig, tasks: readonly Task[], present: Overwriting | null, preview: FilesPreview | null) {
  const rows = tasks.map((task) => [
    task.source,
    task.snapshot.id,
    formatInstant(Temporal.Instant.fromEpochMilliseconds(task.snapshot.asOf), config.timezone),
    formatBytes(task.snapshot.plainBytes),
    task.snapshot.copies.map((copy) => copy.vault).join(', '),
    task.snapshot.good ? 'good' : 'not good',
  ]);
  return {
    document: {
      shop: shop.name,
      dryRun: true,
      tasks: tasks.map((task) => ({
        source: task.source,
        snapshot: task.snapshot.id,
        asOf: instantText(task.snapshot.asOf),
        passedOver: task.passedOver.map((newer) => newer.id),
        bytes: task.snapshot.plainBytes,
        vaults: task.snapshot.copies.map((copy) => copy.vault),
        good: task.snapshot.good,
      })),
      ...(present ? { overwrites: present } : {}),
      ...(preview ? { files: preview } : {}),
    },
    text: [
      'dry run: nothing was written; this would be restored:',
      table(
        ['source', 'snapshot', 'as of', 'size', 'vaults', 'state'].map((title) => ({ title })),
        rows,
      ),
      ...(present ? [describeOverwritingText(present)] : []),
      ...tasks.flatMap(({ to }) => (preview && 'directory' in to ? [describePreview(to.directory, preview)] : [])),
      ...tasks.flatMap((task) => passedOverNote(config, task)),
    ].join('\n'),
  };
}

function incompleteness(snapshot: SnapshotWithCopies): { readonly incomplete?: true } {
  return snapshot.complete === 1 ? {} : { incomplete: true };
}

function describeCheck({ verified, bySizeAndTime = false, unchanged = 0, resumed = 0 }: RestoredHere): string {
  if (!verified) return 'NOT CHECKED';
  return bySizeAndTime && unchanged + resumed > 0 ? 'identical, what was there by size and time' : 'identical to the manifest';
}

function describeRestored(config: Config, restored: readonly RestoredHere[]): string {
  const lines = [
    table(
      ['source', 'snapshot', 'as of', 'written', 'what', 'took', 'checked'].map((title) => ({ title })),
      restored.map((one) => [
        one.source,
        one.snapshot,
        formatInstant(Temporal.Instant.from(one.asOf), config.timezone),
        formatBytes(one.bytes),
        one.tables === undefined ? describeFiles(one) : `${one.tables} ${one.tables === 1 ? 'table' : 'tables'}, ${one.rows} rows`,
        formatDuration(one.durationMs),
        describeCheck(one),
      ]),
    ),
  ];
  for (const one of restored) {
    lines.push(...describeLanding(one), ...describeRemoved(one), ...describeWithheld(one));
    if (one.incomplete)
      lines.push(
        `note: snapshot ${one.snapshot} is incomplete: what could not be read when it was taken is missing (coffre show ${one.snapshot})`,
      );
    for (const problem of one.problems) lines.push(`refused: ${problem.message} [${problem.code}]; another vault’s copy was used`);
  }
  return lines.join('\n');
}

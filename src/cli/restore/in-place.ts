// `coffre restore --in-place`: a running shop, by the restore unit, which may write where it is; the run, its pins and the safety snapshot are ours.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../../catalog/open.ts';
import { openCatalog } from '../../catalog/open.ts';
import { clearOpenRestore, markOpenRestore } from '../../catalog/open-restores.ts';
import { finishRun, startRun } from '../../catalog/runs.ts';
import type { Clock } from '../../clock.ts';
import type { Config, ShopConfig } from '../../config/config.ts';
import { asCoffreError, CoffreError, ERRORS, type ErrorCode } from '../../errors.ts';
import { askRestoreUnit } from '../../restore/ask-unit.ts';
import type { DamagedCopy } from '../../restore/damaged-copy.ts';
import { HeldShop } from '../../restore/held-shop.ts';
import {
  type InPlaceCaller,
  type InPlaceOrder,
  type InPlaceResult,
  lookInPlace,
  type OpenRestore,
  restoreInPlace as order,
  preflightInPlace,
  rollBackInPlace,
  type SafetySnapshots,
} from '../../restore/in-place.ts';
import { recordInPlaceRates } from '../../restore/in-place-rates.ts';
import { checkWanted } from '../../restore/request-preview.ts';
import { pinSnapshot, recordDamage } from '../../restore/restore-run.ts';
import { DOMAIN, type UnitRequest } from '../../restore/unit-protocol.ts';
import { endRequestBeside } from '../../schedule/request-progress.ts';
import { lookForParts } from '../../schedule/wanted-parts.ts';
import { newId } from '../../segment/id.ts';
import type { SourceKind } from '../../source/source.ts';
import type { CliContext, Invocation } from '../context.ts';
import { operatorName } from '../operator.ts';
import { formatDuration, formatInstant } from '../output.ts';
import { askOwnUnit } from '../restore-unit/own-unit.ts';
import type { DatabaseOptions } from './database.ts';
import type { FilesOptions } from './files.ts';
import { rollBackDone, wayBack } from './in-place-back.ts';
import { foresee, wouldDo } from './in-place-plan.ts';
import { stopped } from './in-place-stopped.ts';
import { planTasks, type Task, type TaskOptions } from './tasks.ts';
import { describePlan, describeRestored, instantText, passedOverNote } from './text.ts';

export interface InPlaceOptions {
  readonly inPlace?: boolean;
  readonly rollback?: boolean;
  readonly skipSafety?: boolean;
  readonly secrets?: 'keep' | 'archive';
  readonly domain?: string;
  readonly keepOpen?: boolean;
}

export interface RestoreOptions extends DatabaseOptions, FilesOptions, TaskOptions, InPlaceOptions {
  readonly path: readonly string[];
  readonly dryRun?: boolean;
}

/** Throws E_USAGE for options of a restore in place without one, or of another kind of restore with it. */
export function checkInPlaceOptions(options: RestoreOptions): void {
  const used = (names: readonly (keyof RestoreOptions)[]): string | undefined => names.find((name) => options[name] !== undefined);
  if (!options.inPlace) {
    const idle = used(['rollback', 'skipSafety', 'secrets', 'domain', 'keepOpen']);
    if (idle) throw new CoffreError('E_USAGE', `--${flagOf(idle)} is about a restore in place: it needs --in-place`);
    return;
  }
  const idle = used(['toDir', 'toDatabase', 'toHost', 'overwrite', 'keepOld', 'passwordFile', 'definers']);
  if (idle) throw new CoffreError('E_USAGE', `--in-place says where to, and that it is written over: leave --${flagOf(idle)} out`);
  const where = used([
    'at',
    'snapshot',
    'source',
    'from',
    'secrets',
    'domain',
    'keepOpen',
    'skipSafety',
    'delete',
    'checksum',
    'keepSetuid',
  ]);
  const chosen = options.path.length > 0 ? 'path' : options.table.length > 0 ? 'table' : where;
  if (options.rollback && chosen !== undefined)
    throw new CoffreError('E_USAGE', `--rollback goes back to what was there: leave --${flagOf(chosen)} out`);
  if (options.source === 'server') throw new CoffreError('E_USAGE', '--in-place is for a shop, not for a whole machine');
  if (options.domain !== undefined && (options.domain.length > 253 || !DOMAIN.test(options.domain))) {
    throw new CoffreError('E_USAGE', `--domain ${JSON.stringify(options.domain)} is no host name`, {
      hint: 'without scheme and path: www.example.fr',
    });
  }
  if (options.table.some((name) => name === '' || name.length > 64))
    throw new CoffreError('E_USAGE', '--table needs the name of a table, with its prefix: ps_product');
  checkWanted({ at: null, sources: null, ...namedParts(options) });
  if (options.table.length > 0 && options.source !== 'database')
    throw new CoffreError('E_USAGE', '--table is about the database: --in-place --source database');
  if ((options.path.length > 0 || options.delete) && options.source !== 'files')
    throw new CoffreError('E_USAGE', `--${options.delete ? 'delete' : 'path'} is about files: --in-place --source files`);
}

/** Restores the shop, goes on with a restore that is open, or goes back from one. */
export async function restoreInPlace(context: CliContext, invocation: Invocation, shop: ShopConfig, options: RestoreOptions) {
  const config = invocation.config();
  const { clock } = context;
  const startedMs = clock.monotonicMs();
  await using catalog = await openCatalog(config.stateDir);
  const runId = newId(clock);
  const bar = invocation.progress(`restore ${shop.name}`);
  const damaged: DamagedCopy[] = [];
  using held = new HeldShop(config, clock, shop.name, invocation.signal);
  const safety = { ms: null as number | null };
  const caller: InPlaceCaller = {
    signal: invocation.signal,
    ask: (request, hearing) => askUnit(config, context, request as UnitRequest, hearing as Parameters<typeof askUnit>[3]),
    takeSafety: async (sources, signal) => {
      const beganMs = clock.monotonicMs();
      const taken = await held.without(() => takeSafety(config, context, shop, sources, signal));
      safety.ms = Math.round(clock.monotonicMs() - beganMs);
      const ids = [taken.database, taken.files].filter((id) => id !== null);
      for (const id of ids) await pinSnapshot(catalog, runId, id);
      return taken;
    },
    touches: (mayBeClosed) =>
      mayBeClosed
        ? markOpenRestore(catalog, clock, shop.name, { runId, who: operatorName(context.io) })
        : clearOpenRestore(catalog, shop.name),
    onStep: (step) => bar.title(`restore ${shop.name}: ${step}`),
    onProgress: (progress) => bar.update(progress),
    onDamaged: (problem) => damaged.push(problem),
  };
  const { open } = await lookInPlace(shop.name, runId, caller);
  if (options.rollback && open === null) {
    if (!options.dryRun) await clearOpenRestore(catalog, shop.name);
    return await rollBackDone(catalog, shop);
  }
  const planned = open !== null && !saysWhen(options) ? null : await plan(config, catalog, clock, shop, options, runId);
  if (options.dryRun) return await dryRun({ config, catalog, clock, shop, caller }, planned, open, options.rollback === true);
  await held.take();
  try {
    await startRun(catalog, clock, {
      id: runId,
      kind: 'restore',
      shop: shop.name,
      source: sourceOf(planned?.order ?? open?.order),
      who: operatorName(context.io),
    });
    try {
      const wanted = planned?.order ?? ({ ...(open as OpenRestore).order, safety: 'skip' } satisfies InPlaceOrder);
      for (const one of [wanted.database, wanted.files]) if (one) await pinSnapshot(catalog, runId, one.snapshot);
      const result = await (options.rollback && open ? rollBackInPlace(open, caller) : order(wanted, caller));
      const durationMs = Math.round(clock.monotonicMs() - startedMs);
      // the request whose restore this was, if it was one's: it is over with it
      await endRequestBeside({ catalog, clock }, wanted.request, { durationMs, result, run: runId, who: operatorName(context.io) });
      const document = documentOf(shop, result, durationMs, planned?.tasks ?? []);
      const readBytes = result.restored.reduce((sum, one) => sum + one.readBytes, 0);
      await recordInPlaceRates(catalog, clock, { shop, runId }, result, safety.ms);
      await finishRun(catalog, clock, runId, 'done', null, { ...document, bytes: readBytes });
      return { document, text: describe(config, shop, result, planned, open, durationMs) };
    } catch (error) {
      const thrown = asCoffreError(error);
      const { signal } = invocation;
      const failure = signal.aborted
        ? await stopped(catalog, clock, { shop: shop.name, request: runId, reason: asCoffreError(signal.reason) }, caller)
        : thrown;
      await finishRun(catalog, clock, runId, 'failed', failure).catch(() => {});
      throw failure;
    }
  } finally {
    for (const problem of damaged) await recordDamage(catalog, clock, problem).catch(() => {});
  }
}

interface Planned {
  readonly order: InPlaceOrder;
  readonly tasks: readonly Task[];
}

const namedParts = ({ path, table }: RestoreOptions) => ({ paths: [...path], tables: [...table] });

/** Whether the command says what to restore; else it means the restore that is open. */
function saysWhen({ at, snapshot, source, path, table }: RestoreOptions): boolean {
  return at !== undefined || snapshot !== undefined || source !== undefined || path.length > 0 || table.length > 0;
}

/** What is asked for by name is in the snapshots, as far as the copies of their indexes say. Throws E_USAGE, E_UNKNOWN_SNAPSHOT, E_UNKNOWN_VAULT. */
async function plan(
  config: Config,
  catalog: Catalog,
  clock: Clock,
  shop: ShopConfig,
  options: RestoreOptions,
  runId: string,
): Promise<Planned> {
  if (shop.files === null && shop.database === null) throw new CoffreError('E_USAGE', `shop ${shop.name} has neither files nor database`);
  const tasks = await planTasks(
    config,
    catalog,
    shop,
    {
      ...options,
      ...(shop.files ? { toDir: shop.files.root } : {}),
      ...(shop.database ? { toDatabase: shop.name } : {}),
    },
    clock,
  );
  const tell = (instant: Temporal.Instant): string => formatInstant(instant, config.timezone);
  await lookForParts(
    { stateDir: config.stateDir, clock, tell },
    tasks.map(({ snapshot }) => snapshot),
    namedParts(options),
  );
  const of = (source: SourceKind): Task | undefined => tasks.find((task) => task.source === source);
  const [files, database] = [of('files'), of('database')];
  // Both together are the shop as it was: what is not in the snapshot was not there. An incomplete one cannot say that.
  const whole = options.source === undefined && options.snapshot === undefined && files?.snapshot.complete === 1;
  return {
    tasks,
    order: {
      ...{ request: runId, shop: shop.name, from: options.from ?? null },
      ...{ checksum: options.checksum === true, keepSetuid: options.keepSetuid === true },
      database: database ? { snapshot: database.snapshot.id, tables: options.table.length > 0 ? options.table : null } : null,
      files: files ? { snapshot: files.snapshot.id, paths: options.path, remove: options.delete === true || whole } : null,
      secrets: options.secrets ?? 'keep',
      domain: options.domain ?? null,
      maintenance: options.keepOpen ? 'at-swap' : 'at-once',
      safety: options.skipSafety ? 'skip' : 'take',
    },
  };
}

interface DryRun {
  readonly config: Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly shop: ShopConfig;
  readonly caller: InPlaceCaller;
}

/** What would be done, and what would keep it from being done, in that order. */
async function dryRun(
  { config, catalog, clock, shop, caller }: DryRun,
  planned: Planned | null,
  open: OpenRestore | null,
  rollback: boolean,
): Promise<{ readonly document: object; readonly text: string; readonly failure?: CoffreError }> {
  if (planned === null) {
    const { step, order } = open as OpenRestore;
    const document = { shop: shop.name, dryRun: true, rollback, open: { step, request: order.request } };
    const would = rollback
      ? `the command would ${wayBack(open as OpenRestore)}`
      : 'the command would go on with it; with --rollback it would go back';
    return { document, text: `dry run: a restore of ${shop.name} is open, at the step ${step}; ${would}` };
  }
  const { document, text } = describePlan(config, shop, planned.tasks, null, null);
  const estimate = await foresee(config, catalog, shop, planned.tasks, clock);
  const would = wouldDo(planned.order, estimate);
  const told = { document: { ...document, would, estimate }, text: [text, ...would].join('\n') };
  try {
    const { notes } = await preflightInPlace(planned.order, caller);
    return { document: { ...told.document, notes }, text: [told.text, ...notes.map((note) => `note: ${note}`)].join('\n') };
  } catch (error) {
    caller.signal.throwIfAborted();
    return { ...told, failure: asCoffreError(error) };
  }
}

/** Systemd's unit where there is one, else one of our own, which needs root as systemd's does. */
export async function askUnit(
  config: Config,
  context: CliContext,
  request: UnitRequest,
  hearing: Parameters<typeof askOwnUnit>[3],
): Promise<object> {
  const { socket } = config.restore;
  if (socket !== null && existsSync(socket)) return await askRestoreUnit<object>(request, { clock: context.clock, socket, ...hearing });
  return await askOwnUnit<object>(config, context.clock, request, hearing);
}

/** By the command for backups: through the daemon, or beside it, with the rights that backups have. */
export async function takeSafety(
  config: Config,
  { io }: CliContext,
  shop: ShopConfig,
  sources: readonly SourceKind[],
  signal: AbortSignal,
): Promise<SafetySnapshots> {
  const main = fileURLToPath(new URL('../../main.ts', import.meta.url));
  const taken: { database: string | null; files: string | null } = { database: null, files: null };
  for (const source of sources) {
    const args = [...process.execArgv, main, '--config', config.file, '--json', 'backup', shop.name, '--safety', '--source', source];
    const { status, stdout, stderr } = await new Promise<{ status: number; stdout: string; stderr: string }>((resolve, reject) => {
      execFile(process.execPath, args, { env: io.env, signal, maxBuffer: 64 * 1024 * 1024 }, (error, out, err) => {
        if (error && typeof error.code !== 'number')
          reject(signal.aborted ? signal.reason : asCoffreError(error, 'E_INTERNAL', 'the backup does not start'));
        else resolve({ status: typeof error?.code === 'number' ? error.code : 0, stdout: out, stderr: err });
      });
    });
    const id = snapshotIn(stdout, source);
    // one vault that misses it is mended later; a snapshot that lacks something is nothing to go back to
    if (id === null || (status !== 0 && status !== ERRORS.E_DEGRADED.exit)) throw failureOf(stdout, stderr, shop, source);
    taken[source as 'database' | 'files'] = id;
  }
  return taken;
}

function snapshotIn(stdout: string, source: SourceKind): string | null {
  try {
    const { snapshots } = JSON.parse(stdout) as { readonly snapshots?: readonly { readonly id: string; readonly source: string }[] };
    return snapshots?.find((one) => one.source === source)?.id ?? null;
  } catch {
    return null;
  }
}

function failureOf(stdout: string, stderr: string, shop: ShopConfig, source: SourceKind): CoffreError {
  let code: ErrorCode = 'E_INTERNAL';
  let message = stderr.trim().split('\n')[0] ?? '';
  try {
    const said = JSON.parse(stdout || stderr) as { readonly error?: { readonly code?: string; readonly message?: string } };
    if (said.error?.code !== undefined && said.error.code in ERRORS) code = said.error.code as ErrorCode;
    message = said.error?.message ?? message;
  } catch {
    // what it said is shown as it is
  }
  return new CoffreError(code, `the safety snapshot of ${shop.name}’s ${source} failed, nothing was restored: ${message}`, {
    hint: 'mend that, or --skip-safety restores without one: there is no way back then but older snapshots',
  });
}

const sourceOf = (wanted: Pick<InPlaceOrder, 'database' | 'files'> | undefined): SourceKind | null =>
  !wanted || (wanted.database && wanted.files) ? null : wanted.database ? 'database' : 'files';

function documentOf(shop: ShopConfig, result: InPlaceResult, durationMs: number, tasks: readonly Task[]) {
  const { restored, ...inPlace } = result;
  return {
    ...{ shop: shop.name, durationMs, bytes: restored.reduce((sum, one) => sum + one.bytes, 0) },
    ...{ verified: restored.every((one) => one.verified), restored, inPlace },
    passedOver: tasks.flatMap((task) => task.passedOver.map(({ id, source, asOf }) => ({ snapshot: id, source, asOf: instantText(asOf) }))),
  };
}

function describe(
  config: Config,
  shop: ShopConfig,
  result: InPlaceResult,
  planned: Planned | null,
  open: OpenRestore | null,
  durationMs: number,
): string {
  const { outcome, restored, safety, maintenanceMs, checks, warnings } = result;
  const state = result.open !== false ? ' and open' : ', and its own maintenance is on, as it was';
  const safe = [safety?.files, safety?.database].flatMap((id) => id ?? []);
  return [
    ...(open ? [`a restore of ${shop.name} that was open was ${outcome === 'restored' ? 'gone on with' : 'rolled back'}`] : []),
    ...(restored.length > 0 ? [describeRestored(config, restored)] : []),
    `${shop.name} is ${outcome}${state}, after ${formatDuration(durationMs)}${maintenanceMs === null ? '' : `, ${formatDuration(maintenanceMs)} of it in maintenance`}`,
    // the state of the safety snapshots is the one that it was rolled back to
    ...(safe.length > 0 && outcome === 'restored'
      ? [`as it was before: ${safe.map((id) => `coffre restore ${shop.name} --in-place --snapshot ${id}`).join('; then ')}`]
      : []),
    ...checks.map((check) => `checked: ${check}`),
    ...warnings.map((warning) => `note: ${warning}`),
    ...(planned?.tasks ?? []).flatMap((task) => passedOverNote(config, task)),
  ].join('\n');
}

const flagOf = (option: string): string => option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

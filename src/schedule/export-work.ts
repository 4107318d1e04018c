// The daemon's exports: the restore unit makes them, for whoever asked through the API; their runs say how they stand and until when they are there.
import { Temporal } from 'temporal-polyfill';
import { Estimator } from '../backup/estimator.ts';
import { audit } from '../catalog/audit.ts';
import type { Catalog } from '../catalog/open.ts';
import { finishRun, type RunRow, startRun } from '../catalog/runs.ts';
import { listLives } from '../catalog/shop-life.ts';
import { listSnapshots, type SnapshotWithCopies } from '../catalog/snapshots.ts';
import type { Clock } from '../clock.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { askRestoreUnit } from '../restore/ask-unit.ts';
import { chooseSnapshot } from '../restore/choose.ts';
import type { DamagedCopy } from '../restore/damaged-copy.ts';
import type { ExportedShop } from '../restore/export.ts';
import { checkPast } from '../restore/request-preview.ts';
import { pinSnapshot, recordDamage } from '../restore/restore-run.ts';
import { newId } from '../segment/id.ts';
import type { Work } from './scheduler-ports.ts';

export interface ExportWorkDeps {
  readonly config: Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
}

/** What a run of an export keeps, when it went well. */
export interface ExportDetail {
  readonly shop: string;
  readonly sizeBytes: number;
  readonly files: number;
  readonly tables: number;
  readonly rows: number;
  readonly snapshots: ExportedShop['snapshots'];
  readonly durationMs: number;
}

/** Throws E_CONFIG unless the daemon may have exports made. */
export function demandExports(config: Config, shop: string): string {
  const { socket, unattended } = config.restore;
  if (socket !== null && unattended) return socket;
  const what = socket === null ? 'restore.socket is null' : 'restore.unattended is not true';
  throw new CoffreError('E_CONFIG', `${what} in ${config.file}: the daemon can have nothing exported`, {
    hint: `as root, on its machine: coffre export ${shop} --to FILE`,
  });
}

/** When its archive goes. Epoch milliseconds. */
export const exportEnd = (config: Config, run: Pick<RunRow, 'endedAt'>): number => (run.endedAt ?? 0) + config.restore.keepExportsMs;

export function exportDetail({ detail }: Pick<RunRow, 'detail'>): ExportDetail | null {
  return detail === null ? null : (JSON.parse(detail) as ExportDetail);
}

/** Of files and database those that the shop has, or ever had. Throws E_USAGE (a time to come), E_UNKNOWN_SNAPSHOT. */
export async function chooseExported(
  { catalog, clock, config }: ExportWorkDeps,
  shop: ShopConfig,
  at: number | null,
): Promise<readonly SnapshotWithCopies[]> {
  const tell = (instant: Temporal.Instant): string =>
    instant.toZonedDateTimeISO(config.timezone).toString({ smallestUnit: 'second', timeZoneName: 'never' }).replace('T', ' ');
  const then = at === null ? null : Temporal.Instant.fromEpochMilliseconds(at);
  checkPast(then, clock.nowMs(), tell);
  const all = await listSnapshots(catalog, shop.name);
  const sources = (['files', 'database'] as const).filter((source) => shop[source] !== null || all.some((one) => one.source === source));
  return sources.map((source) => chooseSnapshot(all, { shop: shop.name, source, at: then, from: null, tell }));
}

/** Throws E_CONFIG, E_UNKNOWN_SNAPSHOT, what the restore unit says, and the signal's reason. */
export async function exportForShop(deps: ExportWorkDeps, work: Work, at: number | null): Promise<void> {
  const { catalog, clock, config } = deps;
  const shop = config.shops.get(work.task.shop);
  if (shop === undefined) throw new CoffreError('E_UNKNOWN_SHOP', `no shop ${JSON.stringify(work.task.shop)} in ${config.file}`);
  const socket = demandExports(config, shop.name);
  await startRun(catalog, clock, { id: work.run, kind: 'export', shop: shop.name, source: null, who: work.who });
  const damaged: DamagedCopy[] = [];
  const startedMs = clock.monotonicMs();
  try {
    const snapshots = await chooseExported(deps, shop, at);
    for (const { id } of snapshots) await pinSnapshot(catalog, work.run, id);
    work.step('export');
    const exported = await askRestoreUnit<ExportedShop>(
      {
        ...{ kind: 'export', request: work.run, shop: shop.name, snapshots: snapshots.map(({ id }) => id) },
        keep: [...(await heldExports(deps))],
      },
      {
        ...{ clock, socket, signal: work.signal, onProgress: figuresOf(clock, work) },
        onDamaged: (problem) => void damaged.push(problem),
      },
    );
    const { sizeBytes, files, tables, rows } = exported;
    const detail: ExportDetail = {
      ...{ shop: shop.name, sizeBytes, files, tables, rows, snapshots: exported.snapshots },
      durationMs: Math.round(clock.monotonicMs() - startedMs),
    };
    await finishRun(catalog, clock, work.run, 'done', null, { ...detail, bytes: sizeBytes });
    await audit(catalog, clock, { who: work.who, what: 'export', shop: shop.name, detail: { run: work.run, sizeBytes } });
  } catch (error) {
    const failure = asCoffreError(error);
    await finishRun(catalog, clock, work.run, 'failed', failure).catch(() => {});
    throw failure;
  } finally {
    for (const problem of damaged) await recordDamage(catalog, clock, problem).catch(() => {});
  }
}

/** Removes the archives whose time is over. Throws what the restore unit says. */
export async function endExports(deps: ExportWorkDeps, work: Pick<Work, 'signal'>): Promise<void> {
  const { catalog, clock, config } = deps;
  const { socket, unattended } = config.restore;
  const [last] = await catalog.db.selectFrom('runs').select('shop').where('kind', '=', 'export').orderBy('id', 'desc').limit(1).execute();
  const shop = last !== undefined && config.shops.has(last.shop) ? last.shop : [...config.shops.keys()][0];
  // nobody ever asked for one, or nobody can be asked
  if (socket === null || !unattended || last === undefined || shop === undefined) return;
  const keep = [...(await heldExports(deps))];
  await askRestoreUnit(
    { kind: 'export', request: newId(clock), shop, snapshots: [], keep },
    { clock, socket, signal: work.signal, onProgress: () => {}, onDamaged: () => {} },
  );
}

/** Runs whose archives stay: made within their time, or being made; not of a shop that was erased meanwhile. */
async function heldExports({ catalog, clock, config }: ExportWorkDeps): Promise<ReadonlySet<string>> {
  const rows = await catalog.db
    .selectFrom('runs')
    .select(['id', 'shop', 'state', 'endedAt'])
    .where('kind', '=', 'export')
    .where('state', 'in', ['done', 'running'])
    .orderBy('id', 'desc')
    .limit(1000)
    .execute();
  const nowMs = clock.nowMs();
  const lives = await listLives(catalog.db);
  const stays = (row: (typeof rows)[number]): boolean =>
    lives.get(row.shop)?.state !== 'erased' && (row.state === 'running' || exportEnd(config, row) > nowMs);
  return new Set(rows.filter(stays).map(({ id }) => id));
}

function figuresOf(clock: Clock, work: Work): (progress: { readonly doneBytes: number; readonly totalBytes: number }) => void {
  const estimator = new Estimator();
  return ({ doneBytes, totalBytes }) => {
    const atMs = clock.monotonicMs();
    estimator.add({ atMs, doneBytes, carriedBytes: 0, totalBytes, totalIsGuess: false });
    work.progress({
      ...{ doneBytes, carriedBytes: 0, totalBytes, totalIsGuess: false, storedBytes: 0, segments: 0, reusedSegments: 0, files: 0 },
      ...{ bytesPerSecond: estimator.rate(atMs), leftMs: estimator.leftMs(atMs) },
    });
  };
}

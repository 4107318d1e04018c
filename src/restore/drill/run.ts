// One drill, as the restore unit runs it: everything restored from one vault into scratch, compared, looked at as a shop, timed. Nothing is kept.
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../../catalog/open.ts';
import type { SnapshotWithCopies } from '../../catalog/snapshots.ts';
import type { Clock } from '../../clock.ts';
import type { DrillConfig, Secret, ShopConfig, VaultConfig } from '../../config/config.ts';
import { exactDurationIn } from '../../document/wording.ts';
import { asCoffreError, CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import type { Manifest } from '../../segment/manifest-types.ts';
import type { ShopSession } from '../../target/shop.ts';
import type { DatabaseTarget, FilesTarget } from '../../target/target.ts';
import type { Vault } from '../../vault/vault.ts';
import { restoreDatabase } from '../database.ts';
import { type RestoreDeps, type RestoredSource, restoreFiles } from '../execute.ts';
import { type Identities, isCopysFault, objectRow, readManifest } from '../fetch.ts';
import { countChecks, shopChecks } from './checks.ts';
import type { DrillCheck, DrilledSource, DrilledVault, DrillFacts, DrillPhase, NamedObject } from './evidence.ts';
import { demandSpace, isNearlyFull, scratchDatabase } from './place.ts';
import { type ScratchServer, startScratchServer } from './server.ts';
import { Witness } from './witness.ts';

/** What a drill asks of the outside world. */
export interface DrillPorts {
  openVault(vault: VaultConfig): Promise<Vault>;
  /** An empty folder; without setuid bits and devices. */
  openFiles(directory: string): Promise<FilesTarget>;
  /** A database that does not exist yet, with what belongs to its account. */
  openDatabase(url: string, password: Secret | null): Promise<DatabaseTarget>;
  openSession(url: string, password: Secret | null): Promise<ShopSession & { close(): Promise<void> }>;
  /** This machine. */
  readonly host: Host;
}

export interface DrillDeps extends Pick<RestoreDeps, 'signal' | 'onProgress' | 'onProblem'> {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly ports: DrillPorts;
  readonly identities: Identities;
  readonly trusted: readonly string[];
  /** What is done now. */
  readonly onStep: (step: string) => void;
  /** The drill's own folder: empty, and removed by whoever made it. */
  readonly folder: string;
  readonly tools: Readonly<Record<string, string>>;
}

export interface DrillOrder {
  readonly drill: string;
  readonly shop: ShopConfig;
  readonly rules: DrillConfig;
  readonly vault: VaultConfig;
  /** At most one of each source. */
  readonly snapshots: readonly SnapshotWithCopies[];
  /** Images without a file in the last drill that was passed; null: there was none. */
  readonly missingBefore: number | null;
  /** Images whose file an older snapshot has and this one has not. */
  readonly formerImages: ReadonlySet<number>;
  /** A server to load databases into; null: one of the drill's own. */
  readonly server: { readonly url: string; readonly password: Secret | null } | null;
}

const LOOK_EVERY_MS = 1000;

/** One source, opened. */
interface Opened {
  readonly snapshot: SnapshotWithCopies;
  readonly manifest: Manifest;
  readonly described: Omit<DrilledSource, 'restored'>;
}

/**
 * Restores and looks. What a restore of this snapshot from this vault would have failed of is in the facts, as a check that was not passed; what
 * is the drill's own trouble is thrown: E_DRILL_SPACE, E_TOOL_MISSING, E_DB_…, E_TARGET_WRITE, the signal's reason.
 */
export async function runDrill(deps: DrillDeps, order: DrillOrder): Promise<DrillFacts> {
  const { clock } = deps;
  const startedAt = clock.now();
  const startedMs = clock.monotonicMs();
  const full = new AbortController();
  const signal = AbortSignal.any([deps.signal, full.signal]);
  const watched = watchSpace(clock, deps.folder, full, signal);
  const drill = new Drill({ ...deps, signal }, order, startedAt);
  try {
    return { ...(await drill.run()), startedAt: startedAt.toString(), endedAt: clock.now().toString(), totalMs: since(clock, startedMs) };
  } catch (error) {
    // what broke because of it says less
    if (!deps.signal.aborted && (full.signal.aborted || (await isNearlyFull(deps.folder).catch(() => false)))) {
      throw full.signal.aborted ? full.signal.reason : noRoom(deps.folder, error);
    }
    throw error;
  } finally {
    watched.stop();
    await drill.close();
  }
}

const since = (clock: Clock, startedMs: number): number => Math.round(clock.monotonicMs() - startedMs);

/** A disk that somebody else fills too: the drill leaves before its server waits for space that does not come. */
function watchSpace(clock: Clock, folder: string, full: AbortController, signal: AbortSignal): { stop(): void } {
  const stopped = new AbortController();
  const watch = async (): Promise<void> => {
    const either = AbortSignal.any([signal, stopped.signal]);
    while (!either.aborted) {
      if (await isNearlyFull(folder).catch(() => false)) {
        full.abort(noRoom(folder));
        return;
      }
      await clock.sleep(LOOK_EVERY_MS, either).catch(() => {});
    }
  };
  void watch();
  return { stop: () => stopped.abort() };
}

const noRoom = (folder: string, cause?: unknown): CoffreError =>
  new CoffreError('E_DRILL_SPACE', `${folder}: the disk is nearly full, the drill leaves what is left to others`, { cause });

/** In a sentence of plain text. */
const spoken = (ms: number): string => exactDurationIn('en', ms).replaceAll('\u00a0', ' ');

type Found = Omit<DrillFacts, 'startedAt' | 'endedAt' | 'totalMs'>;

class Drill {
  readonly #deps: DrillDeps;
  readonly #order: DrillOrder;
  readonly #startedAt: Temporal.Instant;
  readonly #checks: DrillCheck[] = [];
  readonly #phases: DrillPhase[] = [];
  /** As the manifests that were right name them, and the manifests. */
  readonly #objects: NamedObject[] = [];
  readonly #witness = new Witness();
  #vault: Vault | null = null;
  #server: ScratchServer | null = null;
  #session: (ShopSession & { close(): Promise<void> }) | null = null;
  #databaseVersion: string | null = null;

  constructor(deps: DrillDeps, order: DrillOrder, startedAt: Temporal.Instant) {
    this.#deps = deps;
    this.#order = order;
    this.#startedAt = startedAt;
  }

  async run(): Promise<Found> {
    const { folder, onStep, ports, signal } = this.#deps;
    const { formerImages, missingBefore, rules, server, shop, vault } = this.#order;
    onStep('open');
    this.#vault = this.#witness.watch(await ports.openVault(vault));
    const opened: Opened[] = [];
    const sources: DrilledSource[] = [];
    for (const snapshot of this.#order.snapshots) {
      const one = await this.#open(snapshot);
      if (one) opened.push(one);
    }
    const database = opened.find(({ snapshot }) => snapshot.source === 'database') ?? null;
    const tree = opened.find(({ snapshot }) => snapshot.source !== 'database') ?? null;
    await demandSpace(folder, {
      fileBytes: tree?.snapshot.plainBytes ?? 0,
      files: (tree?.manifest.counts.files ?? 0) + (tree?.manifest.counts.directories ?? 0),
      databaseBytes: database !== null && server === null ? database.snapshot.plainBytes : null,
    });
    let restoreMs = 0;
    let databaseThere = false;
    let treeAt: string | null = null;
    if (database) {
      onStep('server');
      const place = await this.#openServer(database.manifest);
      onStep('database');
      const restored = await this.#restore(database, async (restoring) => {
        const target = await ports.openDatabase(place.url, place.password);
        return await restoreDatabase(restoring, database.snapshot, target).finally(() => target.close());
      });
      restoreMs += restored.ms;
      databaseThere = restored.source !== null;
      sources.push({ ...database.described, restored: restored.source && figuresOf(restored.source) });
      if (restored.source) {
        this.#session = await ports.openSession(place.url, place.password);
        this.#checks.push(...(await countChecks(restored.source, database.manifest, this.#session)));
      }
    }
    if (tree) {
      onStep(tree.snapshot.source);
      const directory = join(folder, 'files');
      const restored = await this.#restore(tree, async (restoring) => {
        const target = await ports.openFiles(directory);
        return await restoreFiles(restoring, tree.snapshot, target, null).finally(() => target.close());
      });
      restoreMs += restored.ms;
      sources.push({ ...tree.described, restored: restored.source && figuresOf(restored.source) });
      if (restored.source) {
        if (tree.snapshot.source === 'files') treeAt = directory;
        this.#checks.push(...(await countChecks(restored.source, tree.manifest, null)));
      }
    }
    onStep('checks');
    signal.throwIfAborted();
    const asShop = {
      host: ports.host,
      session: databaseThere ? this.#session : null,
      root: treeAt,
      shop,
      rules,
      missingBefore,
      formerImages,
      signal,
    };
    const asOf = database ? Temporal.Instant.from(database.manifest.asOf) : this.#startedAt;
    this.#checks.push(...(await shopChecks({ ...asShop, manifest: tree?.manifest ?? null, asOf })));
    const { calendar, targetMs } = shop.plan.rto;
    const isWhole = sources.length === this.#order.snapshots.length && sources.every(({ restored }) => restored !== null);
    // what is too long already is too long, whatever lacks
    const kept = restoreMs > targetMs ? false : isWhole ? true : null;
    const took = `the restore took ${spoken(restoreMs)} of the ${spoken(targetMs)} that the plan promises`;
    this.#checks.push({
      ...{ check: 'rto', source: null, ok: kept, code: kept === false ? 'E_DRILL_SLOW' : null, figures: { restoreMs, targetMs } },
      detail: kept === null ? 'not everything was restored: how long it takes is not known' : took,
    });
    const into = { host: hostname(), database: database && this.#placeName(), databaseVersion: this.#databaseVersion };
    const objects = this.#witness.told(this.#objects);
    return {
      ...{ from: describeVault(vault), into, sources, checks: this.#checks, phases: this.#phases, restoreMs, objects },
      ...{ rto: { targetMs, calendar, kept }, tools: { node: process.version, ...this.#deps.tools } },
    };
  }

  /** Null: the manifest is not what it should be, and the facts say so. */
  async #open(snapshot: SnapshotWithCopies): Promise<Opened | null> {
    const { catalog, identities, signal, trusted } = this.#deps;
    const vault = this.#vault as Vault;
    try {
      const { source } = snapshot;
      const row = await objectRow(catalog, snapshot.copies.find((copy) => copy.vault === vault.name)?.manifestObject ?? 0);
      this.#objects.push({ kind: 'manifest', source, key: row.key, versionId: row.versionId, bytes: row.sizeBytes, sha256: row.sha256 });
      const manifest = await readManifest(catalog, vault, snapshot, identities, trusted, signal);
      const { index } = manifest;
      this.#objects.push(
        { kind: 'index', source, key: index.key, versionId: index.versionId, bytes: index.storedBytes, sha256: index.storedSha256 },
        ...manifest.segments.map((segment) => ({
          ...{ kind: 'segment' as const, source, key: segment.key, versionId: segment.versionId },
          ...{ bytes: segment.storedBytes, sha256: segment.storedSha256 },
        })),
      );
      const asOf = Temporal.Instant.from(manifest.asOf);
      const described = {
        ...{ source, snapshot: snapshot.id, asOf: manifest.asOf, manifestSha256: row.sha256, encrypted: manifest.encryption !== 'none' },
        ageMs: Math.max(0, this.#startedAt.epochMilliseconds - asOf.epochMilliseconds),
        counts: { ...manifest.counts } as Record<string, number>,
      };
      return { snapshot, manifest, described };
    } catch (error) {
      this.#failed(snapshot, error, `manifest of ${snapshot.id}`);
      return null;
    }
  }

  /** A restore of one source; what it fails of becomes a check, unless it is the drill's own trouble. */
  async #restore(
    { snapshot, manifest }: Opened,
    work: (deps: RestoreDeps) => Promise<RestoredSource>,
  ): Promise<{ readonly source: RestoredSource | null; readonly ms: number }> {
    const { catalog, clock, identities, onProblem, onProgress, signal, trusted } = this.#deps;
    const startedMs = clock.monotonicMs();
    const deps = { ...{ catalog, clock, identities, trusted, signal, onProgress, onProblem }, vaults: [this.#vault as Vault] };
    try {
      const source = await work(deps);
      this.#phases.push(...source.phases.map((phase) => phaseOf(snapshot, phase)));
      const what = snapshot.source === 'database' ? `${source.tables} tables, ${source.rows} rows` : `${source.files} files`;
      this.#checks.push({
        ...{ check: 'restore', source: snapshot.source, ok: true, code: null },
        detail: `${what} restored; every object’s hash, and each ${snapshot.source === 'database' ? 'table’s rows' : 'file'}, as manifest and index say`,
        figures: { segments: manifest.segments.length, bytes: source.readBytes, restoreMs: source.durationMs },
      });
      return { source, ms: source.durationMs };
    } catch (error) {
      this.#failed(snapshot, error, null);
      return { source: null, ms: since(clock, startedMs) };
    }
  }

  /** Throws what is not the snapshot's fault, nor its vault's. `key`: of an object that nobody has told of yet. */
  #failed(snapshot: SnapshotWithCopies, error: unknown, key: string | null): void {
    const { onProblem, signal } = this.#deps;
    signal.throwIfAborted();
    const failure = asCoffreError(error);
    if (!isCopysFault(failure) && !OF_THE_CONTENT.has(failure.code)) throw failure;
    const { code, message } = failure;
    if (key !== null) onProblem(snapshot.id, { vault: (this.#vault as Vault).name, key, code, message });
    this.#checks.push({ check: 'restore', source: snapshot.source, ok: false, code, detail: message, figures: {} });
  }

  async #openServer({ server: facts }: Manifest): Promise<{ readonly url: string; readonly password: Secret | null }> {
    const { clock, folder, ports, signal } = this.#deps;
    const { drill, server } = this.#order;
    if (server === null) {
      this.#server = await startScratchServer(folder, { clock, signal, lowerCaseTableNames: facts?.lowerCaseTableNames ?? '0' });
      const session = await ports.openSession(this.#server.url('mysql'), null);
      this.#databaseVersion = await session.texts('SELECT VERSION()').then(([row]) => row?.[0] ?? null);
      await session.close();
      return { url: this.#server.url('shop'), password: null };
    }
    const database = scratchDatabase(drill);
    const url = withDatabase(server.url, database);
    const session = await ports.openSession(withDatabase(server.url, 'information_schema'), server.password).catch((error: unknown) => {
      throw refusedLogin(error, server.password);
    });
    try {
      const [[version, scheduler] = [null, null]] = await session.texts('SELECT VERSION(), @@event_scheduler');
      this.#databaseVersion = version ?? null;
      refuseEvents(scheduler ?? null);
    } finally {
      await session.close();
    }
    return { url, password: server.password };
  }

  #placeName(): string {
    return this.#order.server === null ? 'a server of its own' : 'a database of its own in a configured server';
  }

  /** Never throws: the folder, what is in it, and the database in a configured server are removed by whoever made the folder. */
  async close(): Promise<void> {
    await this.#session?.close().catch(() => {});
    await this.#server?.stop();
    await this.#vault?.close().catch(() => {});
  }
}

/** What a restore would fail of with any target. */
const OF_THE_CONTENT: ReadonlySet<string> = new Set(['E_LOAD_MISMATCH', 'E_UNKNOWN_SNAPSHOT', 'E_CATALOG']);

/** `IF EXISTS`: a drill may have been killed before it was made. Throws E_DB_…. */
export async function dropDatabase(
  ports: Pick<DrillPorts, 'openSession'>,
  url: string,
  password: Secret | null,
  database: string,
): Promise<void> {
  const session = await ports.openSession(url, password);
  try {
    await session.run(`DROP DATABASE IF EXISTS \`${database}\``);
  } finally {
    await session.close();
  }
}

/** `scheduler`: @@event_scheduler of the server: a restored shop's events would do there what they do in the shop. Throws E_CONFIG. */
export function refuseEvents(scheduler: string | null): void {
  if (scheduler !== 'ON' && scheduler !== '1') return;
  throw new CoffreError('E_CONFIG', 'the server of restore.drillDatabase runs events: those of a restored shop would run too', {
    hint: 'SET GLOBAL event_scheduler=OFF there, and in its configuration; or leave restore.drillDatabase out',
  });
}

/** Of restore.drillDatabase: the table's hint is of a shop's own user. */
export function refusedLogin(error: unknown, password: Secret | null): unknown {
  if (!(error instanceof CoffreError) || error.code !== 'E_DB_AUTH') return error;
  const where = password === null ? 'it has no passwordFile' : `its password is from ${password.from}`;
  return new CoffreError(error.code, error.message, { cause: error, hint: `check the user in restore.drillDatabase; ${where}` });
}

export function withDatabase(url: string, database: string): string {
  const made = new URL(url);
  made.pathname = `/${database}`;
  return made.toString();
}

function figuresOf({ bytes, tables, rows, files, durationMs }: RestoredSource): NonNullable<DrilledSource['restored']> {
  return { bytes, tables: tables ?? null, rows: rows ?? null, files: files ?? null, durationMs };
}

function phaseOf({ source }: SnapshotWithCopies, { bytes, ms, ...rest }: RestoredSource['phases'][number]): DrillPhase {
  return { source, ...rest, bytes: Math.round(bytes), ms: Math.max(0, Math.round(ms)) };
}

function describeVault(vault: VaultConfig): DrilledVault {
  const { name, type, media, site, offsite } = vault;
  const where =
    vault.type === 's3'
      ? { endpoint: vault.endpoint, region: vault.region, bucket: vault.bucket, prefix: vault.prefix }
      : { endpoint: vault.path, region: null, bucket: null, prefix: null };
  return { name, type, ...where, media, site, offsite };
}

// The restore unit's `in-place`: a running shop, files and database together, as the owner of its tree.
import { accessSync, constants, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openCatalogToRead } from '../../catalog/open.ts';
import { getSnapshot, type SnapshotWithCopies } from '../../catalog/snapshots.ts';
import type { Config, ShopConfig } from '../../config/config.ts';
import { CoffreError } from '../../errors.ts';
import type { RestoredSource } from '../../restore/execute.ts';
import type { InPlaceLook, InPlaceRequest } from '../../restore/in-place.ts';
import { InPlaceJournal, isAtWork, JOURNAL_FOLDER, peekJournal } from '../../restore/in-place-journal.ts';
import { goBackInPlace, type InPlaceDeps, lookAtOrder, runInPlace } from '../../restore/in-place-run.ts';
import { shopIdentities, trustedKeys, vaultOrder } from '../../restore/keys.ts';
import { compilePaths } from '../../restore/paths.ts';
import { snapshotFiles, snapshotTables } from '../../restore/snapshot-files.ts';
import type { SourceKind } from '../../source/source.ts';
import { CORE_TABLES } from '../../target/shop/checks.ts';
import { bearsOurMark } from '../../target/shop/switch.ts';
import type { ShopState } from '../../target/shop.ts';
import type { Vault } from '../../vault/vault.ts';
import type { LandingFiles, OpenShop } from '../adapters.ts';
import type { RestoredHere } from '../restore/database.ts';
import { filesTargetOptions, landedFiles, previewFiles } from '../restore/files.ts';
import { findShop } from '../shop.ts';
import { treeOwner } from './files.ts';
import { demandUnattended, type Owner, scratchOwner, type UnitDeps, type UnitTask } from './task.ts';

export const inPlaceTask: UnitTask<InPlaceRequest> = {
  admit(config, request, peerUid) {
    if (request.action !== 'look') demandUnattended(config, peerUid, 'have a shop restored in place');
    const refuse = (what: string): CoffreError => new CoffreError('E_RESTORE_REFUSED', what);
    if (peerUid !== 0 && request.keepSetuid) throw refuse('only root may bring setuid bits and devices back');
    if (peerUid !== 0 && request.domain !== null) throw refuse('only root may change the address of a shop');
    const shop = shopOf(config, request);
    return ownerFor(config, shop);
  },

  async serve(deps, request) {
    const { config } = deps;
    const shop = shopOf(config, request);
    if (ownerFor(config, shop).uid !== process.geteuid?.()) {
      throw new CoffreError('E_RESTORE_REFUSED', 'the tree’s owner changed while the restore began');
    }
    const folder = journalFolder(config, shop);
    if (request.action === 'look') {
      // in this order: whoever is at work may be done a moment later, and what is open then is not
      const atWork = await isAtWork(folder);
      return { ...lookAtOrder(peekJournal(folder), request), atWork } satisfies InPlaceLook;
    }
    await using unit = new Opened();
    if (request.action === 'preflight') return await preflight(deps, request, shop, unit, folder);
    using journal = await InPlaceJournal.open(folder, shop.name, deps.clock);
    const landed: LandingFiles[] = [];
    const run = { ...(await reading(deps, request, shop, unit, (target) => landed.push(target))), journal };
    const result = await (request.action === 'rollback' ? goBackInPlace(request, run) : runInPlace(request, run));
    return { ...result, restored: result.restored.map((one) => describeLanded(one, request, landed.at(-1))) };
  },
};

/** Throws E_RESTORE_REFUSED, E_UNKNOWN_SHOP. */
function shopOf(config: Config, { shop: name, from, database, files }: InPlaceRequest): ShopConfig {
  const shop = findShop(config, name);
  const refuse = (what: string): CoffreError => new CoffreError('E_RESTORE_REFUSED', `shop ${shop.name} has no ${what}`);
  if (from !== null && !shop.vaults.includes(from)) throw refuse('such vault');
  if (database !== null && shop.database === null) throw refuse('database');
  if (files !== null && shop.files === null) throw refuse('files');
  return shop;
}

/** A tree on this machine is its owner's to write; what is only elsewhere is nobody's here. Throws E_RESTORE_REFUSED. */
function ownerFor(config: Config, shop: ShopConfig): Owner {
  return shop.host.type === 'local' && shop.files !== null ? treeOwner(shop, shop.files.root) : scratchOwner(config);
}

/** Inside a tree that is here, so that it goes where the tree goes; else in the unit's own folder. */
function journalFolder(config: Config, shop: ShopConfig): string {
  return shop.host.type === 'local' && shop.files !== null
    ? join(shop.files.root, JOURNAL_FOLDER)
    : join(config.restore.scratchDir, 'in-place', shop.name);
}

/** What is closed at the end, in reverse order. */
class Opened implements AsyncDisposable {
  readonly #opened: { close(): Promise<unknown> }[] = [];

  add<T extends { close(): Promise<unknown> }>(one: T): T {
    this.#opened.push(one);
    return one;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#opened.reverse()) await one.close().catch(() => {});
  }
}

async function reading(
  { clock, config, adapters, signal, onStep, onProgress, onProblem }: UnitDeps,
  request: InPlaceRequest,
  shop: ShopConfig,
  unit: Opened,
  onTarget: (target: LandingFiles) => void = () => {},
): Promise<Omit<InPlaceDeps, 'journal'>> {
  const catalog = await openCatalogToRead(config.stateDir);
  unit.add({ close: async () => await catalog[Symbol.asyncDispose]() });
  const identities = await shopIdentities(config, shop.name);
  const trusted = await trustedKeys(config);
  const vaults: Vault[] = [];
  for (const vault of vaultOrder(config, shop, request.from)) vaults.push(unit.add(await adapters.openVault(vault)));
  const open = unit.add(await adapters.openShop(shop, { database: shop.database !== null }));
  const files = shop.files;
  return {
    ...{ catalog, clock, vaults, identities, trusted, signal, onProgress, onProblem, onStep },
    shop: {
      root: files?.root ?? null,
      target: open.target,
      tables: (where) => open.tables(where),
      async openFiles(snapshot, paths, remove) {
        const target = await openFiles(adapters, shop, request, snapshot, paths, remove);
        onTarget(target);
        return target;
      },
      openDatabase: async () => open.openDatabase(() => {}),
      discardFiles: () => open.discardFiles(),
      http: open.http,
    },
    snapshotOf: async (id, source) => {
      const snapshot = await getSnapshot(catalog, id);
      if (snapshot.shop === shop.name && snapshot.source === source) return snapshot;
      throw new CoffreError('E_UNKNOWN_SNAPSHOT', `shop ${shop.name} has no snapshot ${id} of its ${source}`);
    },
  };
}

/** With what its target did with what was there. */
function describeLanded(one: RestoredSource, { checksum }: InPlaceRequest, target: LandingFiles | undefined): RestoredHere {
  return one.source === 'files' && target ? { ...landedFiles(one, target), bySizeAndTime: !checksum } : one;
}

async function openFiles(
  adapters: UnitDeps['adapters'],
  shop: ShopConfig,
  { checksum, keepSetuid }: Pick<InPlaceRequest, 'checksum' | 'keepSetuid'>,
  snapshot: SnapshotWithCopies,
  paths: readonly string[],
  remove: boolean,
): Promise<LandingFiles> {
  const options = {
    ...{ overwrite: true, checksum, keepSetuid, delete: remove, table: [] },
    ...(shop.host.type === 'local' ? {} : { toHost: true }),
  };
  const { root } = shop.files as { root: string };
  return await adapters.openFilesTarget(root, filesTargetOptions(shop, options, snapshot, compilePaths(paths)));
}

/** Asks everything that can be known before the shop is touched. Throws what would make the restore fail. */
async function preflight(deps: UnitDeps, request: InPlaceRequest, shop: ShopConfig, unit: Opened, folder: string): Promise<InPlaceLook> {
  const look = lookAtOrder(peekJournal(folder), request);
  // Of the open one the checks were made, and the space is partly its own; and what swapped something only goes on.
  if (look.open !== null && (look.open.swapped || look.open.order.request === request.request)) return look;
  if (await isAtWork(folder)) {
    throw new CoffreError('E_BUSY', `${shop.name}: another restore in place is running`, { hint: 'wait for it, or stop it' });
  }
  demandWritable(request, shop, folder);
  const run = await reading(deps, request, shop, unit);
  const open = unit.add(await deps.adapters.openShop(shop, { database: request.database !== null }));
  const notes: string[] = [];
  // what the snapshots lack first: no right and no room mends that
  const state = await open.target.inspect(open.tables('running'), deps.signal);
  notes.push(...(await demandTables(run, open, request, shop, state)));
  await demandRoom(run, open, request, shop, deps);
  if (request.database) {
    await using database = closing(open.openDatabase(() => {}));
    await database.probe(request.database.tables);
  }
  if (state.kind.application === 'generic') notes.push('coffre knows no maintenance page of this shop: its pages are not closed meanwhile');
  if (bearsOurMark(state.switch)) notes.push(MARKED);
  return { ...look, notes };
}

const MARKED =
  'the shop’s own maintenance switch stands as a restore of coffre sets it, with none open: clients are kept out now, and the restore opens it';

/** The journal goes into the tree; a look makes nothing there. Throws E_TARGET_WRITE. */
function demandWritable({ files }: InPlaceRequest, shop: ShopConfig, folder: string): void {
  const root = dirname(folder);
  if (!existsSync(root)) return;
  try {
    accessSync(root, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new CoffreError('E_TARGET_WRITE', `${root} cannot be written: ${(cause as NodeJS.ErrnoException).code}`, {
      cause,
      hint: `its owner, who restores ${shop.name}${files ? '’s files' : ''}, needs the right to make a folder in it`,
    });
  }
}

/**
 * Tables without which no PrestaShop is opened after its restore: where the snapshot lacks some that the running shop has, that is known before
 * anything is touched. What both lack is said only. Throws E_SHOP_TABLES, vault and integrity codes.
 */
async function demandTables(
  run: Omit<InPlaceDeps, 'journal'>,
  open: OpenShop,
  { database }: InPlaceRequest,
  shop: ShopConfig,
  { kind, missingTables = [] }: ShopState,
): Promise<readonly string[]> {
  const tables = open.tables('running');
  if (database === null) return [];
  const snapshot = await run.snapshotOf(database.snapshot, 'database');
  if (database.tables !== null || tables === null || kind.application !== 'prestashop') return [];
  const { names, all } = await snapshotTables(run, snapshot);
  const lacking = CORE_TABLES.filter((name) => !names.has((tables.prefix + name).toLowerCase()));
  const refused = lacking.filter((name) => !missingTables.includes(name));
  const named = (names: readonly string[]): string => names.map((name) => tables.prefix + name).join(', ');
  if (refused.length > 0 && all) {
    throw new CoffreError(
      'E_SHOP_TABLES',
      `snapshot ${snapshot.id} lacks ${named(refused)}, which ${shop.name} has and no PrestaShop goes without`,
      {
        hint: `nothing was touched; an older snapshot may have it (coffre snapshots ${shop.name}, --at), or single tables come by --source database --table`,
      },
    );
  }
  if (refused.length > 0) return [`whether the snapshot has ${named(refused)} is known once it is loaded`];
  return lacking.length > 0 ? [`the snapshot lacks ${named(lacking)}, and so does the shop now`] : [];
}

function closing<T extends { close(): Promise<void> }>(one: T): T & AsyncDisposable {
  return Object.assign(one, { [Symbol.asyncDispose]: () => one.close() });
}

/** What does not fit now will not fit later; what does may still fail, and leaves the shop as it was. */
async function demandRoom(
  run: Omit<InPlaceDeps, 'journal'>,
  open: OpenShop,
  request: InPlaceRequest,
  shop: ShopConfig,
  deps: UnitDeps,
): Promise<void> {
  const free = await open.free();
  const refuse = (source: SourceKind, needed: number, there: number): CoffreError =>
    new CoffreError(
      'E_TARGET_SPACE',
      `${shop.name}: its ${source} would need ${needed} bytes beside what is there, and ${there} are free`,
      {
        hint: 'nothing was touched; free space where the shop is',
      },
    );
  if (request.files) {
    const { paths, remove } = request.files;
    const snapshot = await run.snapshotOf(request.files.snapshot, 'files');
    const target = await openFiles(deps.adapters, shop, request, snapshot, paths, remove);
    try {
      const preview = await previewFiles(target, snapshot, snapshotFiles(run, snapshot, compilePaths(paths)));
      const needed = preview?.bytes ?? (preview ? snapshot.plainBytes : 0);
      if (free.files !== null && needed > free.files) throw refuse('files', needed, free.files);
    } finally {
      await target.close();
    }
  }
  if (request.database && free.database !== null) {
    const { plainBytes } = await run.snapshotOf(request.database.snapshot, 'database');
    if (request.database.tables === null && plainBytes > free.database) throw refuse('database', plainBytes, free.database);
  }
}

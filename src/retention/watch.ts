// The daily look at everything that a shop's vaults hold: versions, markers, uploads, locks and bytes against catalog and ledger.
import { Temporal } from 'temporal-polyfill';
import { Ledger } from '../billing/ledger.ts';
import { level } from '../billing/level.ts';
import { type IncidentRow, type Look, recordLook, type Sighting } from '../catalog/incidents.ts';
import { IS_LIVE, shopsHeld, vaultsHolding } from '../catalog/live-objects.ts';
import type { Catalog } from '../catalog/open.ts';
import { markInterrupted, recordRun } from '../catalog/runs.ts';
import { lockShop } from '../catalog/shop-lock.ts';
import type { ObjectRow } from '../catalog/snapshots.ts';
import type { IncidentKind } from '../catalog/tables/incidents.ts';
import type { Clock } from '../clock.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { newId } from '../segment/id.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { checkSkew } from '../vault/clock-skew.ts';
import { inParallel } from '../vault/in-parallel.ts';
import { isAsStrong } from '../vault/lock-mode.ts';
import type { Lock, LockMode, Vault } from '../vault/vault.ts';
import { inFlightMarginMs } from './margins.ts';
import { type Finding, RECONCILED, type Reconciled, reconcile } from './reconcile.ts';

/** Objects asked about at once in one vault. */
const ASKS_IN_FLIGHT = 8;
/** Objects held in memory at once. */
const ROWS_AT_ONCE = 1_000;
const ALL_KINDS: readonly IncidentKind[] = [...RECONCILED, 'lock', 'drift'];
/** Of what lies beside the shops so many are named: a bucket that somebody else uses may hold a million. */
const MOST_FOREIGN = 100;

export interface WatchDeps {
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** By its configured name. Throws E_UNKNOWN_VAULT and vault codes. */
  readonly openVault: (name: string) => Promise<Vault>;
  /** Vaults of each declared shop: what else lies in a vault is looked for with the daemon's own objects. Left out: it is not. */
  readonly declared?: ReadonlyMap<string, readonly string[]>;
  /** Told of each incident once, after it was written down: for logs, and for whoever is to be called. */
  readonly onIncident?: (incident: IncidentRow) => void | Promise<void>;
  /** In which times are told; left out: this machine's. */
  readonly timezone?: string;
}

export interface WatchRequest {
  /** A shop, or `_coffre` for what the daemon itself keeps. */
  readonly shop: string;
  /** Vaults that the shop is configured with; those that still hold something of it are visited too. */
  readonly vaults: readonly string[];
  readonly retentionMs: number;
  /** limits.clockSkew. */
  readonly clockSkewMs: number;
  /** For the audit log. */
  readonly who: string;
  /** Of the run that is queued for this; a new one when left out. */
  readonly runId?: string | undefined;
  readonly signal?: AbortSignal;
}

/** Sizes in bytes. */
export interface WatchedVault {
  readonly vault: string;
  /** Versions and delete markers listed. */
  readonly versions: number;
  readonly storedBytes: number;
  readonly ledgerBytes: number;
  /** Locks read back. */
  readonly locks: number;
  /** What nobody has acknowledged. */
  readonly found: readonly Sighting[];
}

export interface WatchResult {
  readonly shop: string;
  readonly vaults: readonly WatchedVault[];
  /** Vaults that could not be looked at, and why. */
  readonly errors: readonly { readonly vault: string; readonly code: string; readonly message: string; readonly hint: string }[];
}

/**
 * Compares what each vault lists under the shop with catalog and ledger, and reads every lock back. What coffre cannot explain by what
 * it did itself becomes an incident; nothing of the ledger's past is changed; bytes that do not agree are said, and a row of their own makes them agree from now on.
 * A lock that somebody shortened is given again, and stays an incident. Holds the shop's lock. Throws E_BUSY, E_STATE… and the
 * signal's reason; a vault that does not answer is in `errors`.
 */
export async function watchShop(deps: WatchDeps, request: WatchRequest): Promise<WatchResult> {
  const { catalog, clock } = deps;
  const { shop, signal } = request;
  const lock = await lockShop(catalog.stateDir, clock, shop, 'a reconciliation', deps.timezone);
  try {
    await markInterrupted(catalog, clock, shop);
    const run = { id: request.runId ?? newId(clock), kind: 'reconcile', shop, source: null, who: request.who } as const;
    return await recordRun(catalog, clock, run, async () => {
      const vaults: WatchedVault[] = [];
      const errors: { vault: string; code: string; message: string; hint: string }[] = [];
      for (const name of [...new Set([...request.vaults, ...(await vaultsHolding(catalog.db, shop))])].sort()) {
        signal?.throwIfAborted();
        try {
          vaults.push(await watchVault(deps, request, name));
        } catch (error) {
          signal?.throwIfAborted();
          const { code, message, hint } = asCoffreError(error, 'E_VAULT_IO', name);
          errors.push({ vault: name, code, message, hint });
        }
      }
      const result = { shop, vaults, errors };
      return { result, failure: watchShortfall(result) };
    });
  } finally {
    lock.release();
  }
}

/** Why not everything could be looked at, or null. Incidents are no failure of the look. */
export function watchShortfall({ shop, errors }: WatchResult): CoffreError | null {
  const [first] = errors;
  return first ? new CoffreError(first.code as 'E_VAULT_IO', `${shop}: ${first.message}`, { hint: first.hint }) : null;
}

async function watchVault(deps: WatchDeps, request: WatchRequest, name: string): Promise<WatchedVault> {
  const { catalog, clock, openVault, onIncident } = deps;
  const { shop, who, signal } = request;
  const opened: IncidentRow[] = [];
  const record = async (kinds: readonly IncidentKind[], sightings: readonly Sighting[]): Promise<readonly Sighting[]> => {
    const recorded = await recordLook(catalog, clock, { vault: name, shop, kinds, sightings, who } satisfies Look);
    opened.push(...recorded.opened);
    return recorded.unacknowledged;
  };
  const ledger = new Ledger(catalog, clock);
  const vault = await openVault(name);
  try {
    await checkSkew(vault, clock, request.clockSkewMs);
    const say = async (one: Sighting): Promise<void> => void (await record([], [one]));
    const look = async (): Promise<{ seen: Reconciled; ledgerBytes: number; drift: Sighting[] }> => {
      await ledger.resolveIntents(vault, shop, { olderThanMs: inFlightMarginMs(request.retentionMs), ...(signal && { signal }) });
      const seen = await reconcile(catalog, ledger, vault, shop, signal, (finding) => say(sighting(finding)));
      const ledgerBytes = await level(catalog, { vault: name, shop });
      return { seen, ledgerBytes, drift: driftOf(seen, ledgerBytes) };
    };
    let { seen, ledgerBytes, drift } = await look();
    const sightings = seen.findings.map(sighting);
    // a listing may lag behind, and a probe of another process may be under way: only what is still so counts
    if (drift.length > 0) {
      ({ seen, ledgerBytes, drift } = await look());
      sightings.push(...seen.findings.map(sighting));
    }
    sightings.push(...drift);
    for (const { detail, sizeBytes, ...one } of drift) {
      // said first: once the ledger agrees nobody would see it
      await say({ ...one, sizeBytes, detail });
      await ledger.drifted(name, shop, sizeBytes, `reconciliation: ${detail}`);
    }
    let locks = 0;
    for await (const rows of storedObjects(catalog, name, shop)) {
      signal?.throwIfAborted();
      const locked = rows.filter((row) => row.retainUntil !== null && row.retainUntil > clock.nowMs());
      locks += locked.length;
      sightings.push(...damaged(rows), ...(await readLocks(clock, ledger, vault, locked, say, signal)));
    }
    const beside = shop === DAEMON_SHOP && deps.declared !== undefined ? await besideShops(catalog, vault, deps.declared, signal) : null;
    const found = await record(beside === null ? ALL_KINDS : [...ALL_KINDS, 'foreign prefix'], [...sightings, ...(beside ?? [])]);
    return { vault: name, versions: seen.versions, storedBytes: seen.storedBytes, ledgerBytes, locks, found };
  } finally {
    await vault.close().catch(() => {});
    for (const incident of opened) await onIncident?.(incident);
  }
}

/** What lies in a vault and belongs to no shop that is looked at there: nobody meters it, and nobody would see it. */
async function besideShops(
  catalog: Catalog,
  vault: Vault,
  declared: ReadonlyMap<string, readonly string[]>,
  signal: AbortSignal | undefined,
): Promise<Sighting[]> {
  const held = await shopsHeld(catalog.db);
  const found: Sighting[] = [];
  for await (const name of vault.listNames()) {
    signal?.throwIfAborted();
    const shop = name.endsWith('/') ? name.slice(0, -1) : null;
    const vaults = shop === null ? [] : shop === DAEMON_SHOP ? [vault.name] : declared.get(shop);
    // what is declared no more is looked at wherever it may be
    if (vaults === undefined ? held.includes(shop ?? '') : vaults.includes(vault.name)) continue;
    if (shop !== null && (await vaultsHolding(catalog.db, shop)).includes(vault.name)) continue;
    found.push({ kind: 'foreign prefix', key: name, versionId: '', sizeBytes: 0, detail: 'of no shop that coffre keeps here' });
    if (found.length === MOST_FOREIGN) break;
  }
  return found;
}

function sighting({ what, key, versionId, sizeBytes, detail }: Finding): Sighting {
  return { kind: what, key, versionId, sizeBytes, detail };
}

function driftOf({ storedBytes, unsettledBytes }: Reconciled, ledgerBytes: number): Sighting[] {
  const sizeBytes = storedBytes - unsettledBytes - ledgerBytes;
  if (sizeBytes === 0) return [];
  const detail = `the store lists ${storedBytes - unsettledBytes} bytes, the ledger says ${ledgerBytes}`;
  return [{ kind: 'drift', key: '', versionId: '', sizeBytes, detail }];
}

/** What the vault holds of ours, as the catalog knows it, in pages: after a reconciliation all of it is there. */
async function* storedObjects(catalog: Catalog, vault: string, shop: string): AsyncGenerator<readonly ObjectRow[]> {
  // each kind is a stretch of the index that knows only of what is there
  for (const kind of ['segment', 'index', 'manifest', 'key', 'probe', 'state', 'stray'] as const) {
    for (let after = 0, more = true; more; ) {
      const rows = await catalog.db
        .selectFrom('objects')
        .selectAll()
        .where('vault', '=', vault)
        .where('shop', '=', shop)
        .where('kind', '=', kind)
        .where(IS_LIVE)
        .where('state', '=', 'stored')
        .where('id', '>', after)
        .orderBy('id')
        .limit(ROWS_AT_ONCE)
        .execute();
      if (rows.length > 0) yield rows;
      more = rows.length === ROWS_AT_ONCE;
      after = rows.at(-1)?.id ?? after;
    }
  }
}

/** What a verification found in the bytes, until a catch-up has stored it anew. */
function damaged(present: readonly ObjectRow[]): Sighting[] {
  return present.flatMap((row): Sighting[] =>
    row.damage === null || row.kind === 'stray'
      ? []
      : [{ kind: 'altered', key: row.key, versionId: row.versionId ?? '', sizeBytes: row.sizeBytes, detail: `read: ${row.damage}` }],
  );
}

/** Reads each lock back. Longer than we knew is written down; shorter or weaker is an incident, and is given again where the store lets us. */
async function readLocks(
  clock: Clock,
  ledger: Ledger,
  vault: Vault,
  rows: readonly ObjectRow[],
  say: (sighting: Sighting) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<Sighting[]> {
  const found: Sighting[] = [];
  const longer = new Map<number, Lock | null>();
  await inParallel(rows, ASKS_IN_FLIGHT, async (row) => {
    signal?.throwIfAborted();
    const object = await vault.stat(row.key, row.versionId ?? '');
    // gone since it was listed: the next look tells why; and a lock that ended while we asked promised nothing more
    if (object === null || (row.retainUntil ?? 0) <= clock.nowMs()) return;
    const promised = { mode: row.lockMode as LockMode, until: row.retainUntil ?? 0 };
    const lock = object.lock;
    const untilMs = lock?.retainUntil.epochMilliseconds ?? 0;
    if (lock && isAsStrong(lock.mode, promised.mode) && untilMs >= promised.until) {
      if (untilMs > promised.until) longer.set(row.id, lock);
      return;
    }
    const until = Temporal.Instant.fromEpochMilliseconds(promised.until);
    const was = lock ? `${lock.mode} until ${lock.retainUntil}` : 'no lock';
    const sighting = { kind: 'lock', key: row.key, versionId: row.versionId ?? '', sizeBytes: row.sizeBytes } as const;
    const detail = `${was}, ${promised.mode} until ${until} was read back before`;
    // said first: once it is locked again nobody would see it
    await say({ ...sighting, detail });
    found.push({ ...sighting, detail: `${detail}; ${await lockAgain(vault, row, promised.mode, until, signal)}` });
  });
  await ledger.locksRead(longer);
  return found;
}

async function lockAgain(vault: Vault, row: ObjectRow, mode: LockMode, until: Temporal.Instant, signal?: AbortSignal): Promise<string> {
  try {
    const lock = await vault.extendLock(row.key, row.versionId ?? '', until, signal);
    const said = `${lock.mode} until ${lock.retainUntil}`;
    return isAsStrong(lock.mode, mode) ? `locked again, ${said}` : `could only be locked ${said}`;
  } catch (error) {
    return `could not be locked again: ${asCoffreError(error).code}`;
  }
}

// Keeps the locks of what must stay ahead of the clock: the newest good snapshot of each source, held ones, longer windows.
import { Temporal } from 'temporal-polyfill';
import type { Ledger } from '../billing/ledger.ts';
import { IS_LIVE } from '../catalog/live-objects.ts';
import type { Catalog } from '../catalog/open.ts';
import { type ObjectRow, objectsOf, snapshotSegments } from '../catalog/snapshots.ts';
import { CoffreError } from '../errors.ts';
import { isAsStrong } from '../vault/lock-mode.ts';
import type { Lock, LockMode, Vault } from '../vault/vault.ts';
import { readRules, readSnapshots } from './facts.ts';
import { lockNeeds } from './lock-needs.ts';

export interface KeepAheadRequest {
  readonly shop: string;
  readonly retentionMs: number;
  readonly ceilingMs: number;
  readonly now: Temporal.Instant;
  readonly signal?: AbortSignal | undefined;
}

export interface Extension {
  readonly snapshot: string;
  readonly vault: string;
  readonly until: Temporal.Instant;
  readonly objects: number;
}

/**
 * In one vault: moves every lock that ends before what lockNeeds asks for, and the shop's identity with them. Segments before index
 * before manifest, so that no crash leaves a manifest locked for longer than what it names. Throws E_LOCK_CEILING, E_LOCK_DROPPED,
 * E_OBJECT_MISSING or what the vault throws.
 */
export async function keepAhead(catalog: Catalog, ledger: Ledger, vault: Vault, request: KeepAheadRequest): Promise<Extension[]> {
  const { now, ceilingMs, shop } = request;
  const nowMs = now.epochMilliseconds;
  const needs = await catalog.transaction(async (tx) => {
    const snapshots = await readSnapshots(tx, shop, []);
    const here = new Set(snapshots.flatMap((it) => (it.copies.some((copy) => copy.vault === vault.name) ? [it.id] : [])));
    return lockNeeds(snapshots, nowMs, await readRules(tx, request)).filter((need) => here.has(need.snapshot));
  });
  const extensions: Extension[] = [];
  for (const { snapshot, needed, wanted } of needs) {
    const rows = await objectsToLock(catalog, vault, shop, snapshot);
    const isShort = (row: ObjectRow, end: number): boolean => (row.retainUntil ?? 0) < end;
    if (!rows.some((row) => isShort(row, needed))) continue;
    const target = Math.min(wanted, nowMs + ceilingMs);
    if (target < needed) {
      throw new CoffreError('E_LOCK_CEILING', `${vault.name}: locks of snapshot ${snapshot} are needed until ${instant(needed)}`);
    }
    // the identity must outlast whatever is moved
    const short = rows.filter((row) => isShort(row, row.kind === 'key' ? target : needed));
    for (const row of short) {
      request.signal?.throwIfAborted();
      await extend(ledger, vault, row, { wanted: instant(target), needed: instant(needed), signal: request.signal });
    }
    extensions.push({ snapshot, vault: vault.name, until: instant(target), objects: short.length });
  }
  return extensions;
}

const instant = (epochMs: number): Temporal.Instant => Temporal.Instant.fromEpochMilliseconds(epochMs);

async function objectsToLock(catalog: Catalog, vault: Vault, shop: string, snapshot: string): Promise<ObjectRow[]> {
  const segments = (await snapshotSegments(catalog, snapshot)).map((segment) => segment.id);
  const keys = await catalog.db
    .selectFrom('objects')
    .selectAll()
    .where('vault', '=', vault.name)
    .where('shop', '=', shop)
    .where('kind', '=', 'key')
    .where(IS_LIVE)
    .where('state', '=', 'stored')
    .execute();
  return [
    ...keys,
    ...(await objectsOf(catalog, vault.name, segments, 'segment')),
    ...(await objectsOf(catalog, vault.name, [snapshot], 'index')),
    ...(await objectsOf(catalog, vault.name, [snapshot], 'manifest')),
  ];
}

interface Ends {
  readonly wanted: Temporal.Instant;
  readonly needed: Temporal.Instant;
  readonly signal: AbortSignal | undefined;
}

async function extend(ledger: Ledger, vault: Vault, row: ObjectRow, { wanted, needed, signal }: Ends): Promise<void> {
  const lock: Lock = await vault.extendLock(row.key, row.versionId ?? '', wanted, signal);
  await ledger.lockRead(row.id, lock);
  // what was promised when it was stored: the vault's mode may have been changed since
  const promised = (row.lockMode as LockMode | null) ?? vault.lockMode;
  if (!isAsStrong(lock.mode, promised) || Temporal.Instant.compare(lock.retainUntil, needed) < 0) {
    throw new CoffreError(
      'E_LOCK_DROPPED',
      `${vault.name}: ${row.key} reads back ${lock.mode} until ${lock.retainUntil}, needed ${promised} until ${needed}`,
    );
  }
}

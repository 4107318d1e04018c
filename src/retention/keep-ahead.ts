// Keeps the locks of the newest good snapshot of each source ahead of the clock, for as long as no newer one takes its place.
import { Temporal } from 'temporal-polyfill';
import type { Ledger } from '../billing/ledger.ts';
import type { Catalog } from '../catalog/open.ts';
import { latestGood, type ObjectRow, objectsOf, type SnapshotWithCopies, snapshotSegments } from '../catalog/snapshots.ts';
import { CoffreError } from '../errors.ts';
import { isAsStrong } from '../vault/lock-mode.ts';
import type { Lock, LockMode, Vault } from '../vault/vault.ts';
import { newestGoodExtensionMs, newestGoodMarginMs } from './margins.ts';

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

const SOURCES = ['database', 'files', 'server'] as const;

/**
 * In one vault: moves every lock of the newest good snapshots that ends within newestGoodMarginMs to newestGoodExtensionMs from now,
 * and the shop's identity with them. Segments before index before manifest, so that no crash leaves a manifest locked for
 * longer than what it names. Throws E_LOCK_CEILING, E_LOCK_DROPPED, E_OBJECT_MISSING or what the vault throws.
 */
export async function keepAhead(catalog: Catalog, ledger: Ledger, vault: Vault, request: KeepAheadRequest): Promise<Extension[]> {
  const { now, retentionMs, ceilingMs } = request;
  const needed = now.add({ milliseconds: newestGoodMarginMs(retentionMs) });
  const wanted = now.add({ milliseconds: Math.min(newestGoodExtensionMs(retentionMs), ceilingMs) });
  const extensions: Extension[] = [];
  for (const source of SOURCES) {
    const snapshot = await latestGood(catalog, request.shop, source);
    if (!snapshot?.copies.some((copy) => copy.vault === vault.name)) continue;
    const rows = await objectsToLock(catalog, vault, snapshot);
    const isShort = (row: ObjectRow, end: Temporal.Instant): boolean => (row.retainUntil ?? 0) < end.epochMilliseconds;
    if (!rows.some((row) => isShort(row, needed))) continue;
    // the identity must outlast whatever is moved
    const short = rows.filter((row) => isShort(row, row.kind === 'key' ? wanted : needed));
    if (Temporal.Instant.compare(wanted, needed) < 0) {
      throw new CoffreError('E_LOCK_CEILING', `${vault.name}: locks of snapshot ${snapshot.id} are needed until ${needed}`);
    }
    for (const row of short) {
      request.signal?.throwIfAborted();
      await extend(ledger, vault, row, wanted, needed);
    }
    extensions.push({ snapshot: snapshot.id, vault: vault.name, until: wanted, objects: short.length });
  }
  return extensions;
}

async function objectsToLock(catalog: Catalog, vault: Vault, snapshot: SnapshotWithCopies): Promise<ObjectRow[]> {
  const segments = (await snapshotSegments(catalog, snapshot.id)).map((segment) => segment.id);
  const keys = await catalog.db
    .selectFrom('objects')
    .selectAll()
    .where('vault', '=', vault.name)
    .where('shop', '=', snapshot.shop)
    .where('kind', '=', 'key')
    .where('state', '=', 'stored')
    .execute();
  return [
    ...keys,
    ...(await objectsOf(catalog, vault.name, segments, 'segment')),
    ...(await objectsOf(catalog, vault.name, [snapshot.id], 'index')),
    ...(await objectsOf(catalog, vault.name, [snapshot.id], 'manifest')),
  ];
}

async function extend(ledger: Ledger, vault: Vault, row: ObjectRow, wanted: Temporal.Instant, needed: Temporal.Instant): Promise<void> {
  const lock: Lock = await vault.extendLock(row.key, row.versionId ?? '', wanted);
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

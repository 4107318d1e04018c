// The way back from nothing: catalog, ledger, holds, states and evidence of a lost machine, from one vault and what is on paper.
import { mkdir } from 'node:fs/promises';
import { Temporal } from 'temporal-polyfill';
import { lockColumns, uploadVersion } from '../billing/entries.ts';
import { BEFORE_FIRST, type ChainPlace } from '../billing/ledger-page.ts';
import { addPage, compareLedger, type ListedBytes, openLedger, sayLost, settleLedger, type Unsaid } from '../billing/recovered.ts';
import { type CopyHint, copyHints, insertTables, type PlainTables, snapshotHints } from '../catalog/checkpoint-tables.ts';
import { versionRow } from '../catalog/object-version.ts';
import type { Catalog } from '../catalog/open.ts';
import type { Config } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import type { Checkpoint } from '../segment/checkpoint.ts';
import type { ShopIdentity } from '../segment/identity-store.ts';
import { DAEMON_PREFIX, DAEMON_SHOP, isShopName, parseKey } from '../segment/layout.ts';
import type { ListedUpload, ListedVersion } from '../vault/vault.ts';
import { recoveryHash } from './checkpoint.ts';
import type { FoundCheckpoints } from './rebuild-checkpoints.ts';
import { openCheckpointVersion, type RebuildFinding, type RebuildVault } from './rebuild-read.ts';
import { type RebuiltShop, type RebuiltSnapshot, rebuildShop } from './rebuild-shop.ts';

export interface RebuildRequest extends RebuildVault {
  /** Empty, or rebuilt from another vault. */
  readonly catalog: Catalog;
  readonly config: Config;
  readonly checkpoints: FoundCheckpoints;
  readonly recovery: readonly string[];
  readonly ownIdentities: (shop: string) => Promise<readonly ShopIdentity[]>;
  /** The catalog has no ledger, audit and states yet: they come from the checkpoints. */
  readonly isFirst: boolean;
  readonly onShop?: (shop: string, objects: number) => void;
}

export interface Rebuilt {
  readonly shops: readonly RebuiltShop[];
  readonly ledgerRows: number;
  /** Rows of the ledger before the oldest checkpoint of the chain are lost: their sum is an opening balance. */
  readonly ledgerFrom: string | null;
  readonly snapshots: number;
  readonly objects: number;
  readonly bytes: number;
  /** Snapshots that were completed after the last checkpoint. */
  readonly newer: readonly RebuiltSnapshot[];
  /** In words. */
  readonly lost: readonly string[];
  readonly findings: readonly RebuildFinding[];
  /** Names that are no shop's, and how many versions lie under each: left alone. */
  readonly strangers: readonly { readonly name: string; readonly versions: number }[];
}

/** Fills the catalog. Throws what the vault throws; the catalog is then not to be used. */
export async function rebuildCatalog(request: RebuildRequest): Promise<Rebuilt> {
  const { catalog, checkpoints, clock, vault, config } = request;
  const { newest } = checkpoints;
  await mkdir(catalog.stateDir, { recursive: true, mode: 0o700 });
  // 1. What no listing gives back.
  const told = request.isFirst ? await insertCheckpoints(request) : { since: null, lost: [] as string[], head: null };
  const lost: string[] = [...told.lost];
  const tables: PlainTables = newest?.tables ?? {};
  const snapshots = new Map(snapshotHints(tables).map((hint) => [hint.id, hint]));
  const copies = new Map(
    copyHints(tables).flatMap((hint): [string, CopyHint][] => (hint.vault === vault.name ? [[hint.snapshotId, hint]] : [])),
  );

  // 2. Shop by shop, in the order of the listing.
  const uploads = await listUploads(request, lost);
  const shops: RebuiltShop[] = [];
  const unsaid: Unsaid[] = [];
  const findings: RebuildFinding[] = [...checkpoints.findings];
  const strangers: { name: string; versions: number }[] = [];
  let objects = 0;
  let bytes = 0;
  const compare = async (shop: string, versions: readonly ListedVersion[]): Promise<void> => {
    const own = uploads.filter((upload) => upload.key.startsWith(`${shop}/`));
    const listed: ListedBytes[] = versions
      .filter((version) => !version.isDeleteMarker)
      .map(({ key, versionId, sizeBytes, modifiedAt }) => ({ key, versionId, bytes: sizeBytes, atMs: modifiedAt.epochMilliseconds }));
    objects += listed.length;
    bytes += listed.reduce((sum, one) => sum + one.bytes, 0);
    for (const { key, uploadId, sizeBytes, startedAt } of own) {
      listed.push({ key, versionId: uploadVersion(uploadId), bytes: sizeBytes, atMs: startedAt.epochMilliseconds });
    }
    unsaid.push(await catalog.transaction((tx) => compareLedger(tx, vault.name, shop, listed, told.since)));
    await recordUploads(request, shop, own);
  };
  for await (const { name, versions } of byFirstName(request)) {
    if (!isOurs(name, versions, config, newest)) {
      strangers.push({ name, versions: versions.length });
      continue;
    }
    const presentKey = newest?.keys.find((key) => key.shop === name) ?? null;
    const rebuilt = await rebuildShop(
      {
        ...request,
        ownIdentities: await request.ownIdentities(name),
        trusted: checkpoints.trusted,
        snapshotHints: snapshots,
        copyHints: copies,
        requiredVaults: config.shops.get(name)?.vaults ?? null,
        presentKey,
      },
      { shop: name, versions },
    );
    shops.push(rebuilt);
    findings.push(...rebuilt.findings);
    await compare(name, versions);
    request.onShop?.(name, versions.length);
  }

  // 3. The daemon's own objects.
  findings.push(...(await recordOwn(request)));
  await compare(DAEMON_SHOP, checkpoints.versions);

  // 4. The ledger agrees with the listing to the byte; only then is the catalog worth something.
  await catalog.transaction((tx) => settleLedger(tx, unsaid, clock.nowMs()));

  const found = shops.flatMap((shop) => shop.snapshots);
  const ids = new Set(found.map(({ id }) => id));
  for (const hint of copies.values()) {
    const snapshot = snapshots.get(hint.snapshotId);
    if (snapshot === undefined || snapshot.state !== 'committed' || ids.has(hint.snapshotId)) continue;
    // pruned since, as it had to be
    if (snapshot.keepUntil <= clock.nowMs()) continue;
    lost.push(`${snapshot.shop}: snapshot ${snapshot.id} of ${snapshot.source} was in ${vault.name} and is not any more`);
  }
  for (const { shop, id, source, missing } of found) {
    if (missing.length === 0) continue;
    lost.push(`${shop}: snapshot ${id} of ${source} lacks ${missing.length} of its objects, first ${missing[0]}`);
  }
  for (const { shop, unopened } of shops) {
    if (unopened > 0)
      lost.push(`${shop}: ${unopened} manifest(s) that no identity at hand opens: forged, or sealed to an identity that is lost`);
  }
  const { rows } = await catalog.db
    .selectFrom('ledger')
    .select((eb) => eb.fn.countAll<number>().as('rows'))
    .executeTakeFirstOrThrow();
  return {
    shops,
    ledgerRows: Number(rows),
    ledgerFrom: told.since === null ? null : (checkpoints.chain[0]?.time ?? null),
    snapshots: found.length,
    objects,
    bytes,
    // a checkpoint's time is a whole second: what was completed in that second, before it, it knows
    newer: newest === null ? found : found.filter(({ id, completedAt }) => !snapshots.has(id) && isAfter(completedAt, newest.time)),
    lost,
    findings,
    strangers,
  };
}

/** Ledger, audit, evidence, holds and states, one checkpoint after the other, each in one transaction. */
async function insertCheckpoints(request: RebuildRequest): Promise<{ since: number | null; lost: string[]; head: ChainPlace | null }> {
  const { catalog, checkpoints, recovery } = request;
  const lost: string[] = [];
  const chained = new Set(checkpoints.chain.map(({ version }) => version));
  const first = checkpoints.chain[0];
  const verbatim = first === undefined || first.after.row === 0;
  let head: ChainPlace | null = null;
  let since: number | null = null;
  if (checkpoints.newest === null)
    lost.push('no checkpoint of the state could be read: ledger, holds, shop states, audit and evidence begin anew');
  else if (!verbatim) {
    lost.push(`the ledger's rows and the audit before the checkpoint of ${first.time}: an opening balance stands for the rows`);
  }
  for (const { version } of checkpoints.all) {
    const checkpoint = await openCheckpointVersion(request, version, recovery, checkpoints.trusted);
    const page = checkpoint.ledger;
    await catalog.transaction(async (tx) => {
      const unknown = await insertTables(tx, checkpoint.tables);
      for (const name of unknown) if (!lost.some((line) => line.startsWith(`table ${name} `))) lost.push(`table ${name} of a newer coffre`);
      if (!chained.has(version)) return;
      if (head === null && !verbatim) {
        since = page.rows[0]?.at ?? Temporal.Instant.from(checkpoint.time).epochMilliseconds;
        head = await openLedger(tx, page, since);
      }
      head = await addPage(tx, page, head ?? BEFORE_FIRST);
    });
  }
  if (first !== undefined) await catalog.transaction((tx) => sayLost(tx, first.after, since ?? 0, request.clock.nowMs()));
  return { since, lost, head };
}

/** Probes and checkpoints. What is neither is somebody else's. */
async function recordOwn(request: RebuildRequest): Promise<RebuildFinding[]> {
  const { catalog, checkpoints, clock, vault } = request;
  const findings: RebuildFinding[] = [];
  const proven = new Map(checkpoints.all.map((one) => [`${one.version.key}\0${one.version.versionId}`, one]));
  const rejected = new Set(checkpoints.findings.map((one) => `${one.key}\0${one.versionId}`));
  const newest = checkpoints.all.at(-1);
  for (const version of checkpoints.versions) {
    const { key, versionId, sizeBytes } = version;
    const name = `${key}\0${versionId}`;
    if (version.isDeleteMarker) {
      findings.push({ key, versionId, what: 'delete marker', sizeBytes });
      continue;
    }
    const checkpoint = proven.get(name);
    const type = parseKey(key)?.type;
    const isState = checkpoint !== undefined || (type === 'state' && checkpoints.closed && !rejected.has(name));
    const kind = isState ? 'state' : type === 'probe' ? 'probe' : 'foreign';
    if (kind === 'foreign' && !rejected.has(name)) findings.push({ key, versionId, what: 'foreign object', sizeBytes });
    const object = await vault.stat(key, versionId);
    if (object === null) continue;
    await catalog.transaction(async (tx) => {
      const known = await versionRow(tx, { vault: vault.name, key, versionId });
      const refId = checkpoint?.time ?? null;
      if (known) {
        await tx.updateTable('objects').set({ kind, refId }).where('id', '=', known.id).execute();
        return;
      }
      const { id } = await tx
        .insertInto('objects')
        .values({
          vault: vault.name,
          shop: DAEMON_SHOP,
          key,
          versionId,
          kind,
          refId,
          runId: null,
          state: 'stored',
          expectedBytes: sizeBytes,
          sizeBytes,
          sha256: null,
          ...lockColumns(object.lock, clock.nowMs()),
          createdAt: version.modifiedAt.epochMilliseconds,
          resolvedAt: clock.nowMs(),
        })
        .returning('id')
        .executeTakeFirstOrThrow();
      // The next checkpoint goes on from the newest, if the ledger is the one that it told of; else it tells everything anew.
      if (checkpoint === undefined || checkpoint !== newest || !request.isFirst || checkpoints.chain[0]?.after.row !== 0) return;
      await tx
        .insertInto('checkpoints')
        .values({
          vault: vault.name,
          at: Temporal.Instant.from(checkpoint.time).epochMilliseconds,
          objectId: id,
          ledgerRow: checkpoint.until.row,
          ledgerHash: checkpoint.until.hash,
          positions: JSON.stringify({}),
          // of the recipients, so that the next one goes on from here, and nothing else, so that it is due at once
          setting: recoveryHash(request.config),
        })
        .execute();
    });
  }
  return findings;
}

async function recordUploads({ catalog, vault, clock }: RebuildRequest, shop: string, uploads: readonly ListedUpload[]): Promise<void> {
  if (uploads.length === 0) return;
  const nowMs = clock.nowMs();
  for (const { key, uploadId, sizeBytes } of uploads) {
    await catalog.transaction(async (tx) => {
      const versionId = uploadVersion(uploadId);
      const known = await versionRow(tx, { vault: vault.name, key, versionId });
      if (known) return;
      // a key of our layout whose object never came to be: parts of a run that died with the machine
      const kind = parseKey(key) === null ? 'foreign' : 'upload';
      await tx
        .insertInto('objects')
        .values({
          vault: vault.name,
          shop,
          key,
          versionId,
          kind,
          refId: null,
          runId: null,
          state: 'stored',
          expectedBytes: sizeBytes,
          sizeBytes,
          sha256: null,
          ...lockColumns(null, nowMs),
          createdAt: nowMs,
          resolvedAt: nowMs,
        })
        .execute();
    });
  }
}

/** The listing cut into what lies under each first name; one of them in memory at a time. The daemon's own is left out. */
async function* byFirstName({ vault, signal }: RebuildRequest): AsyncGenerator<{ name: string; versions: ListedVersion[] }> {
  let name: string | null = null;
  let versions: ListedVersion[] = [];
  for await (const version of vault.listVersions('')) {
    signal.throwIfAborted();
    if (version.key.startsWith(DAEMON_PREFIX)) continue;
    const first = version.key.split('/')[0] as string;
    if (name !== null && first !== name) {
      yield { name, versions };
      versions = [];
    }
    name = first;
    versions.push(version);
  }
  if (name !== null) yield { name, versions };
}

/** A shop that the configuration or the checkpoint knows, or something that looks like one. */
function isOurs(name: string, versions: readonly ListedVersion[], config: Config, newest: Checkpoint | null): boolean {
  if (!isShopName(name)) return false;
  if (config.shops.has(name) || newest?.keys.some((key) => key.shop === name)) return true;
  return versions.some((version) => parseKey(version.key)?.type === 'manifest');
}

function isAfter(a: string, b: string): boolean {
  return Temporal.Instant.compare(Temporal.Instant.from(a), Temporal.Instant.from(b)) > 0;
}

/** A credential that may not list them costs the ledger their bytes, until prune finds them: said, and no reason to give up. */
async function listUploads({ vault }: RebuildRequest, lost: string[]): Promise<ListedUpload[]> {
  const all: ListedUpload[] = [];
  try {
    for await (const upload of vault.listUploads('')) all.push(upload);
    return all;
  } catch (error) {
    if (!(error instanceof CoffreError) || error.code !== 'E_VAULT_DENIED') throw error;
    lost.push(`unfinished uploads in ${vault.name}: this credential may not list them, the next prune will`);
    return [];
  }
}

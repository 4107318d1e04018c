// One shop of one vault, from a listing to rows of the catalog: manifests that prove themselves, what they name, and what is left over.
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Insertable, Kysely, Selectable } from 'kysely';
import { lockColumns } from '../billing/entries.ts';
import type { CopyHint, SnapshotHint } from '../catalog/checkpoint-tables.ts';
import type { Catalog } from '../catalog/open.ts';
import { slices } from '../catalog/segments.ts';
import { insertSnapshot } from '../catalog/snapshots.ts';
import type { ObjectsTable } from '../catalog/tables/objects.ts';
import type { Tables } from '../catalog/tables.ts';
import { CoffreError } from '../errors.ts';
import type { ShopIdentity } from '../segment/identity-store.ts';
import { parseKey } from '../segment/layout.ts';
import { encodeManifest } from '../segment/manifest.ts';
import type { Manifest, SignedManifest } from '../segment/manifest-types.ts';
import { inParallel } from '../vault/in-parallel.ts';
import { READ_RETRY, retrying } from '../vault/retry.ts';
import type { ListedVersion, Lock } from '../vault/vault.ts';
import { writeDurably } from './commit.ts';
import { openIdentities, provenIdentities, type SealedIdentity } from './rebuild-identities.ts';
import { copyIndex, openManifestVersion, type RebuildFinding, type RebuildVault, sha256Of, verdictOf } from './rebuild-read.ts';
import { runRow, segmentRow, snapshotRow } from './rebuild-rows.ts';
import { manifestCopyPath } from './state-files.ts';

/** Requests under way at once. */
const IN_FLIGHT = 16;
const ROWS_AT_ONCE = 500;

export interface ShopListing {
  readonly shop: string;
  /** Delete markers included, as the vault lists them. */
  readonly versions: readonly ListedVersion[];
}

export interface RebuildShop extends RebuildVault {
  readonly catalog: Catalog;
  readonly recovery: readonly string[];
  /** Of this machine, if it has any. */
  readonly ownIdentities: readonly ShopIdentity[];
  readonly trusted: readonly string[];
  readonly snapshotHints: ReadonlyMap<string, SnapshotHint>;
  /** Of this vault, by snapshot. */
  readonly copyHints: ReadonlyMap<string, CopyHint>;
  /** The vaults that the configuration gives the shop; null: it does not declare it. */
  readonly requiredVaults: readonly string[] | null;
  /** The identity that a checkpoint names as the present one. */
  readonly presentKey: { readonly keyId: string; readonly recipient: string } | null;
}

export interface RebuiltSnapshot {
  readonly id: string;
  readonly shop: string;
  readonly source: string;
  readonly completedAt: string;
  readonly complete: boolean;
  /** Segments, or the index, that are not in the vault: it cannot be restored from here whole. */
  readonly missing: readonly string[];
}

export interface RebuiltShop {
  readonly shop: string;
  readonly snapshots: readonly RebuiltSnapshot[];
  /** The one that new segments were sealed to, and older ones; proven by a signed manifest or checkpoint. */
  readonly identity: SealedIdentity | null;
  readonly olderIdentities: readonly SealedIdentity[];
  readonly findings: readonly RebuildFinding[];
  /** Manifests that no identity at hand opens. */
  readonly unopened: number;
}

interface Claim {
  readonly kind: ObjectsTable['kind'];
  readonly refId: string | null;
  readonly runId: string | null;
  readonly sha256: string | null;
}

type ObjectInsert = Insertable<ObjectsTable>;

const nameOf = (key: string, versionId: string): string => `${key}\0${versionId}`;

/** Writes everything of one shop into the catalog, the ledger left out. Saying it twice changes nothing. Throws what the vault throws. */
export async function rebuildShop(request: RebuildShop, listing: ShopListing): Promise<RebuiltShop> {
  return await new ShopRebuild(request, listing).run();
}

class ShopRebuild {
  readonly #request: RebuildShop;
  readonly #shop: string;
  readonly #listed = new Map<string, ListedVersion>();
  readonly #claims = new Map<string, Claim>();
  readonly #locks = new Map<string, Lock | null>();
  readonly #rows = new Map<string, number>();
  /** Versions whose row is as it should be, and segments that have theirs. */
  readonly #done = new Set<string>();
  readonly #segmentIds = new Set<string>();
  readonly #findings: RebuildFinding[] = [];
  /** Manifests in whose place one of a higher revision came. */
  readonly #earlier = new Set<string>();
  readonly #versions: readonly ListedVersion[];
  #candidates: SealedIdentity[] = [];
  #unopened = 0;

  constructor(request: RebuildShop, { shop, versions }: ShopListing) {
    this.#request = request;
    this.#shop = shop;
    this.#versions = versions;
    for (const version of versions) if (!version.isDeleteMarker) this.#listed.set(nameOf(version.key, version.versionId), version);
  }

  async run(): Promise<RebuiltShop> {
    for (const version of this.#versions) if (version.isDeleteMarker) this.#note(version, 'delete marker');
    this.#candidates = await openIdentities(this.#request, this.#shop, this.#byKey('identity'));
    const known = await this.#request.catalog.db
      .selectFrom('objects')
      .select(['id', 'key', 'versionId'])
      .where('vault', '=', this.#request.vault.name)
      .where('shop', '=', this.#shop)
      .execute();
    for (const row of known) if (row.versionId !== null) this.#rows.set(nameOf(row.key, row.versionId), row.id);

    const snapshots: RebuiltSnapshot[] = [];
    const recipients = new Map<string, string>();
    for (const [, candidates] of this.#byKey('manifest')) {
      const opened = await this.#chooseManifest(candidates);
      if (opened === null) continue;
      const { manifest } = opened.signed;
      if (manifest.encryption !== 'none') recipients.set(manifest.encryption.recipient, manifest.snapshot);
      snapshots.push(await this.#record(opened.signed, opened.version, opened.sha256));
    }
    const proven = provenIdentities(this.#candidates, recipients, this.#request.presentKey);
    await this.#recordRest(proven);
    return {
      shop: this.#shop,
      snapshots,
      identity: proven[0] ?? null,
      olderIdentities: proven.slice(1),
      findings: this.#findings,
      unopened: this.#unopened,
    };
  }

  #note(version: Pick<ListedVersion, 'key' | 'versionId' | 'sizeBytes'>, what: string): void {
    this.#findings.push({ key: version.key, versionId: version.versionId, what, sizeBytes: version.sizeBytes });
  }

  /** Keys of one type in order, each with its versions, oldest first. */
  #byKey(type: 'manifest' | 'identity'): [string, ListedVersion[]][] {
    const keys = new Map<string, ListedVersion[]>();
    for (const version of this.#listed.values()) {
      if (parseKey(version.key)?.type !== type) continue;
      const list = keys.get(version.key);
      if (list) list.unshift(version);
      else keys.set(version.key, [version]);
    }
    return [...keys].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  async #chooseManifest(versions: readonly ListedVersion[]) {
    const identities = [...new Set(this.#candidates.map(({ identity }) => identity))];
    let chosen: { signed: SignedManifest; version: ListedVersion; sha256: string } | null = null;
    for (const version of versions) {
      try {
        const opened = await openManifestVersion(this.#request, version, identities, this.#request.trusted);
        if (chosen === null) chosen = { ...opened, version };
        else if (revisionOf(opened.signed) > revisionOf(chosen.signed)) {
          // signed by us, and what it names was lost or damaged: an object of it had to be stored anew
          this.#earlier.add(nameOf(chosen.version.key, chosen.version.versionId));
          chosen = { ...opened, version };
        } else if (revisionOf(opened.signed) < revisionOf(chosen.signed)) this.#earlier.add(nameOf(version.key, version.versionId));
        // a put that was thought lost, or a copy: the same snapshot, and nothing needs it
        else this.#note(version, opened.sha256 === chosen.sha256 ? 'second version of a manifest' : 'another manifest on the same key');
      } catch (error) {
        const verdict = verdictOf(error, 'manifest');
        if (verdict === null) throw error;
        if (error instanceof CoffreError && error.code === 'E_DECRYPT') this.#unopened += 1;
        this.#note(version, verdict);
      }
    }
    return chosen;
  }

  /** The manifest's objects, its segments, its snapshot and this vault's copy of it, in one transaction. */
  async #record(signed: SignedManifest, version: ListedVersion, sha256: string): Promise<RebuiltSnapshot> {
    const { catalog, clock, vault, snapshotHints, copyHints } = this.#request;
    const { manifest } = signed;
    const id = manifest.snapshot;
    const named = [
      { key: version.key, versionId: version.versionId, claim: { kind: 'manifest', refId: id, runId: id, sha256 } as const },
      {
        key: manifest.index.key,
        versionId: manifest.index.versionId,
        claim: { kind: 'index', refId: id, runId: id, sha256: manifest.index.storedSha256 } as const,
      },
      ...manifest.segments.map((segment) => ({
        key: segment.key,
        versionId: segment.versionId,
        claim: { kind: 'segment', refId: segment.id, runId: segment.fresh ? id : null, sha256: segment.storedSha256 } as const,
      })),
    ];
    const sizes = new Map([manifest.index, ...manifest.segments].map((one) => [nameOf(one.key, one.versionId), one.storedBytes]));
    const missing: string[] = [];
    for (const { key, versionId, claim } of named) {
      const name = nameOf(key, versionId);
      const there = this.#listed.get(name);
      if (there === undefined || there.sizeBytes !== (sizes.get(name) ?? there.sizeBytes)) missing.push(key);
      const before = this.#claims.get(name);
      // the run that stored it is known by the snapshot in which it is fresh
      if (before === undefined || (before.runId === null && claim.runId !== null)) this.#claims.set(name, claim);
    }
    await this.#readLocks(named.map(({ key, versionId }) => nameOf(key, versionId)));
    if (!missing.includes(manifest.index.key)) {
      const identities = [...new Set(this.#candidates.map(({ identity }) => identity))];
      const problem = await copyIndex(this.#request, catalog.stateDir, manifest, identities);
      if (problem !== null) {
        this.#note({ ...manifest.index, sizeBytes: manifest.index.storedBytes }, problem);
        missing.push(manifest.index.key);
      }
    }
    const manifestPath = manifestCopyPath(catalog.stateDir, this.#shop, id, vault.name);
    await mkdir(dirname(manifestPath), { recursive: true, mode: 0o700 });
    await writeDurably(manifestPath, encodeManifest(signed));
    await catalog.transaction(async (tx) => {
      for (const { key, versionId } of named) await this.#object(tx, nameOf(key, versionId));
      await this.#segments(tx, manifest);
      const hint = snapshotHints.get(id);
      const copy = copyHints.get(id);
      const isCopied = await tx
        .selectFrom('snapshotVaults')
        .select('snapshotId')
        .where('snapshotId', '=', id)
        .where('vault', '=', vault.name)
        .executeTakeFirst();
      await insertSnapshot(tx, {
        snapshot: snapshotRow(manifest, version.sizeBytes, hint, this.#request.requiredVaults ?? [vault.name]),
        // how much of a segment is alive nobody counted: all of it counts as used
        segments: manifest.segments.map((one, seq) => ({ segmentId: one.id, seq, partial: one.partial ? 1 : 0, liveBytes: null })),
        ...(isCopied
          ? {}
          : {
              copy: {
                snapshotId: id,
                vault: vault.name,
                committedAt: copy?.committedAt ?? version.modifiedAt.epochMilliseconds,
                manifestObject: this.#rows.get(nameOf(version.key, version.versionId)) as number,
                indexObject: this.#rows.get(nameOf(manifest.index.key, manifest.index.versionId)) as number,
                verifiedAt: copy?.verifiedAt ?? null,
                verifyError: missing.length > 0 ? 'E_OBJECT_MISSING' : (copy?.verifyError ?? null),
              },
            }),
      });
      // a run newer than the last checkpoint is known by its snapshot alone
      await tx
        .insertInto('runs')
        .values(runRow(manifest, vault.name, clock.now()))
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    });
    return { id, shop: this.#shop, source: manifest.source, completedAt: manifest.completedAt, complete: manifest.complete, missing };
  }

  async #segments(tx: Kysely<Tables>, manifest: Manifest): Promise<void> {
    const fresh = manifest.segments.filter((one) => !this.#segmentIds.has(one.id));
    for (const some of slices(fresh, ROWS_AT_ONCE)) {
      const rows = some.map((one) => segmentRow(manifest, one));
      await tx
        .insertInto('segments')
        .values(rows)
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    }
    for (const one of fresh) this.#segmentIds.add(one.id);
  }

  async #readLocks(names: readonly string[]): Promise<void> {
    const wanted = [...new Set(names)].filter((name) => !this.#locks.has(name) && this.#listed.has(name));
    await inParallel(wanted, IN_FLIGHT, async (name) => {
      const { vault, clock, signal } = this.#request;
      const { key, versionId } = this.#listed.get(name) as ListedVersion;
      signal.throwIfAborted();
      const object = await retrying(clock, READ_RETRY, () => vault.stat(key, versionId), signal);
      this.#locks.set(name, object?.lock ?? null);
    });
  }

  /** Row of one version, written when there is none, mended when a reconciliation took it for somebody else's. */
  async #object(tx: Kysely<Tables>, name: string): Promise<void> {
    if (this.#done.has(name)) return;
    this.#done.add(name);
    const claim = this.#claims.get(name) as Claim;
    const known = this.#rows.get(name);
    const version = this.#listed.get(name);
    if (known !== undefined) {
      await tx
        .updateTable('objects')
        .set({ kind: claim.kind, refId: claim.refId, runId: claim.runId, sha256: claim.sha256 })
        .where('id', '=', known)
        .execute();
      return;
    }
    // a segment that is not there has no row; a missing index must have one, which the copy's row names
    if (version === undefined && claim.kind === 'segment') return;
    const [key = '', versionId = ''] = name.split('\0');
    this.#rows.set(
      name,
      await this.#insert(
        tx,
        { key, versionId, sizeBytes: 0, modifiedAt: this.#request.clock.now(), ...version },
        claim,
        version !== undefined,
      ),
    );
  }

  async #insert(
    tx: Kysely<Tables>,
    version: Pick<ListedVersion, 'key' | 'versionId' | 'sizeBytes' | 'modifiedAt'>,
    claim: Claim,
    there: boolean,
  ): Promise<number> {
    const nowMs = this.#request.clock.nowMs();
    const row: ObjectInsert = {
      vault: this.#request.vault.name,
      shop: this.#shop,
      key: version.key,
      versionId: version.versionId,
      ...claim,
      state: there ? 'stored' : 'released',
      expectedBytes: version.sizeBytes,
      sizeBytes: version.sizeBytes,
      ...lockColumns(this.#locks.get(nameOf(version.key, version.versionId)) ?? null, nowMs),
      createdAt: version.modifiedAt.epochMilliseconds,
      resolvedAt: nowMs,
    };
    const { id } = await tx.insertInto('objects').values(row).returning('id').executeTakeFirstOrThrow();
    return id;
  }

  /** Everything that no manifest named: identities, what the ledger knows as ours, and what nobody vouches for. */
  async #recordRest(proven: readonly SealedIdentity[]): Promise<void> {
    const { catalog, vault } = this.#request;
    const identities = new Map<string, SealedIdentity>();
    for (const one of proven) {
      if (one.version === null) continue;
      const name = nameOf(one.version.key, one.version.versionId);
      // the oldest version of a key is ours
      if ([...identities.values()].some((other) => other.version?.key === one.version?.key)) continue;
      identities.set(name, one);
    }
    const ours = await this.#metered();
    const noted = new Set(this.#findings.map(({ key, versionId }) => nameOf(key, versionId)));
    const claimedKeys = new Set([...this.#claims.keys(), ...identities.keys()].map((name) => name.split('\0')[0] as string));
    const rest = [...this.#listed].filter(([name]) => !this.#claims.has(name));
    for (const [name, version] of rest) {
      const identity = identities.get(name);
      const type = parseKey(version.key)?.type;
      if (identity !== undefined) {
        this.#claims.set(name, { kind: 'key', refId: identity.keyId, runId: null, sha256: sha256Of(identity.sealed) });
        continue;
      }
      // While a manifest is closed to us nothing that it may name is called superfluous.
      const isSuperfluous = ours.has(name) && this.#unopened === 0 && (type === 'segment' || type === 'index');
      const isStray = isSuperfluous || this.#earlier.has(name);
      this.#claims.set(name, { kind: isStray ? 'stray' : 'foreign', refId: null, runId: null, sha256: null });
      if (isStray || noted.has(name)) continue;
      if (claimedKeys.has(version.key)) this.#note(version, 'foreign version on a key of ours');
      else if (type === 'identity') this.#note(version, 'identity that no signed manifest names');
      else if (type === 'segment' || type === 'index') this.#note(version, `${type} that no manifest names`);
      else this.#note(version, 'foreign object');
    }
    await this.#readLocks(rest.map(([name]) => name));
    await catalog.transaction(async (tx) => {
      for (const [name, version] of rest) {
        const known = this.#rows.get(name);
        const claim = this.#claims.get(name) as Claim;
        if (known === undefined) this.#rows.set(name, await this.#insert(tx, version, claim, true));
        else if (claim.kind === 'key')
          await tx.updateTable('objects').set({ kind: 'key', refId: claim.refId, sha256: claim.sha256 }).where('id', '=', known).execute();
      }
      // what the machine believed of this vault before, and the vault does not have
      const gone = await tx
        .selectFrom('objects')
        .select(['id', 'key', 'versionId'])
        .where('vault', '=', vault.name)
        .where('shop', '=', this.#shop)
        .where('state', 'in', ['stored', 'tombstone'])
        .where('kind', '!=', 'upload')
        .execute();
      for (const row of gone) {
        if (row.versionId === null || row.versionId.startsWith('upload:') || this.#listed.has(nameOf(row.key, row.versionId))) continue;
        await tx.updateTable('objects').set({ state: 'released' }).where('id', '=', row.id).execute();
      }
    });
  }

  /** Versions that the recovered ledger says coffre wrote itself. */
  async #metered(): Promise<Set<string>> {
    const rows: Pick<Selectable<Tables['ledger']>, 'key' | 'versionId' | 'cause'>[] = await this.#request.catalog.db
      .selectFrom('ledger')
      .select(['key', 'versionId', 'cause'])
      .where('vault', '=', this.#request.vault.name)
      .where('shop', '=', this.#shop)
      .where('event', '=', 'put')
      .execute();
    return new Set(rows.filter(({ cause }) => cause === null).map(({ key, versionId }) => nameOf(key, versionId)));
  }
}

const revisionOf = ({ manifest }: SignedManifest): number => manifest.revision ?? 0;

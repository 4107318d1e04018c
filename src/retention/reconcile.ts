// Compares what a vault lists under a shop with what the catalog says it holds, and writes the difference down.
import { type SqlBool, sql } from 'kysely';
import { uploadVersion } from '../billing/entries.ts';
import type { Ledger } from '../billing/ledger.ts';
import { IS_LIVE } from '../catalog/live-objects.ts';
import type { Catalog } from '../catalog/open.ts';
import { type ObjectRow, recordDamagedObject, recordDamagedSegment, recordVerification } from '../catalog/snapshots.ts';
import type { ListedUpload, ListedVersion, Vault } from '../vault/vault.ts';

/** Something on a shop's keys that coffre did not put there, or did not take away. */
export interface Finding {
  readonly vault: string;
  readonly key: string;
  readonly versionId: string;
  readonly what: (typeof RECONCILED)[number];
  readonly sizeBytes: number;
  readonly detail?: string;
}

/** What a reconciliation finds, all of it each time. */
export const RECONCILED = ['foreign version', 'foreign upload', 'delete marker', 'missing', 'altered', 'reappeared'] as const;

/** Sizes in bytes. */
export interface Reconciled {
  readonly findings: readonly Finding[];
  /** Versions and delete markers. */
  readonly versions: number;
  /** What the vault lists: versions and parts of uploads. */
  readonly storedBytes: number;
  /** Of these, what nobody can say yet whose it is, and the ledger therefore does not have. */
  readonly unsettledBytes: number;
}

/** So much of the listing, and of the catalog, is held at once: a shop may have millions of versions. */
const AT_ONCE = 1_000;

/**
 * Lists everything under `<shop>/` in one vault, and compares it with the catalog page by page, both in the order of their keys. Call it
 * while holding the shop's lock and after resolveIntents: then a version that the catalog does not know is either one of ours that landed
 * late, or somebody else's. Returns what points to tampering. `onLast` is told beforehand of what no later call would find again: die
 * after it, and it was said. Throws what the vault throws.
 */
export async function reconcile(
  catalog: Catalog,
  ledger: Ledger,
  vault: Vault,
  shop: string,
  signal?: AbortSignal,
  onLast: (finding: Finding) => Promise<void> = async () => {},
): Promise<Reconciled> {
  const uploads: ListedUpload[] = [];
  for await (const upload of vault.listUploads(`${shop}/`)) uploads.push(upload);
  const comparison = new Comparison(catalog, ledger, vault, shop, uploads, signal, onLast);
  let page: ListedVersion[] = [];
  for await (const version of vault.listVersions(`${shop}/`)) {
    signal?.throwIfAborted();
    const last = page.at(-1);
    // all versions of a key are looked at together
    if (last && page.length >= AT_ONCE && last.key !== version.key) {
      await comparison.compare(page, last.key);
      page = [];
    }
    page.push(version);
  }
  await comparison.compare(page, null);
  return await comparison.end();
}

class Comparison {
  readonly #catalog: Catalog;
  readonly #ledger: Ledger;
  readonly #vault: Vault;
  readonly #shop: string;
  readonly #signal: AbortSignal | undefined;
  readonly #onLast: (finding: Finding) => Promise<void>;
  /** By name; few, as a rule none. */
  readonly #uploads: ReadonlyMap<string, ListedUpload>;
  /** Of the uploads that are listed, those that the catalog has a row of. */
  readonly #meteredUploads = new Set<string>();
  readonly #findings: Finding[] = [];
  #versions = 0;
  #storedBytes: number;
  #unsettledBytes = 0;
  /** Keys, in a folder, of what is told already: something else lies where ours was, which is one alteration and nothing missing beside something foreign. */
  readonly #alterations = new Set<string>();
  /** The last row that was compared. */
  #after = { key: '', id: 0 };

  constructor(
    catalog: Catalog,
    ledger: Ledger,
    vault: Vault,
    shop: string,
    uploads: readonly ListedUpload[],
    signal: AbortSignal | undefined,
    onLast: (finding: Finding) => Promise<void>,
  ) {
    this.#catalog = catalog;
    this.#ledger = ledger;
    this.#vault = vault;
    this.#shop = shop;
    this.#signal = signal;
    this.#onLast = onLast;
    this.#uploads = new Map(uploads.map((upload) => [id(upload.key, uploadVersion(upload.uploadId)), upload]));
    this.#storedBytes = uploads.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  /** Everything listed of keys after those of the last call, up to `upTo`; null: to the end. */
  async compare(page: readonly ListedVersion[], upTo: string | null): Promise<void> {
    const listed = new Map<string, ListedVersion>();
    for (const version of page) {
      this.#versions++;
      this.#storedBytes += version.sizeBytes;
      if (version.isDeleteMarker) this.#findings.push({ ...named(this.#vault, version), what: 'delete marker', sizeBytes: 0 });
      else listed.set(id(version.key, version.versionId), version);
    }
    const unknown = new Map(listed);
    // read after the listing: nobody else writes for this shop, so what was listed and is not here was never acknowledged to us
    for (let rows = await this.#nextRows(upTo); rows.length > 0; rows = await this.#nextRows(upTo)) {
      for (const row of rows) {
        this.#signal?.throwIfAborted();
        if (row.versionId === null) continue;
        unknown.delete(id(row.key, row.versionId));
        await this.#compareRow(row, row.versionId, listed);
      }
    }
    for (const version of unknown.values()) {
      this.#signal?.throwIfAborted();
      await this.#explain(version);
    }
  }

  /** What is left to tell: uploads, of whichever key. */
  async end(): Promise<Reconciled> {
    for (const [name, { key, uploadId, sizeBytes, startedAt }] of this.#uploads) {
      const ours = (await rowsOf(this.#catalog, this.#vault, key)).find((row) => row.kind !== 'foreign') ?? null;
      await this.#ledger.foundUpload({ vault: this.#vault.name, shop: this.#shop, key, uploadId, sizeBytes, startedAt, ours });
      if (ours || this.#meteredUploads.has(name)) continue;
      const versionId = uploadVersion(uploadId);
      this.#findings.push({ ...named(this.#vault, { key, versionId }), what: 'foreign upload', sizeBytes });
    }
    return {
      findings: this.#findings,
      versions: this.#versions,
      storedBytes: this.#storedBytes,
      unsettledBytes: this.#unsettledBytes,
    };
  }

  /** Of what the catalog says that the vault holds, in the order of the keys. */
  async #nextRows(upTo: string | null): Promise<ObjectRow[]> {
    const { key, id } = this.#after;
    // the plus keeps SQLite from the index by shop, through which it would sort all rows for each page
    let query = this.#catalog.db
      .selectFrom('objects')
      .selectAll()
      .where('vault', '=', this.#vault.name)
      .where(sql<SqlBool>`+"shop" = ${this.#shop}`)
      .where(IS_LIVE)
      .where(sql<SqlBool>`("key", "id") > (${key}, ${id})`);
    if (upTo !== null) query = query.where('key', '<=', upTo);
    const rows = await query.orderBy('key').orderBy('id').limit(AT_ONCE).execute();
    const last = rows.at(-1);
    if (last) this.#after = { key: last.key, id: last.id };
    return rows;
  }

  async #compareRow(row: ObjectRow, versionId: string, listed: ReadonlyMap<string, ListedVersion>): Promise<void> {
    const isUpload = versionId.startsWith(uploadVersion(''));
    const name = id(row.key, versionId);
    const sizeBytes = isUpload ? this.#uploads.get(name)?.sizeBytes : listed.get(name)?.sizeBytes;
    if (isUpload && sizeBytes !== undefined) this.#meteredUploads.add(name);
    if (sizeBytes !== undefined && row.kind === 'foreign') {
      if (isUpload) this.#findings.push({ ...named(this.#vault, row), what: 'foreign upload', sizeBytes: row.sizeBytes });
      else await this.#foreign({ ...named(this.#vault, row), what: 'foreign version', sizeBytes: row.sizeBytes });
    } else if (sizeBytes !== undefined) {
      if (isUpload || sizeBytes === row.sizeBytes || row.state === 'tombstone') return;
      const detail = `${row.sizeBytes} bytes were written`;
      this.#findings.push({ ...named(this.#vault, row), what: 'altered', sizeBytes, detail });
      // said before its row agrees again: from then on its damage says it
      await this.#onLast({ ...named(this.#vault, row), what: 'altered', sizeBytes, detail });
      await recordDamagedObject(this.#catalog, row, 'E_OBJECT_ALTERED');
      await this.#ledger.resized(row.id, sizeBytes);
    } else if (isUpload) await this.#ledger.vanished(row.id, 'the store lists this upload no more');
    // a listing may lag behind: only a second, direct question makes it missing
    else if ((await this.#vault.stat(row.key, versionId)) === null) await this.#gone(row, versionId, listed);
    else this.#storedBytes += row.sizeBytes;
  }

  async #gone(row: ObjectRow, versionId: string, listed: ReadonlyMap<string, ListedVersion>): Promise<void> {
    // A tombstone is ours: we died between its deletion and its row. So is a probe's object, deleted by a probe under way.
    if (row.state === 'tombstone' || row.kind === 'probe') {
      // what a folder keeps beside an object goes after it, and may be there still; to a store this is nothing
      if (row.state === 'tombstone') await this.#vault.deleteVersion(row.key, versionId).catch(() => {});
      await this.#ledger.released(row.id, 'the store does not have it any more');
      return;
    }
    if (row.kind !== 'foreign' && !(await this.#wasReplaced(row.key, listed))) {
      // before its row says that it is gone: the next look would not miss it any more
      const instead = this.#vault.type === 'filesystem' ? [...listed.values()].find(({ key }) => key === row.key) : undefined;
      const finding: Finding =
        instead === undefined
          ? { ...named(this.#vault, row), what: 'missing', sizeBytes: row.sizeBytes }
          : {
              ...{ ...named(this.#vault, row), what: 'altered', sizeBytes: row.sizeBytes },
              detail: `version ${instead.versionId} is there, ${versionId} was stored`,
            };
      await this.#onLast(finding);
      this.#findings.push(finding);
      if (instead !== undefined) this.#alterations.add(row.key);
      await markDamaged(this.#catalog, row, instead === undefined ? 'E_OBJECT_MISSING' : 'E_OBJECT_ALTERED');
    }
    await this.#ledger.vanished(row.id, 'the store does not have it any more');
  }

  /** A file in the place of ours is told as it was when ours was found written over, and once; one that lies where nothing of ours was is foreign. */
  async #foreign(finding: Finding): Promise<void> {
    const { key } = finding;
    if (this.#alterations.has(key)) return;
    const altered = this.#vault.type === 'filesystem' ? await this.#knownAlteration(key) : null;
    if (altered !== null) this.#alterations.add(key);
    this.#findings.push(altered ?? finding);
  }

  async #knownAlteration(key: string): Promise<Finding | null> {
    const known = await this.#catalog.db
      .selectFrom('incidents')
      .select(['versionId', 'sizeBytes', 'detail'])
      .where('vault', '=', this.#vault.name)
      .where('shop', '=', this.#shop)
      .where('key', '=', key)
      .where('kind', '=', 'altered')
      .where('goneAt', 'is', null)
      .limit(1)
      .executeTakeFirst();
    if (known === undefined) return null;
    const { detail, sizeBytes, versionId } = known;
    return { vault: this.#vault.name, key, versionId, what: 'altered', sizeBytes, ...(detail === null ? {} : { detail }) };
  }

  /** A folder has one file for a key: where a sound copy took the place of a damaged one, we died before the old row said so. */
  async #wasReplaced(key: string, listed: ReadonlyMap<string, ListedVersion>): Promise<boolean> {
    if (this.#vault.type !== 'filesystem') return false;
    const rows = await rowsOf(this.#catalog, this.#vault, key);
    const isLive = (row: ObjectRow): boolean => row.state === 'stored' || row.state === 'tombstone';
    return rows.some((row) => isLive(row) && row.kind !== 'foreign' && listed.has(id(key, row.versionId ?? '')));
  }

  /** A version that the catalog does not say is there. */
  async #explain(version: ListedVersion): Promise<void> {
    const rows = await rowsOf(this.#catalog, this.#vault, version.key);
    // still open: resolveIntents found it too young to settle, or it is another process's
    if (rows.some((row) => row.state === 'intent')) {
      this.#unsettledBytes += version.sizeBytes;
      return;
    }
    const object = await this.#vault.stat(version.key, version.versionId);
    if (object === null) {
      // the listing lags behind
      this.#storedBytes -= version.sizeBytes;
      return;
    }
    const { sizeBytes } = object;
    const released = rows.find((row) => row.versionId === version.versionId);
    if (released) {
      if (released.kind === 'foreign') await this.#foreign({ ...named(this.#vault, version), what: 'foreign version', sizeBytes });
      else {
        const detail = 'its deletion had been confirmed, or it had been lost';
        const finding: Finding = { ...named(this.#vault, version), what: 'reappeared', sizeBytes, detail };
        await this.#onLast(finding);
        this.#findings.push(finding);
      }
      await this.#ledger.reappeared(released.id, object);
      return;
    }
    const streamed = rows.some((row) => row.kind === 'upload');
    const landedLate = rows.some((row) => row.state === 'void' && (streamed || row.expectedBytes === sizeBytes));
    const [kind, cause] = landedLate ? (['stray', 'landed late'] as const) : (['foreign', 'not written by coffre'] as const);
    await this.#ledger.foundVersion({ vault: this.#vault.name, shop: this.#shop, object, kind, cause });
    if (!landedLate) await this.#foreign({ ...named(this.#vault, version), what: 'foreign version', sizeBytes });
  }
}

const id = (key: string, versionId: string): string => `${key}\0${versionId}`;

function named(vault: Vault, row: { readonly key: string; readonly versionId: string | null }) {
  return { vault: vault.name, key: row.key, versionId: row.versionId ?? '' };
}

async function rowsOf(catalog: Catalog, vault: Vault, key: string): Promise<ObjectRow[]> {
  return await catalog.db.selectFrom('objects').selectAll().where('vault', '=', vault.name).where('key', '=', key).execute();
}

/** Every copy in this vault that needs an object which is not there any more is not good any more. */
async function markDamaged(
  catalog: Catalog,
  { refId, vault, kind }: ObjectRow,
  code: 'E_OBJECT_MISSING' | 'E_OBJECT_ALTERED',
): Promise<void> {
  if (refId === null) return;
  if (kind === 'segment') await recordDamagedSegment(catalog, vault, refId, code);
  else await recordVerification(catalog, refId, vault, 0, code);
}

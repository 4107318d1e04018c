// What the store itself lists, against the ledger: the objects of a peak that are still there, and everything that is there now.
import { type SqlBool, sql } from 'kysely';
import { type LedgerStart, ledgerStart } from '../billing/chain.ts';
import { uploadVersion } from '../billing/entries.ts';
import type { LiveObject } from '../billing/live-at.ts';
import { scopeOf } from '../billing/period-peaks.ts';
import { type PeakToProve, sumOf } from '../billing/prepare-proof.ts';
import { type Check, Findings } from '../billing/prove-ledger.ts';
import { versionRow } from '../catalog/object-version.ts';
import type { Catalog } from '../catalog/open.ts';
import type { Vault } from '../vault/vault.ts';

interface Listed {
  readonly key: string;
  readonly versionId: string;
  readonly sizeBytes: number;
  readonly atMs: number;
}

interface Sum {
  objects: number;
  bytes: number;
}

const add = (sum: Sum, bytes: number): void => {
  sum.objects++;
  sum.bytes += bytes;
};

/** `names`: shops of the configuration. One shop's listing is held at a time. Throws what the vault throws. */
export async function proveStore(
  catalog: Catalog,
  vault: Vault,
  peak: PeakToProve,
  names: Iterable<string>,
  signal: AbortSignal,
): Promise<Check[]> {
  const store = new StoreProof(catalog, vault, peak, await ledgerStart(catalog.db), signal);
  const covered = scopeOf(peak);
  const shops = new Set([...peak.held, ...[...names].filter((shop) => covered.covers(shop))]);
  const objects = Map.groupBy(peak.objects, ({ shop }) => shop);
  for (const shop of [...shops].sort()) await store.compare(shop, objects.get(shop) ?? []);
  return store.checks();
}

class StoreProof {
  readonly #catalog: Catalog;
  readonly #vault: Vault;
  readonly #peak: PeakToProve;
  readonly #start: LedgerStart | null;
  readonly #signal: AbortSignal;
  readonly #findings = new Findings();
  /** Of the peak. */
  readonly #there: Sum = { objects: 0, bytes: 0 };
  readonly #gone: Sum = { objects: 0, bytes: 0 };
  #openingBytes = 0;
  /** Of this moment. */
  readonly #now: Sum = { objects: 0, bytes: 0 };
  readonly #unsettled: Sum = { objects: 0, bytes: 0 };

  constructor(catalog: Catalog, vault: Vault, peak: PeakToProve, start: LedgerStart | null, signal: AbortSignal) {
    this.#catalog = catalog;
    this.#vault = vault;
    this.#peak = peak;
    this.#start = start;
    this.#signal = signal;
  }

  async compare(shop: string, objects: readonly LiveObject[]): Promise<void> {
    const listed = await this.#list(shop);
    for (const object of objects) {
      if (object.key === '') this.#openingBytes += object.bytes;
      else {
        const name = `${object.key}\0${object.versionId}`;
        await this.#compareObject(object, listed.get(name));
        listed.delete(name);
      }
    }
    for (const one of listed.values()) await this.#explain(one);
  }

  async #list(shop: string): Promise<Map<string, Listed>> {
    const listed = new Map<string, Listed>();
    const found = (key: string, versionId: string, sizeBytes: number, atMs: number): void => {
      listed.set(`${key}\0${versionId}`, { key, versionId, sizeBytes, atMs });
      add(this.#now, sizeBytes);
    };
    for await (const { key, sizeBytes, startedAt, uploadId } of this.#vault.listUploads(`${shop}/`))
      found(key, uploadVersion(uploadId), sizeBytes, startedAt.epochMilliseconds);
    for await (const { isDeleteMarker, key, modifiedAt, sizeBytes, versionId } of this.#vault.listVersions(`${shop}/`)) {
      this.#signal.throwIfAborted();
      if (!isDeleteMarker) found(key, versionId, sizeBytes, modifiedAt.epochMilliseconds);
    }
    return listed;
  }

  /** What the ledger says was there at the peak, or is there now. */
  async #compareObject({ bytes, bytesNow, key, versionId }: LiveObject, one: Listed | undefined): Promise<void> {
    const find = (what: string): void => this.#find({ key, versionId }, what);
    // of what came before the first row only the release is told
    if (bytes < 0) this.#openingBytes += bytes;
    if (one === undefined && bytesNow > 0 && (await this.#isMissing(key, versionId)))
      find(`${bytesNow} bytes by the ledger, and the store does not list it`);
    else if (one === undefined && bytes > 0) add(this.#gone, bytes);
    else if (one !== undefined && one.sizeBytes !== bytesNow && !isUpload(versionId) && bytesNow > 0 && !this.#isOpening(one.atMs))
      find(`${bytesNow} bytes by the ledger, the store lists ${one.sizeBytes}`);
    else if (one !== undefined && bytesNow <= 0 && !(await this.#isBack(one))) find('released by the ledger, and the store lists it');
    else if (bytes > 0) add(this.#there, bytes);
  }

  /** It may have been released since the ledger was read; and a listing may lag behind. */
  async #isMissing(key: string, versionId: string): Promise<boolean> {
    const row = await versionRow(this.#catalog.db, { vault: this.#vault.name, key, versionId });
    if (row !== undefined && row.state !== 'stored') return false;
    return isUpload(versionId) || (await this.#vault.stat(key, versionId)) === null;
  }

  /** It was there before the ledger's first row: an opening balance has it, and rows tell what changed since. */
  #isOpening(ms: number): boolean {
    return this.#start !== null && ms < this.#start.until;
  }

  async #isBack(one: Listed): Promise<boolean> {
    const row = await versionRow(this.#catalog.db, { vault: this.#vault.name, ...one });
    // it became smaller than the opening balance has it
    if (this.#isOpening(one.atMs) && row?.state === 'stored') return true;
    return (await this.#bytesSince(one)) > 0 || !(await this.#isThere(one));
  }

  /** What the store lists, and the ledger had nothing of when it was read. */
  async #explain(one: Listed): Promise<void> {
    if (one.sizeBytes === 0) return;
    const { db } = this.#catalog;
    const rows = await db.selectFrom('objects').selectAll().where('vault', '=', this.#vault.name).where('key', '=', one.key).execute();
    const row = rows.find(({ versionId }) => versionId === one.versionId);
    if ((await this.#bytesSince(one)) > 0) return;
    if (row !== undefined && (row.state === 'stored' || row.state === 'tombstone')) {
      if (this.#isOpening(Math.min(one.atMs, row.createdAt, row.resolvedAt ?? row.createdAt))) return;
      this.#find(one, `${one.sizeBytes} bytes in the store, and no row of the ledger has it: it was removed`);
      return;
    }
    // on its way, or landed after nobody waited for it any more: the next reconciliation counts it
    const isUnderWay =
      rows.some(({ state }) => state === 'intent') || (isUpload(one.versionId) && rows.some(({ kind }) => kind !== 'foreign'));
    const isLate = rows.some(
      ({ expectedBytes, kind, state }) => kind === 'upload' || (state === 'void' && expectedBytes === one.sizeBytes),
    );
    if (isUnderWay || (row === undefined && isLate)) add(this.#unsettled, one.sizeBytes);
    else if (await this.#isThere(one)) this.#find(one, `${one.sizeBytes} bytes in the store, and not in the ledger`);
  }

  /** A listing may lag behind a deletion. */
  async #isThere({ key, versionId }: Listed): Promise<boolean> {
    return isUpload(versionId) || (await this.#vault.stat(key, versionId)) !== null;
  }

  /** What was written since the ledger was read. */
  async #bytesSince({ key, versionId }: Listed): Promise<number> {
    const row = await this.#catalog.db
      .selectFrom('ledger')
      .select((eb) => eb.fn.sum<number | null>('bytes').as('bytes'))
      .where('id', '>', this.#peak.row)
      // the plus keeps SQLite from the index by vault, through which it would read all of its rows
      .where(sql<SqlBool>`+"vault" = ${this.#vault.name}`)
      .where('key', '=', key)
      .where('versionId', '=', versionId)
      .executeTakeFirst();
    return Number(row?.bytes ?? 0);
  }

  #find({ key, versionId }: Pick<Listed, 'key' | 'versionId'>, what: string): void {
    this.#findings.add(`${this.#peak.contract}: ${key} ${versionId}: ${what}`);
  }

  checks(): Check[] {
    const { at, contract, objects, peakBytes, since, why } = this.#peak;
    const unchecked = (detail: string): Check => ({ name: 'store', vault: this.#vault.name, outcome: 'unchecked', detail, findings: [] });
    if (why === null && sumOf(objects) !== peakBytes)
      this.#findings.add(`${contract}: the objects of the peak add up to ${sumOf(objects)} bytes, and it is ${peakBytes}`);
    const open = this.#unsettled.objects === 0 ? '' : `, ${text(this.#unsettled)} of them under way and in no row yet`;
    const now = `everything that the store lists now for ${contract}, ${text(this.#now)}${open}, compared with the ledger`;
    const of = `of ${peakBytes} bytes at the peak of ${contract} (${at})`;
    const detail = why === null ? `${of} the store still lists ${text(this.#there)}; ${now}` : now;
    const checks = [this.#findings.check('store', detail, this.#vault.name)];
    if (why !== null) return [...checks, unchecked(`${contract}: the peak of the period is not known: ${why}`)];
    const left: string[] = [];
    if (since !== null) left.push(`what was held before ${since} was not measured`);
    if (this.#gone.objects > 0) left.push(`${text(this.#gone)} were released since: the chain alone proves them`);
    if (this.#openingBytes !== 0)
      left.push(`${this.#openingBytes} bytes are an opening balance, whose rows are gone: its anchor alone proves them`);
    return left.length === 0 ? checks : [...checks, unchecked(`${of}: ${left.join('; ')}`)];
  }
}

const text = ({ bytes, objects }: Sum): string => `${bytes} bytes in ${objects} objects`;
const isUpload = (versionId: string): boolean => versionId.startsWith(uploadVersion(''));

// DESIGN.md's truths about one installation, looked at without coffre: folders with node:fs, manifests with age and zstd, the catalog
// with SQLite. Gives what is violated; an empty list is what everybody hopes for.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import {
  type Contents,
  contentsByHand,
  contentsOf,
  differences,
  openByHand,
  remember,
  type SegmentText,
  sha256,
  statementsByHand,
} from './by-hand.ts';
import { filesBelow, type Listing, type Looked, type Stored } from './place.ts';

/** What of it must hold at this moment. */
export interface Moment {
  readonly nowMs: number;
  /** The operation was run again to its end: nothing is under way, the ledger is exact. */
  readonly settled: boolean;
  /** Windows and provisional locks are over, and a prune was run: nothing is left that nothing needs. */
  readonly over: boolean;
  /** Vaults that the catalog knows of: after a rebuild from one alone, that one. */
  readonly vaults?: readonly string[];
  /** There was no snapshot before, and may be none now. */
  readonly isFirst?: boolean;
  /** Windows are so short that locks may have ended since the last prune kept them ahead. */
  readonly lapsed?: boolean;
  /** Keys that begin so are left until long after. */
  readonly kept?: string;
  /** Shops with nothing left at all, once it is over. */
  readonly erased?: readonly string[];
  /** By shop that has a database and nothing else: what is in its newest rows. */
  readonly rows?: ReadonlyMap<string, string>;
  /** Objects that the run's story damages: no violation. Keys. */
  readonly damaged?: ReadonlySet<string>;
}

export interface Violation {
  readonly truth: string;
  readonly detail: string;
}

interface Named {
  readonly key: string;
  readonly versionId: string;
  readonly storedBytes: number;
  readonly storedSha256: string;
}

interface ManifestText {
  readonly snapshot: string;
  readonly shop: string;
  readonly source: string;
  readonly completedAt: string;
  readonly complete: boolean;
  readonly revision?: number;
  readonly lock: { readonly retainUntil: string };
  readonly index: Named;
  readonly segments: readonly (Named & SegmentText)[];
}

type Row = Record<string, string | number | null>;

/** Opened manifests, by the hash of their sealed bytes: the same ones lie there in most runs. */
const manifests = new Map<string, ManifestText>();
/** What snapshots give back by hand, by the hash of the sealed index. */
const restored = new Map<string, Awaited<ReturnType<typeof contentsByHand>>>();

export async function checkTruths(place: Looked, moment: Moment): Promise<Violation[]> {
  const found: Violation[] = [];
  const violated = (truth: string, detail: string): void => void found.push({ truth, detail });
  const identities = identitiesOf(place);
  const vaults = moment.vaults ?? place.vaults;
  const rows = catalogReader(place);
  const listings = new Map<string, Listing>();
  for (const vault of place.vaults) listings.set(vault, await place.list(vault));
  const byVault = new Map<string, Map<string, ManifestText>>();
  /** By name of the manifest. */
  const byHand = new Map<string, Contents>();

  const find = (vault: string, named: Pick<Stored, 'key' | 'versionId'>): Stored | undefined =>
    listings.get(vault)?.objects.find((one) => nameOf(one) === nameOf(named));

  // Whatever happened: a manifest in a vault names only what is there, whole, in the version that it names, and locked as promised.
  for (const [vault, { objects }] of listings) {
    const byVersion = new Map(objects.map((object) => [nameOf(object), object]));
    const named = new Map<string, ManifestText>();
    byVault.set(vault, named);
    for (const object of objects.filter(({ key }) => key.includes('/snapshots/'))) {
      const manifest = await openManifest(await place.read(vault, object), identities);
      if (manifest === null) {
        if (!moment.damaged?.has(object.key)) violated('a manifest opens', `${vault}: ${object.key}`);
        continue;
      }
      named.set(nameOf(object), manifest);
      const bodies = new Map<string, Buffer>();
      for (const it of [manifest.index, ...manifest.segments]) {
        if (moment.damaged?.has(it.key)) continue;
        const there = byVersion.get(nameOf(it));
        if (there === undefined) {
          violated('no manifest lacks an object', `${vault}: ${object.key} names ${it.key}, which is not there`);
          continue;
        }
        const body = await place.read(vault, there);
        if (sha256(body) === it.storedSha256) bodies.set(it.key, body);
        if (!bodies.has(it.key)) violated('what is named is unaltered', `${vault}: ${it.key}`);
        else if (there.lockedUntil === null || there.lockedUntil < Date.parse(manifest.lock.retainUntil))
          violated('locked as promised', `${vault}: ${it.key} of ${object.key}`);
      }
      if (bodies.size !== manifest.segments.length + 1) continue;
      const given = await restoredByHand(manifest, bodies, identities);
      byHand.set(nameOf(object), given.contents);
      for (const problem of given.problems) violated('a snapshot restores by hand', `${vault}: ${manifest.snapshot}: ${problem}`);
    }
  }

  if (rows === null) {
    if (moment.settled) violated('there is a catalog', place.stateDir);
    return found;
  }
  try {
    const committed = rows(
      `select s.id, s.shop, s.source, s.completedAt, s.complete, v.vault, m.key as manifestKey, m.versionId as manifestVersion, v.verifyError
       from snapshots s join snapshotVaults v on v.snapshotId = s.id join objects m on m.id = v.manifestObject where s.state = 'committed'`,
    );
    // a copy that the catalog itself calls damaged is vouched for by no one until it was mended
    const isVouched = (row: Row): boolean => moment.settled || row.verifyError === null;
    for (const row of committed.filter(isVouched)) {
      const vault = String(row.vault);
      const manifest = { key: String(row.manifestKey), versionId: String(row.manifestVersion) };
      const object = find(vault, manifest);
      if (moment.damaged?.has(manifest.key)) continue;
      if (object === undefined) violated('what is committed is there', `${vault}: snapshot ${row.id} has no manifest`);
      else if (
        object.lockedUntil === null ||
        object.lockedUntil < Date.parse(byVault.get(vault)?.get(nameOf(manifest))?.lock.retainUntil ?? '')
      )
        violated('locked as promised', `${vault}: ${object.key}`);
    }

    // The newest good snapshot of each source.
    for (const shop of place.shops.filter((one) => !moment.erased?.includes(one) && !moment.isFirst && !moment.lapsed)) {
      const newestRows = moment.rows?.get(shop);
      for (const source of newestRows === undefined ? place.sources : ['database']) {
        const newest = committed
          .filter((row) => row.shop === shop && row.source === source && row.complete === 1)
          .sort((a, b) => Number(b.completedAt) - Number(a.completedAt))[0];
        if (newest === undefined) {
          violated('the newest good snapshot is there', `${shop} has none of its ${source}`);
          continue;
        }
        for (const copy of committed.filter((row) => row.id === newest.id && isVouched(row))) {
          const vault = String(copy.vault);
          const own = { key: String(copy.manifestKey), versionId: String(copy.manifestVersion) };
          const manifest = byVault.get(vault)?.get(nameOf(own));
          if (manifest === undefined) continue;
          for (const it of [own, manifest.index, ...manifest.segments]) {
            if (moment.damaged?.has(it.key)) continue;
            const until = find(vault, it)?.lockedUntil ?? 0;
            if (until <= moment.nowMs) violated('the newest good snapshot is locked', `${vault}: ${it.key} of ${newest.id}`);
          }
          if (!moment.settled) continue;
          const contents = byHand.get(nameOf(own));
          if (contents === undefined)
            violated('the newest good snapshot is what it was made of', `${vault}: ${newest.id} gave nothing by hand`);
          else if (newestRows !== undefined) {
            if (![...contents.values()].some((text) => text.includes(newestRows)))
              violated('the newest good snapshot is what it was made of', `${vault}: ${newest.id} lacks the newest rows`);
          } else if (place.tree !== undefined)
            for (const line of differences(contents, contentsOf(place.tree(shop))))
              violated('the newest good snapshot is what it was made of', `${vault}: ${newest.id}: ${line}`);
        }
      }
    }

    // Nothing has risen again.
    const present = new Set([...listings].flatMap(([vault, { objects }]) => objects.map((one) => `${vault} ${one.key} ${one.versionId}`)));
    for (const row of rows(
      `select vault, key, versionId, state from objects where state in ('released', 'void') and versionId is not null`,
    )) {
      if (present.has(`${row.vault} ${row.key} ${row.versionId}`))
        violated('nothing has risen again', `${row.vault}: ${row.key} is ${row.state} and there`);
    }

    if (moment.settled) {
      for (const vault of vaults) {
        const { objects, uploads } = listings.get(vault) as Listing;
        // what a killed probe left is settled by the daemon's own prune
        for (const shop of moment.over ? [...place.shops, '_coffre'] : place.shops) {
          const own = [...objects, ...uploads].filter((one) => one.key.startsWith(`${shop}/`));
          const bytes = own.reduce((sum, one) => sum + one.bytes, 0);
          const [level] = rows(`select coalesce(sum(bytes), 0) as bytes from ledger where vault = ? and shop = ?`, vault, shop);
          if (level?.bytes !== bytes)
            violated('the ledger is exact', `${vault}: ${shop} holds ${bytes} bytes, the ledger says ${level?.bytes}`);
        }
        const known = new Map(
          rows(`select key, versionId, state from objects where vault = ? and state in ('stored', 'tombstone')`, vault).map((row) => [
            `${row.key} ${row.versionId}`,
            row,
          ]),
        );
        const intents = new Set(
          rows(`select key from objects where vault = ? and shop = '_coffre' and state = 'intent'`, vault).map(({ key }) => key),
        );
        for (const one of objects) {
          // a checkpoint that was killed is asked for by the next one a day later, or by that prune
          const isLater = !moment.over && (one.key.startsWith('_coffre/probe/') || intents.has(one.key));
          if (!isLater && !known.has(`${one.key} ${one.versionId}`)) violated('every object is known', `${vault}: ${one.key} has no row`);
          known.delete(`${one.key} ${one.versionId}`);
        }
        for (const row of known.values()) {
          if (String(row.versionId).startsWith('upload:') || moment.damaged?.has(String(row.key))) continue;
          violated('every row has its object', `${vault}: ${row.key} is ${row.state} and not there`);
        }
      }
      for (const row of committed.filter(({ verifyError }) => verifyError !== null))
        violated('no copy stays damaged', `${row.vault}: snapshot ${row.id} (${row.verifyError})`);
      for (const row of rows(`select id, kind from runs where state = 'running' and shop = 'dupont'`))
        violated('no run goes on for ever', `${row.kind} ${row.id}`);
      // those of a dead run may stay until a prune has seen to the manifest that it may have left in a vault
      for (const row of rows(`select p.segmentId, p.runId from pins p join runs r on r.id = p.runId where r.state = 'done'`))
        violated('no pin stays', `${row.segmentId} of ${row.runId}`);
    }

    if (moment.over) checkNothingIsLeft(place, moment, vaults, listings, byVault, rows, violated);
  } finally {
    rows.close();
  }
  return found;
}

function checkNothingIsLeft(
  place: Looked,
  moment: Moment,
  vaults: readonly string[],
  listings: ReadonlyMap<string, Listing>,
  byVault: ReadonlyMap<string, ReadonlyMap<string, ManifestText>>,
  rows: CatalogReader,
  violated: (truth: string, detail: string) => void,
): void {
  for (const row of rows(`select vault, key from objects where state = 'intent'`)) violated('no intent stays', `${row.vault}: ${row.key}`);
  for (const row of rows(`select vault, key from objects where state = 'tombstone'`))
    violated('no tombstone stays', `${row.vault}: ${row.key}`);
  for (const row of rows(`select id from snapshots where state = 'tombstone'`)) violated('no tombstone stays', `snapshot ${row.id}`);
  for (const row of rows(`select segmentId from pins`)) violated('no pin stays', String(row.segmentId));
  for (const vault of vaults) {
    const { objects, uploads, litter } = listings.get(vault) as Listing;
    const needed = new Set<string>();
    for (const row of rows(
      `select m.key, m.versionId from snapshots s join snapshotVaults v on v.snapshotId = s.id join objects m on m.id = v.manifestObject where s.state = 'committed' and v.vault = ?`,
      vault,
    )) {
      const own = { key: String(row.key), versionId: String(row.versionId) };
      const manifest = byVault.get(vault)?.get(nameOf(own));
      for (const it of [own, ...(manifest ? [manifest.index, ...manifest.segments] : [])]) needed.add(nameOf(it));
    }
    for (const object of objects) {
      const { key } = object;
      const shop = key.split('/')[0] as string;
      if (key.startsWith('_coffre/state/') || needed.has(nameOf(object))) continue;
      if (moment.kept !== undefined && key.startsWith(moment.kept)) continue;
      if (key.includes('/keys/') && !moment.erased?.includes(shop)) continue;
      violated('nothing is leaked', `${vault}: nothing needs ${key}`);
    }
    for (const { key } of uploads) violated('nothing is leaked', `${vault}: an unfinished write of ${key}`);
    for (const path of litter) violated('nothing is leaked', `${vault}: ${path}`);
  }
  const live = new Set(rows(`select id from snapshots where state = 'committed'`).map((row) => String(row.id)));
  for (const folder of ['indexes', 'manifests']) {
    for (const path of filesBelow(join(place.stateDir, folder))) {
      const id = path.split('/').at(-1)?.split('.')[0] as string;
      if (!live.has(id)) violated('nothing is leaked', `stateDir: ${folder}/${path}`);
    }
  }
  for (const path of filesBelow(place.keyDir)) if (path.endsWith('.tmp')) violated('nothing is leaked', `keyDir: ${path}`);
  for (const path of filesBelow(place.stateDir)) {
    if (/^(indexes|manifests|locks)\//.test(path) || /^(catalog\.db(-wal|-shm)?|rebuilt\.json)$/.test(path)) continue;
    violated('nothing is leaked', `stateDir: ${path}`);
  }
}

function nameOf({ key, versionId }: { readonly key: string; readonly versionId: string }): string {
  return `${key} ${versionId}`;
}

/** Null when nothing at hand opens it. The signature is not looked at: `coffre verify` does. */
async function openManifest(sealed: Buffer, identities: readonly string[]): Promise<ManifestText | null> {
  const name = sha256(sealed);
  const known = manifests.get(name);
  if (known !== undefined) return known;
  try {
    const { manifest } = JSON.parse((await openByHand(sealed, identities)).toString('utf8')) as { manifest: ManifestText };
    remember(manifests, name, manifest);
    return manifest;
  } catch {
    return null;
  }
}

/** `bodies`: index and segments by key, whole. */
async function restoredByHand(
  { source, index, segments }: ManifestText,
  bodies: ReadonlyMap<string, Buffer>,
  identities: readonly string[],
): Promise<{ readonly contents: Contents; readonly problems: readonly string[] }> {
  const known = restored.get(index.storedSha256);
  if (known !== undefined) return known;
  const keys = new Map(segments.map(({ id, key }) => [id, key]));
  const body = (key: string): Buffer | null => bodies.get(key) ?? null;
  const given =
    source === 'database'
      ? await statementsByHand(segments, identities, body)
      : await contentsByHand(body(index.key) as Buffer, identities, (id) => body(keys.get(id) ?? ''));
  remember(restored, index.storedSha256, given);
  return given;
}

/** The shops' identities, kept in memory: after a fire the keys' folder is empty. */
const identitiesSeen = new Map<string, Set<string>>();

function identitiesOf(place: Looked): readonly string[] {
  const seen = identitiesSeen.get(place.keyDir) ?? new Set<string>();
  identitiesSeen.set(place.keyDir, seen);
  for (const path of filesBelow(place.keyDir)) {
    for (const [identity] of readFileSync(join(place.keyDir, path), 'latin1').matchAll(/AGE-SECRET-KEY-[A-Z0-9-]+/g)) seen.add(identity);
  }
  return [...seen];
}

interface CatalogReader {
  (sql: string, ...parameters: (string | number)[]): Row[];
  close(): void;
}

/** Null when there is no catalog, or one whose maker was killed before its tables were there. */
function catalogReader(place: Looked): CatalogReader | null {
  const path = join(place.stateDir, 'catalog.db');
  if (!existsSync(path)) return null;
  const database = new DatabaseSync(path);
  const reader = (sql: string, ...parameters: (string | number)[]): Row[] => database.prepare(sql).all(...parameters) as Row[];
  if (reader(`select 1 from sqlite_schema where name = 'snapshots'`).length === 0) {
    database.close();
    return null;
  }
  return Object.assign(reader, { close: () => database.close() });
}

// Incidents: what was found in a vault that coffre cannot explain, since when, and whether somebody has looked into it.
import type { Insertable, Kysely, Selectable } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import { newId } from '../segment/id.ts';
import { openBreach, openMissingBreaches } from './breaches.ts';
import { versionRow } from './object-version.ts';
import type { Catalog } from './open.ts';
import type { IncidentKind, IncidentsTable } from './tables/incidents.ts';
import type { Tables } from './tables.ts';

export type IncidentRow = Selectable<IncidentsTable>;

/** One thing that a look at a vault found. */
export interface Sighting {
  readonly kind: IncidentKind;
  /** Empty for what is about no single object. */
  readonly key: string;
  readonly versionId: string;
  readonly sizeBytes: number;
  readonly detail?: string | undefined;
}

export interface Look {
  readonly vault: string;
  readonly shop: string;
  /** What was looked for, all of it: of these kinds, what was open and was not seen now is gone. */
  readonly kinds: readonly IncidentKind[];
  readonly sightings: readonly Sighting[];
  /** For the audit. */
  readonly who: string;
}

export interface Recorded {
  /** Seen for the first time. */
  readonly opened: readonly IncidentRow[];
  /** Every sighting that nobody has acknowledged, those just opened included. */
  readonly unacknowledged: readonly Sighting[];
}

/** Somebody did this, and setting it right does not undo that (a drift is set right by the look itself): open until a person says that it is known. */
const STICKY: ReadonlySet<IncidentKind> = new Set<IncidentKind>(['missing', 'lock', 'drift']);

const nameOf = ({ kind, key, versionId }: Pick<Sighting, 'kind' | 'key' | 'versionId'>): string => `${kind}\0${key}\0${versionId}`;

/** Writes down what a look found, in one transaction, with the audit; closes what it did not find any more. */
export async function recordLook(catalog: Catalog, clock: Clock, look: Look): Promise<Recorded> {
  const { vault, shop, kinds, sightings, who } = look;
  const nowMs = clock.nowMs();
  return await catalog.transaction(async (tx) => {
    const rows = await tx
      .selectFrom('incidents')
      .selectAll()
      .where('vault', '=', vault)
      .where('shop', '=', shop)
      .where('goneAt', 'is', null)
      .execute();
    const open = new Map(rows.map((row) => [nameOf(row), row]));
    const opened: IncidentRow[] = [];
    const unacknowledged: Sighting[] = [];
    const seen = new Set<string>();
    for (const sighting of sightings) {
      const name = nameOf(sighting);
      if (seen.has(name)) continue;
      seen.add(name);
      const known = open.get(name);
      if (known) {
        const detail = sighting.detail ?? known.detail;
        await tx
          .updateTable('incidents')
          .set({ lastSeenAt: nowMs, sizeBytes: sighting.sizeBytes, detail })
          .where('id', '=', known.id)
          .execute();
      } else {
        const row: IncidentRow = {
          ...{ id: newId(clock), vault, shop, kind: sighting.kind, key: sighting.key, versionId: sighting.versionId },
          ...{ sizeBytes: sighting.sizeBytes, detail: sighting.detail ?? null, firstSeenAt: nowMs, lastSeenAt: nowMs, goneAt: null },
          ...{ acknowledgedAt: null, acknowledgedBy: null, reason: null },
        };
        await tx
          .insertInto('incidents')
          .values(row satisfies Insertable<IncidentsTable>)
          .execute();
        await tell(tx, { at: nowMs, who, what: 'incident', row });
        await openBreach(tx, clock, row, who);
        opened.push(row);
      }
      if (!known || known.acknowledgedAt === null) unacknowledged.push(sighting);
    }
    // those of before there were cases
    await openMissingBreaches(tx, clock, who, { vault, shop });
    for (const row of rows) {
      if (seen.has(nameOf(row)) || !kinds.includes(row.kind)) continue;
      if (STICKY.has(row.kind) && row.acknowledgedAt === null && !(row.kind === 'missing' && (await isThere(tx, row)))) continue;
      await tx.updateTable('incidents').set({ goneAt: nowMs }).where('id', '=', row.id).execute();
      await tell(tx, { at: nowMs, who, what: 'incident gone', row });
    }
    return { opened, unacknowledged };
  });
}

/** A lost version that the store holds after all. */
async function isThere(tx: Kysely<Tables>, row: IncidentRow): Promise<boolean> {
  return (await versionRow(tx, row))?.state === 'stored';
}

async function tell(
  tx: Kysely<Tables>,
  { at, who, what, row, reason }: { at: number; who: string; what: string; row: IncidentRow; reason?: string },
): Promise<void> {
  const { id, vault, shop, kind, key, versionId, sizeBytes, detail } = row;
  const said = { incident: id, vault, kind, key, versionId, sizeBytes, detail, ...(reason === undefined ? {} : { reason }) };
  await tx
    .insertInto('audit')
    .values({ at, who, what, shop, detail: JSON.stringify(said) })
    .execute();
}

/** Says that a person knows of it: it is not red any more, and is told of no more, until it is gone and comes again. Throws E_USAGE. */
export async function acknowledgeIncident(catalog: Catalog, clock: Clock, id: string, by: Acknowledgement): Promise<IncidentRow> {
  const [row] = await acknowledgeIncidents(catalog, clock, [id], by);
  return row as IncidentRow;
}

/** The same of several, all of them or none. */
export async function acknowledgeIncidents(
  catalog: Catalog,
  clock: Clock,
  ids: readonly string[],
  by: Acknowledgement,
): Promise<IncidentRow[]> {
  return await catalog.transaction(async (tx) => {
    const rows: IncidentRow[] = [];
    for (const id of ids) rows.push(await acknowledge(tx, clock.nowMs(), id, by));
    return rows;
  });
}

interface Acknowledgement {
  readonly who: string;
  readonly reason: string;
}

async function acknowledge(tx: Kysely<Tables>, at: number, id: string, by: Acknowledgement): Promise<IncidentRow> {
  const row = await tx.selectFrom('incidents').selectAll().where('id', '=', id).executeTakeFirst();
  if (!row || row.goneAt !== null || row.acknowledgedAt !== null) {
    const what = !row ? 'does not exist' : row.goneAt === null ? 'was acknowledged already' : 'is gone';
    throw new CoffreError('E_USAGE', `incident ${id} ${what}`, { hint: 'coffre incident list shows those that are open' });
  }
  const said = { acknowledgedAt: at, acknowledgedBy: by.who, reason: by.reason };
  await tx.updateTable('incidents').set(said).where('id', '=', id).execute();
  await tell(tx, { at, who: by.who, what: 'incident acknowledge', row, reason: by.reason });
  return { ...row, ...said };
}

/** Oldest first; those that are open and nobody has acknowledged, unless `all` is asked for. */
export async function listIncidents(
  db: Kysely<Tables>,
  filter: { readonly shops?: readonly string[] | undefined; readonly all?: boolean } = {},
): Promise<IncidentRow[]> {
  let query = db.selectFrom('incidents').selectAll();
  if (filter.shops !== undefined) query = query.where('shop', 'in', filter.shops);
  if (!filter.all) query = query.where('goneAt', 'is', null).where('acknowledgedAt', 'is', null);
  return await query.orderBy('firstSeenAt').orderBy('id').execute();
}

/** Version ids on a key, markers included, that are not ours and that a person knows of. */
export async function acknowledgedVersions(
  db: Kysely<Tables>,
  { vault, shop, key }: { readonly vault: string; readonly shop: string; readonly key: string },
): Promise<string[]> {
  const rows = await db
    .selectFrom('incidents')
    .select('versionId')
    .where('vault', '=', vault)
    .where('shop', '=', shop)
    .where('key', '=', key)
    .where('kind', 'in', ['foreign version', 'delete marker'])
    .where('goneAt', 'is', null)
    .where('acknowledgedAt', 'is not', null)
    .execute();
  return rows.map((row) => row.versionId);
}

/** Incidents of one kind, which nobody has acknowledged and which are of no declared shop. */
export interface IncidentsOfOther {
  readonly shop: string;
  readonly vault: string;
  readonly kind: IncidentKind;
  readonly count: number;
}

/**
 * Those that no status of a declared shop shows: of shops that are declared no more, and of the daemon's own objects in a vault that none
 * uses. By shop, vault and kind.
 */
export async function incidentsOfOthers(
  db: Kysely<Tables>,
  shops: Iterable<{ readonly name: string; readonly vaults: readonly string[] }>,
  daemonShop: string,
): Promise<IncidentsOfOther[]> {
  const declared = [...shops];
  const names = new Set(declared.map(({ name }) => name));
  const used = new Set(declared.flatMap(({ vaults }) => vaults));
  const rows = await db
    .selectFrom('incidents')
    .select(['shop', 'vault', 'kind', (eb) => eb.fn.countAll<number>().as('count')])
    .where('goneAt', 'is', null)
    .where('acknowledgedAt', 'is', null)
    .groupBy(['shop', 'vault', 'kind'])
    .orderBy('shop')
    .orderBy('vault')
    .orderBy('kind')
    .execute();
  return rows.filter(({ shop, vault }) => (shop === daemonShop ? !used.has(vault) : !names.has(shop)));
}

export interface IncidentPage {
  readonly shop?: string | undefined;
  /** Acknowledged ones and those that are gone too. */
  readonly all: boolean;
  /** Found before this one: the last id of the page before. */
  readonly before?: string | undefined;
  readonly limit: number;
}

/** Newest first. */
export async function pageOfIncidents(db: Kysely<Tables>, page: IncidentPage): Promise<IncidentRow[]> {
  let query = db.selectFrom('incidents').selectAll();
  if (page.shop !== undefined) query = query.where('shop', '=', page.shop);
  if (!page.all) query = query.where('goneAt', 'is', null).where('acknowledgedAt', 'is', null);
  if (page.before !== undefined) query = query.where('id', '<', page.before);
  return await query.orderBy('id', 'desc').limit(page.limit).execute();
}

/** As JSON tells it, on the command line and in the API. */
export function incidentDocument(row: IncidentRow) {
  const when = (atMs: number): string => Temporal.Instant.fromEpochMilliseconds(atMs).toString();
  const orNull = (atMs: number | null): string | null => (atMs === null ? null : when(atMs));
  const { id, shop, vault, kind, key, versionId, sizeBytes, detail, acknowledgedBy, reason } = row;
  return {
    ...{ id, shop, vault, kind, key, versionId, sizeBytes, detail },
    ...{ firstSeenAt: when(row.firstSeenAt), lastSeenAt: when(row.lastSeenAt), goneAt: orNull(row.goneAt) },
    ...{ acknowledgedAt: orNull(row.acknowledgedAt), acknowledgedBy, reason },
  };
}

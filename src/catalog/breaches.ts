// Cases of tampering or loss: opened by the incidents of one event, and red until their clients were told, or somebody closes them.
import type { ExpressionBuilder, Kysely, Selectable } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import { newId } from '../segment/id.ts';
import type { Catalog } from './open.ts';
import type { BreachCasesTable, IncidentKind, IncidentsTable } from './tables/incidents.ts';
import type { Tables } from './tables.ts';

export type BreachCase = Selectable<BreachCasesTable>;
type Incident = Selectable<IncidentsTable>;

/** By the contracts, the client hears of it within 48 hours after it was found. */
export const TELL_WITHIN_MS = 48 * 3_600_000;
/** What is found in the same vault within this long after the last finding is of the same event: the daily looks at all shops come to it one by one. */
export const SAME_EVENT_MS = 24 * 3_600_000;

/**
 * What each kind means for the client; null: nothing that they must be told of. A drift is a matter of figures (an altered object is of
 * the kind for it), what lies beside the shops holds none of their data, and a clock harms nobody's.
 */
const NATURES: Readonly<Record<IncidentKind, 'tampering' | 'loss' | null>> = {
  missing: 'loss',
  altered: 'tampering',
  lock: 'tampering',
  'delete marker': 'tampering',
  'foreign version': 'tampering',
  'foreign upload': null,
  'foreign prefix': null,
  reappeared: null,
  drift: null,
  clock: null,
};

const TOLD_KINDS = (Object.keys(NATURES) as IncidentKind[]).filter((kind) => NATURES[kind] !== null);

export const natureOf = (kind: IncidentKind): 'tampering' | 'loss' | null => NATURES[kind];

/** In the transaction that writes the incident down: none is ever there without its case. One that was sent or closed takes no more: what comes after it has to be told too. */
export async function openBreach(tx: Kysely<Tables>, clock: Clock, incident: Incident, who: string): Promise<void> {
  if (natureOf(incident.kind) === null) return;
  const { firstSeenAt: at, id: incidentId, shop, vault } = incident;
  const known = await tx
    .selectFrom('breachCases')
    .selectAll()
    .where('vault', '=', vault)
    .where('sentAt', 'is', null)
    .where('closedAt', 'is', null)
    .where('lastIncidentAt', '>=', at - SAME_EVENT_MS)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  const caseId = known?.id ?? newId(clock);
  if (known) {
    const lastIncidentAt = Math.max(known.lastIncidentAt, at);
    await tx.updateTable('breachCases').set({ lastIncidentAt }).where('id', '=', caseId).execute();
  } else {
    const deadline = at + TELL_WITHIN_MS;
    await tx
      .insertInto('breachCases')
      .values({
        ...{ id: caseId, vault, openedAt: at, deadline, lastIncidentAt: at },
        ...{ sentAt: null, sentBy: null, closedAt: null, closedBy: null, reason: null },
      })
      .execute();
    const detail = JSON.stringify({ breach: caseId, vault, deadline: instantText(deadline), incident: incidentId });
    await tx.insertInto('audit').values({ at: clock.nowMs(), who, what: 'breach open', shop, detail }).execute();
  }
  await tx.insertInto('breachIncidents').values({ incidentId, caseId }).execute();
}

/**
 * Cases for incidents that are open and nobody has acknowledged, and that have none: those of before there were cases. Their 48 hours are
 * counted from when they were found, as for any other. Returns how many there were. `tx`: a transaction.
 */
export async function openMissingBreaches(
  tx: Kysely<Tables>,
  clock: Clock,
  who: string,
  of?: { readonly vault: string; readonly shop: string },
): Promise<number> {
  let query = tx
    .selectFrom('incidents')
    .selectAll('incidents')
    .leftJoin('breachIncidents', 'breachIncidents.incidentId', 'incidents.id')
    .where('breachIncidents.caseId', 'is', null)
    .where('incidents.goneAt', 'is', null)
    .where('incidents.acknowledgedAt', 'is', null)
    .where('incidents.kind', 'in', TOLD_KINDS);
  if (of !== undefined) query = query.where('incidents.vault', '=', of.vault).where('incidents.shop', '=', of.shop);
  const incidents = await query.orderBy('incidents.firstSeenAt').orderBy('incidents.id').execute();
  for (const incident of incidents) await openBreach(tx, clock, incident, who);
  return incidents.length;
}

/** Newest first; those that nobody has sent or closed, unless `all` is asked for. `db` may be a transaction. */
export async function listBreaches(db: Kysely<Tables>, { all }: { readonly all: boolean }): Promise<BreachCase[]> {
  let query = db.selectFrom('breachCases').selectAll();
  if (!all) query = query.where('sentAt', 'is', null).where('closedAt', 'is', null);
  return await query.orderBy('id', 'desc').execute();
}

export interface BreachPage {
  /** Those that were sent or closed too. */
  readonly all: boolean;
  /** Before this one: the last id of the page before. */
  readonly before?: string | undefined;
  readonly limit: number;
}

/** As listBreaches. */
export async function pageOfBreaches(db: Kysely<Tables>, { all, before, limit }: BreachPage): Promise<BreachCase[]> {
  let query = db.selectFrom('breachCases').selectAll();
  if (!all) query = query.where('sentAt', 'is', null).where('closedAt', 'is', null);
  if (before !== undefined) query = query.where('id', '<', before);
  return await query.orderBy('id', 'desc').limit(limit).execute();
}

export interface BreachScope {
  /** Whose objects it is about, by name. */
  readonly shops: string[];
  readonly incidents: number;
}

/** Of these cases, by id. */
export async function breachScopes(db: Kysely<Tables>, rows: readonly BreachCase[]): Promise<(id: string) => BreachScope> {
  const scopes = new Map<string, BreachScope>();
  for (const { id } of rows) {
    const incidents = await incidentsOfBreach(db, id);
    scopes.set(id, { shops: [...new Set(incidents.map(({ shop }) => shop))].sort(), incidents: incidents.length });
  }
  return (id) => scopes.get(id) ?? { shops: [], incidents: 0 };
}

export interface ShopOfVaults {
  readonly name: string;
  readonly vaults: readonly string[];
}

/** Of a case: the shop's own, and the daemon's in a vault that the shop uses. */
const incidentsConcerning = (eb: ExpressionBuilder<Tables, 'breachCases'>, { name, vaults }: ShopOfVaults, daemonShop: string) =>
  eb
    .selectFrom('breachIncidents')
    .innerJoin('incidents', 'incidents.id', 'breachIncidents.incidentId')
    .select('incidents.id')
    .whereRef('breachIncidents.caseId', '=', 'breachCases.id')
    .where((own) =>
      own.or([own('incidents.shop', '=', name), own.and([own('incidents.shop', '=', daemonShop), own('incidents.vault', 'in', vaults)])]),
    );

/** Cases that concern the shop, were opened before the end of that time (epoch milliseconds, not in it), and waited in it. */
export async function breachesOfPeriod(
  db: Kysely<Tables>,
  shop: ShopOfVaults,
  daemonShop: string,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): Promise<BreachCase[]> {
  return await db
    .selectFrom('breachCases')
    .selectAll()
    .where('openedAt', '<', toMs)
    .where((eb) =>
      eb.or([
        eb('openedAt', '>=', fromMs),
        eb('sentAt', '>=', fromMs),
        eb('closedAt', '>=', fromMs),
        eb.and([eb('sentAt', 'is', null), eb('closedAt', 'is', null)]),
      ]),
    )
    .where((eb) => eb.exists(incidentsConcerning(eb, shop, daemonShop)))
    .orderBy('id')
    .execute();
}

/** Cases that wait and concern the shop: its own objects, or the daemon's in a vault that it uses. */
export async function openBreachesOf(db: Kysely<Tables>, shop: ShopOfVaults, daemonShop: string): Promise<BreachCase[]> {
  return await db
    .selectFrom('breachCases')
    .selectAll()
    .where('sentAt', 'is', null)
    .where('closedAt', 'is', null)
    .where((eb) => eb.exists(incidentsConcerning(eb, shop, daemonShop)))
    .orderBy('id')
    .execute();
}

/**
 * Cases that wait and concern none of these shops, each with its vaults: their clients have left the configuration, and are to be told all
 * the same. What was found among the daemon's own objects concerns whoever uses the vault, and nobody where none does.
 */
export async function breachesOfOthers(db: Kysely<Tables>, shops: Iterable<ShopOfVaults>, daemonShop: string): Promise<BreachCase[]> {
  const declared = new Set<string>();
  const used = new Set<string>();
  for (const { name, vaults } of shops) {
    declared.add(name);
    for (const vault of vaults) used.add(vault);
  }
  const others: BreachCase[] = [];
  for (const row of await listBreaches(db, { all: false })) {
    const incidents = await incidentsOfBreach(db, row.id);
    const isSeen = incidents.some(({ shop, vault }) => declared.has(shop) || (shop === daemonShop && used.has(vault)));
    if (!isSeen && incidents.some(({ shop }) => shop !== daemonShop)) others.push(row);
  }
  return others;
}

/** In the order in which they were found. */
export async function incidentsOfBreach(db: Kysely<Tables>, caseId: string): Promise<Incident[]> {
  return await db
    .selectFrom('incidents')
    .innerJoin('breachIncidents', 'breachIncidents.incidentId', 'incidents.id')
    .selectAll('incidents')
    .where('breachIncidents.caseId', '=', caseId)
    .orderBy('incidents.firstSeenAt')
    .orderBy('incidents.id')
    .execute();
}

/** The one case whose id begins so. Throws E_NOT_FOUND, E_USAGE when several do. */
export async function findBreach(db: Kysely<Tables>, beginning: string): Promise<BreachCase> {
  const matching = (await listBreaches(db, { all: true })).filter(({ id }) => id.startsWith(beginning));
  const exact = matching.find(({ id }) => id === beginning);
  const [first] = matching;
  if (first === undefined) throw new CoffreError('E_NOT_FOUND', `no case ${beginning}`, { hint: 'coffre breach list --all shows them' });
  if (!exact && matching.length > 1)
    throw new CoffreError('E_USAGE', `several cases begin with ${beginning}`, { hint: 'give more of the id' });
  return exact ?? first;
}

export type BreachStep =
  /** The clients were told, at that instant (epoch milliseconds). */
  { readonly verb: 'sent'; readonly by: string; readonly atMs: number } | { readonly verb: 'close'; readonly reason: string };

/**
 * Writes down that the clients were told, or why they need not be. What was sent may be closed, not the other way round; once each.
 * Throws E_NOT_FOUND, E_USAGE.
 */
export async function stepBreach(catalog: Catalog, clock: Clock, beginning: string, who: string, step: BreachStep): Promise<BreachCase> {
  return await catalog.transaction(async (tx) => {
    const row = await findBreach(tx, beginning);
    const nowMs = clock.nowMs();
    if (row.closedAt !== null) throw new CoffreError('E_USAGE', `case ${row.id} is closed: ${row.reason}`);
    if (step.verb === 'sent') {
      if (row.sentAt !== null) throw new CoffreError('E_USAGE', `case ${row.id} was sent already, by ${row.sentBy}`);
      if (step.atMs > nowMs) throw new CoffreError('E_USAGE', 'it cannot have been sent in the future', { hint: 'say it once it is sent' });
      if (step.atMs < row.openedAt) throw new CoffreError('E_USAGE', `that lies before the case was opened (${instantText(row.openedAt)})`);
    }
    const change = step.verb === 'sent' ? { sentAt: step.atMs, sentBy: step.by } : { closedAt: nowMs, closedBy: who, reason: step.reason };
    await tx.updateTable('breachCases').set(change).where('id', '=', row.id).execute();
    const said = step.verb === 'sent' ? { by: step.by, sentAt: instantText(step.atMs) } : { reason: step.reason };
    const shops = new Set((await incidentsOfBreach(tx, row.id)).map(({ shop }) => shop));
    for (const shop of shops) {
      await tx
        .insertInto('audit')
        .values({ at: nowMs, who, what: `breach ${step.verb}`, shop, detail: JSON.stringify({ breach: row.id, ...said }) })
        .execute();
    }
    return { ...row, ...change };
  });
}

export type BreachState = 'open' | 'overdue' | 'sent' | 'closed';

/** The last millisecond of the deadline is still in time. */
export function breachState(
  { closedAt, deadline, sentAt }: Pick<BreachCase, 'closedAt' | 'deadline' | 'sentAt'>,
  nowMs: number,
): BreachState {
  if (closedAt !== null) return 'closed';
  if (sentAt !== null) return 'sent';
  return nowMs > deadline ? 'overdue' : 'open';
}

/** As JSON tells it. */
export function breachDocument(row: BreachCase, nowMs: number) {
  const orNull = (atMs: number | null): string | null => (atMs === null ? null : instantText(atMs));
  const { closedBy, deadline, id, reason, sentBy, vault } = row;
  const state = breachState(row, nowMs);
  return {
    ...{ id, vault, state, openedAt: instantText(row.openedAt), lastIncidentAt: instantText(row.lastIncidentAt) },
    deadline: instantText(deadline),
    /** Negative: by how much it has passed; null: nobody waits any more. */
    leftMs: state === 'open' || state === 'overdue' ? deadline - nowMs : null,
    ...{ sentAt: orNull(row.sentAt), sentBy, closedAt: orNull(row.closedAt), closedBy, reason },
  };
}

const instantText = (atMs: number): string => Temporal.Instant.fromEpochMilliseconds(atMs).toString();

// Reads from the catalog what the clients of a case have to be told: one draft for each shop, none of which names another shop.

import type { Kysely } from 'kysely';
import { type BreachCase, incidentsOfBreach } from '../catalog/breaches.ts';
import type { Tables } from '../catalog/tables.ts';
import type { Config } from '../config/config.ts';
import type { Language } from '../document/wording.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { readCopies } from './breach-copies.ts';
import { type BreachDraft, type BreachFacts, breachDraft } from './breach-notice.ts';

/** By shop. What was found among the daemon's own objects concerns every shop that uses the vault. */
export async function readBreachFacts(db: Kysely<Tables>, config: Config, row: BreachCase, nowMs: number): Promise<BreachFacts[]> {
  const incidents = await incidentsOfBreach(db, row.id);
  const ofDaemon = incidents.some(({ shop }) => shop === DAEMON_SHOP);
  const users = ofDaemon ? [...config.shops.values()].filter(({ vaults }) => vaults.includes(row.vault)).map(({ name }) => name) : [];
  const shops = new Set([...incidents.map(({ shop }) => shop).filter((shop) => shop !== DAEMON_SHOP), ...users]);
  const alertedAt = await readAlertedAt(db, row.id);
  const facts: BreachFacts[] = [];
  for (const shop of [...shops].sort()) {
    const look = await db
      .selectFrom('runs')
      .select('endedAt')
      .where('shop', '=', shop)
      .where('kind', '=', 'reconcile')
      .where('state', '=', 'done')
      .where('endedAt', '<', row.openedAt)
      // one that found something, or found again what was known, was none without a finding
      .where((eb) =>
        eb.not(
          eb.exists(
            eb
              .selectFrom('incidents')
              .select('incidents.id')
              .where('incidents.vault', '=', row.vault)
              .where('incidents.shop', 'in', [shop, DAEMON_SHOP])
              .whereRef('incidents.firstSeenAt', '<=', 'runs.endedAt')
              .where((or) => or.or([or('incidents.goneAt', 'is', null), or('incidents.goneAt', '>', or.ref('runs.startedAt'))])),
          ),
        ),
      )
      .orderBy('startedAt', 'desc')
      .limit(1)
      .executeTakeFirst();
    const copies = await readCopies(db, shop, nowMs);
    const sources = await db
      .selectFrom('snapshots')
      .select('snapshots.source')
      .distinct()
      .innerJoin('snapshotVaults', 'snapshotVaults.snapshotId', 'snapshots.id')
      .where('snapshots.shop', '=', shop)
      .where('snapshots.state', '!=', 'removed')
      .where('snapshotVaults.vault', '=', row.vault)
      .orderBy('snapshots.source')
      .execute();
    facts.push({
      ...{ id: row.id, shop, vault: row.vault, openedAt: row.openedAt, deadline: row.deadline, zone: config.timezone },
      name: config.shops.get(shop)?.contact?.name ?? null,
      incidents: incidents
        .filter((one) => one.shop === shop || one.shop === DAEMON_SHOP)
        .map(({ acknowledgedAt, firstSeenAt, goneAt, key, kind, lastSeenAt, reason, shop: of, sizeBytes }) => ({
          ...{ kind, key, sizeBytes, firstSeenAt, lastSeenAt, goneAt, acknowledgedAt, reason, isOwn: of === DAEMON_SHOP },
        })),
      sources: sources.map(({ source }) => source),
      alertedAt,
      lastGoodLookAt: look?.endedAt ?? null,
      elsewhere: copies.filter(({ vault }) => vault !== row.vault),
      keepsEvidence: config.vaults.get(row.vault)?.type !== 'filesystem',
      here: copies.find(({ vault }) => vault === row.vault) ?? null,
    });
  }
  return facts;
}

/** A draft for each shop, by its name: in that language, or else in the one of the shop's contact. */
export async function readBreachDrafts(
  db: Kysely<Tables>,
  config: Config,
  row: BreachCase,
  language: Language | null,
  nowMs: number,
): Promise<BreachDraft[]> {
  const facts = await readBreachFacts(db, config, row, nowMs);
  return facts.map((one) => breachDraft(one, language ?? config.shops.get(one.shop)?.contact?.language ?? 'en'));
}

/** Of the messages that are still kept and told of the case while it was red; null: none was sent. */
async function readAlertedAt(db: Kysely<Tables>, caseId: string): Promise<number | null> {
  const rows = await db
    .selectFrom('messages')
    .select(['content', 'sentAt'])
    .where('sentAt', 'is not', null)
    .where('content', 'like', `%${caseId}%`)
    .orderBy('sentAt')
    .execute();
  const first = rows.find(({ content }) => {
    const { raised = [], reminded = [] } = JSON.parse(content) as Partial<Record<'raised' | 'reminded', readonly unknown[]>>;
    return JSON.stringify([raised, reminded]).includes(caseId);
  });
  return first?.sentAt ?? null;
}

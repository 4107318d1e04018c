// Messages on their way to people, and what they were told: how the next start goes on from there.
import { type Kysely, type Selectable, sql } from 'kysely';
import type { Catalog } from './open.ts';
import type { AlarmsTable, MessagesTable, PingFailuresTable } from './tables/messages.ts';
import type { Tables } from './tables.ts';

export type MessageRow = Selectable<MessagesTable>;
export type AlarmRow = Selectable<AlarmsTable>;
export type PingFailure = Omit<PingFailuresTable, 'id'>;

export interface NoticeChanges {
  readonly alarms: readonly AlarmRow[];
  /** Ids of alarms that are over. */
  readonly over: readonly string[];
  readonly messages: readonly MessageRow[];
  /** null: it gets through. Left out: as before. */
  readonly ping?: PingFailure | null;
}

export async function readAlarms(db: Kysely<Tables>): Promise<AlarmRow[]> {
  return await db.selectFrom('alarms').selectAll().orderBy('id').execute();
}

/** Oldest first. */
export async function waitingMessages(db: Kysely<Tables>): Promise<MessageRow[]> {
  return await db
    .selectFrom('messages')
    .selectAll()
    .where('sentAt', 'is', null)
    .where('givenUpAt', 'is', null)
    .orderBy('at')
    .orderBy('id')
    .execute();
}

/** null: the last ping got through. */
export async function pingFailure(db: Kysely<Tables>): Promise<PingFailure | null> {
  const row = await db.selectFrom('pingFailures').select(['since', 'code', 'error']).executeTakeFirst();
  return row ?? null;
}

/** In one transaction: an alarm is never written down as told without the message that tells it. */
export async function saveNotices(catalog: Catalog, { alarms, messages, over, ping }: NoticeChanges): Promise<void> {
  await catalog.transaction(async (tx) => {
    for (const row of alarms) await tx.replaceInto('alarms').values(row).execute();
    for (const id of over) await tx.deleteFrom('alarms').where('id', '=', id).execute();
    for (const row of messages) await tx.replaceInto('messages').values(row).execute();
    if (ping === undefined) return;
    await tx.deleteFrom('pingFailures').execute();
    if (ping !== null) {
      await tx
        .insertInto('pingFailures')
        .values({ id: 1, ...ping })
        .execute();
    }
  });
}

/** Whether a message to those who look after the backups, of what was done to a restore request since then, got through. */
export async function operatorsHeard(db: Kysely<Tables>, request: string, verb: string, sinceMs: number): Promise<boolean> {
  const row = await db
    .selectFrom('messages')
    .select('id')
    .where('at', '>=', sinceMs)
    .where('sentAt', 'is not', null)
    .where(sql<boolean>`"content" ->> '$.request.id' = ${request} and "content" ->> '$.request.verb' = ${verb}`)
    // the owner's own has an address of its own
    .where(sql<boolean>`"content" ->> '$.to' is null`)
    .executeTakeFirst();
  return row !== undefined;
}

/** What was sent or given up before then; epoch milliseconds. */
export async function forgetMessages(db: Kysely<Tables>, beforeMs: number): Promise<void> {
  await db
    .deleteFrom('messages')
    .where('at', '<', beforeMs)
    .where((eb) => eb.or([eb('sentAt', 'is not', null), eb('givenUpAt', 'is not', null)]))
    .execute();
}

/** A channel over which nobody can be told. */
export interface ChannelTrouble {
  readonly channel: MessagesTable['channel'] | 'ping';
  /** Messages; of the ping the one that is to get through. */
  readonly waiting: number;
  /** Of the oldest that waits; epoch milliseconds. */
  readonly since: number;
  readonly code: string;
  readonly error: string;
}

/** Channels whose last try failed, or gave a message up within the last day; the ping when it does not get through. */
export async function channelTroubles(db: Kysely<Tables>, nowMs: number): Promise<ChannelTrouble[]> {
  const rows = await db
    .selectFrom('messages')
    .selectAll()
    .where('sentAt', 'is', null)
    .where('code', 'is not', null)
    .where((eb) => eb.or([eb('givenUpAt', 'is', null), eb('givenUpAt', '>', nowMs - 86_400_000)]))
    .orderBy('at')
    .execute();
  const troubles = [...Map.groupBy(rows, (row) => row.channel)].flatMap(([channel, own]): ChannelTrouble[] => {
    const [first] = own;
    const last = own.at(-1);
    if (!first || !last) return [];
    return [{ channel, waiting: own.length, since: first.at, code: last.code ?? 'E_NOTIFY', error: last.error ?? '' }];
  });
  const ping = await pingFailure(db);
  return ping === null ? troubles : [...troubles, { channel: 'ping', waiting: 1, ...ping }];
}

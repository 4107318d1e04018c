// What is expected to be reached, told once over each channel: the next step of a contract, the quota of a shop.
import type { Kysely } from 'kysely';
import type { ForecastNotice } from '../billing/read-forecast.ts';
import type { MessageRow } from '../catalog/messages.ts';
import type { Tables } from '../catalog/tables.ts';
import type { Channel } from './channels.ts';
import { forecastMessage, type MessageOptions } from './message.ts';

/** A message for each channel that has none of it yet; `known`: ids of messages that are on their way. */
export async function untoldForecasts(
  db: Kysely<Tables>,
  notices: readonly ForecastNotice[],
  channels: readonly Channel[],
  { host, nowMs, timezone }: Omit<MessageOptions, 'id'>,
  known: (id: string) => boolean,
): Promise<MessageRow[]> {
  const found: MessageRow[] = [];
  for (const notice of notices) {
    const name = `forecast-${notice.id.replaceAll(' ', '-')}`;
    for (const channel of channels) {
      const id = `${name}-${channel}`;
      if (known(id)) continue;
      if (await db.selectFrom('messages').select('id').where('id', '=', id).executeTakeFirst()) continue;
      const message = forecastMessage(notice, { id: name, host, nowMs, timezone });
      found.push({
        ...{ id, at: nowMs, channel, content: JSON.stringify(message), tries: 0, nextAt: nowMs },
        ...{ sentAt: null, givenUpAt: null, code: null, error: null },
      });
    }
  }
  return found;
}

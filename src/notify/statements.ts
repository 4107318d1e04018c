// Statements that were issued, told once over each channel: the billing module need not ask for them.
import type { Kysely } from 'kysely';
import { documentOf } from '../billing/statement-rows.ts';
import type { MessageRow } from '../catalog/messages.ts';
import type { Tables } from '../catalog/tables.ts';
import type { Channel } from './channels.ts';
import { type MessageOptions, statementMessage } from './message.ts';

/** What nobody was told within this time is old news: a machine that was made anew tells no old statements. */
const TOLD_WITHIN_MS = 3 * 86_400_000;

/** A message for each channel that has none of it yet; `known`: ids of messages that are on their way. */
export async function untoldStatements(
  db: Kysely<Tables>,
  channels: readonly Channel[],
  { host, nowMs, timezone }: Omit<MessageOptions, 'id'>,
  known: (id: string) => boolean,
): Promise<MessageRow[]> {
  if (channels.length === 0) return [];
  const rows = await db
    .selectFrom('statements')
    .selectAll()
    .where('issuedAt', '>', nowMs - TOLD_WITHIN_MS)
    .orderBy('id')
    .execute();
  const found: MessageRow[] = [];
  for (const row of rows) {
    for (const channel of channels) {
      const id = `statement-${row.number}-${channel}`;
      if (known(id)) continue;
      if (await db.selectFrom('messages').select('id').where('id', '=', id).executeTakeFirst()) continue;
      const message = statementMessage(documentOf(row), { id: `statement-${row.number}`, host, nowMs, timezone });
      found.push({
        ...{ id, at: nowMs, channel, content: JSON.stringify(message), tries: 0, nextAt: nowMs },
        ...{ sentAt: null, givenUpAt: null, code: null, error: null },
      });
    }
  }
  return found;
}

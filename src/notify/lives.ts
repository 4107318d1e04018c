// Reminders of shops that end, told once each: to the operators over every channel, to the owner by mail.
import type { Kysely } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { MessageRow } from '../catalog/messages.ts';
import { listLives } from '../catalog/shop-life.ts';
import type { Tables } from '../catalog/tables.ts';
import type { Config } from '../config/config.ts';
import type { Channel } from './channels.ts';
import { clientLetter, type LifeNotice, lifeNotice, operatorLetter } from './life-letters.ts';
import type { Message, MessageOptions } from './message.ts';

/** A message for each that has none of it yet; `known`: ids of messages that are on their way. */
export async function untoldLives(
  db: Kysely<Tables>,
  config: Config,
  channels: readonly Channel[],
  { host, nowMs, timezone }: Omit<MessageOptions, 'id'>,
  known: (id: string) => boolean,
): Promise<MessageRow[]> {
  if (channels.length === 0) return [];
  const found: MessageRow[] = [];
  for (const [shop, life] of await listLives(db)) {
    const notice = lifeNotice(shop, life, nowMs);
    if (notice === null) continue;
    const contact = config.shops.get(shop)?.contact ?? null;
    const tellsOwner = contact !== null && contact.emails.length > 0 && channels.includes('mail');
    const context = { host, timezone, name: contact?.name ?? null };
    const at = Temporal.Instant.fromEpochMilliseconds(nowMs).toString({ smallestUnit: 'second' });
    const add = async (
      id: string,
      channel: Channel,
      letter: { readonly subject: string; readonly text: string },
      to?: readonly string[],
    ) => {
      const row = `${id}-${channel}`;
      if (known(row)) return;
      if (await db.selectFrom('messages').select('id').where('id', '=', row).executeTakeFirst()) return;
      const message: Message = {
        ...{ version: 1, id, at, host, kind: 'life', ...letter, raised: [], reminded: [], recovered: [], life: summary(notice) },
        ...(to === undefined ? {} : { to }),
      };
      found.push({
        ...{ id: row, at: nowMs, channel, content: JSON.stringify(message), tries: 0, nextAt: nowMs },
        ...{ sentAt: null, givenUpAt: null, code: null, error: null },
      });
    };
    if (tellsOwner) await add(`${notice.id}-owner`, 'mail', clientLetter(notice, contact.language, context), contact.emails);
    for (const channel of channels) await add(notice.id, channel, operatorLetter(notice, tellsOwner, context));
  }
  return found;
}

const summary = ({ days, endsAt, shop, state }: LifeNotice) => ({
  ...{ shop, state, days, endsAt: Temporal.Instant.fromEpochMilliseconds(endsAt).toString() },
});

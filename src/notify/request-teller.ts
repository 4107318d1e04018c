// Turns what happens to restore requests into messages, each once: written down together with how far people were told.

import type { MessageRow } from '../catalog/messages.ts';
import type { Catalog } from '../catalog/open.ts';
import { shopsInRestore } from '../catalog/open-restores.ts';
import { markTold, type RequestEventRow, type RequestRow, untoldEvents } from '../catalog/requests.ts';
import { newId } from '../segment/id.ts';
import type { Channel } from './channels.ts';
import type { NotifierService } from './notifier-service.ts';
import { requestMessages } from './request-message.ts';

const AT_ONCE = 50;

export class RequestTeller {
  readonly #service: Pick<NotifierService, 'catalog' | 'clock' | 'config'>;
  readonly #host: string;
  /** Events up to here were told: where the next look begins. */
  #upTo = 0;

  constructor(service: Pick<NotifierService, 'catalog' | 'clock' | 'config'>, host: string) {
    this.#service = service;
    this.#host = host;
  }

  /** Messages for these channels about what happened since, in order. They are written down when this returns. Throws E_CATALOG, E_STATE_SPACE. */
  async collect(channels: readonly Channel[]): Promise<readonly MessageRow[]> {
    const { catalog } = this.#service;
    const news = await untoldEvents(catalog.db, this.#upTo, AT_ONCE);
    const open = news.some(({ event }) => event.verb === 'fail') ? await shopsInRestore(catalog.db) : [];
    const rows = news.filter(({ event }) => !isSaidByNext(event, news)).flatMap((one) => this.#rowsOf(one, channels, open));
    await save(catalog, rows, news);
    this.#upTo = news.at(-1)?.event.id ?? this.#upTo;
    return rows;
  }

  #rowsOf(
    { event, request }: { readonly event: RequestEventRow; readonly request: RequestRow },
    channels: readonly Channel[],
    open: readonly string[],
  ): readonly MessageRow[] {
    const { clock, config } = this.#service;
    const at = clock.nowMs();
    const messages = requestMessages(event, request, {
      ...{ nowMs: at, host: this.#host, timezone: config.timezone },
      contact: config.shops.get(request.shop)?.contact ?? null,
      unattended: config.restore.unattended && config.restore.socket !== null,
      isOpen: open.includes(request.shop),
      newId: () => newId(clock),
    });
    return messages
      .filter(({ channel }) => channels.includes(channel))
      .map(({ channel, message }) => ({
        ...{ id: `${message.id}-${channel}`, at, channel, content: JSON.stringify(message), tries: 0, nextAt: at },
        ...{ sentAt: null, givenUpAt: null, code: null, error: null },
      }));
  }
}

/** Asked for and approved in one breath: the approval says all of it. */
function isSaidByNext(event: RequestEventRow, news: readonly { readonly event: RequestEventRow }[]): boolean {
  if (event.verb !== 'request') return false;
  return news.some(({ event: other }) => other.requestId === event.requestId && other.verb === 'approve');
}

/** In one transaction: nothing is written down as told without the message that tells it. */
async function save(catalog: Catalog, rows: readonly MessageRow[], news: readonly { readonly event: RequestEventRow }[]): Promise<void> {
  if (news.length === 0) return;
  await catalog.transaction(async (tx) => {
    for (const row of rows) await tx.replaceInto('messages').values(row).execute();
    for (const { event } of news) await markTold(tx, event);
  });
}

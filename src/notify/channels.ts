// Where a message can go: the configured channels under one name each.
import type { MessagesTable } from '../catalog/tables/messages.ts';
import type { Clock } from '../clock.ts';
import type { NotifyConfig } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { sendMail } from './mail.ts';
import type { Message } from './message.ts';
import { sendWebhook } from './webhook.ts';

export type Channel = MessagesTable['channel'];

export const channelsOf = ({ mail, webhook }: NotifyConfig): Channel[] => [
  ...(mail ? (['mail'] as const) : []),
  ...(webhook ? (['webhook'] as const) : []),
];

/** Throws E_NOTIFY, E_SECRET_…; E_CONFIG for a channel that is not configured. */
export async function send(clock: Clock, notify: NotifyConfig, channel: Channel, message: Message, signal?: AbortSignal): Promise<void> {
  if (channel === 'mail' && notify.mail) await sendMail(clock, notify.mail, message, signal);
  else if (channel === 'webhook' && notify.webhook) await sendWebhook(clock, notify.webhook, message, signal);
  else throw new CoffreError('E_CONFIG', `notify: no ${channel} is configured`, { hint: `declare ${channel} under notify:` });
}

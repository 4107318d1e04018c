// A message as a webhook: JSON by POST, signed where a key is configured.
import { createHmac } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { NotifyConfig } from '../config/config.ts';
import { httpCall } from './http-call.ts';
import type { Message } from './message.ts';

/**
 * `t=<seconds since the epoch>,v1=<HMAC-SHA-256 in hex>` over `<t>.<body>`. The receiver computes it again with the shared key, and refuses
 * what is old: a copy of a message proves nothing.
 */
export const SIGNATURE_HEADER = 'coffre-signature';

export function signatureOf(key: string, body: string, atSeconds: number): string {
  return `t=${atSeconds},v1=${createHmac('sha256', key).update(`${atSeconds}.${body}`).digest('hex')}`;
}

/** Throws E_NOTIFY, E_SECRET_…. */
export async function sendWebhook(
  clock: Clock,
  webhook: NonNullable<NotifyConfig['webhook']>,
  message: Message,
  signal?: AbortSignal,
): Promise<void> {
  const body = JSON.stringify(message);
  const key = webhook.key?.read() ?? null;
  await httpCall(
    clock,
    {
      method: 'POST',
      url: webhook.url.read(),
      headers: {
        'content-type': 'application/json',
        'coffre-message': message.id,
        ...(key === null ? {} : { [SIGNATURE_HEADER]: signatureOf(key, body, Math.floor(clock.nowMs() / 1000)) }),
      },
      body,
    },
    signal,
  );
}

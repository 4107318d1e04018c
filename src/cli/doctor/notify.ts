// Doctor's look at those who are told: that what their channels need can be read. Nothing is sent: `coffre notify test` does that.
import type { NotifyConfig, Secret } from '../../config/config.ts';
import { type Check, redCheck } from './check.ts';

/** One line for each configured channel. */
export function checkNotify({ mail, ping, webhook }: NotifyConfig): Check[] {
  return [
    ...(mail ? [checkChannel('mail', `${mail.to.join(', ')} by ${mail.host}:${mail.port} (${mail.security})`, [mail.password])] : []),
    ...(webhook ? [checkChannel('webhook', webhook.key === null ? 'not signed' : 'signed', [webhook.url, webhook.key])] : []),
    ...(ping ? [checkChannel('ping', ping.fail ? 'and its /fail' : 'while all is green', [ping.url])] : []),
  ];
}

function checkChannel(channel: string, detail: string, secrets: readonly (Secret | null)[]): Check {
  const name = `notify ${channel}`;
  try {
    for (const secret of secrets) secret?.read();
    return { name, ok: true, detail };
  } catch (error) {
    return redCheck(name, error);
  }
}

// From notify: as written to whom and what is told: addresses that are secrets are resolved, and exactly one of each is asked for.
import type { NotifyConfig, Secret } from '../config.ts';
import type { Reading } from './reading.ts';

export function resolveNotify({ absolute, place, report, secret, written: { notify } }: Reading): NotifyConfig {
  const address = (key: 'webhook' | 'ping'): { url: Secret } | null => {
    const value = notify[key];
    if (!value) return null;
    const hidden = secret(['notify', key], 'url', value.urlFile, value.urlSecret);
    const { url } = value;
    if ((hidden === null) === (url === undefined)) report(['notify', key], 'needs exactly one of url, urlFile and urlSecret');
    return { url: hidden ?? { from: place(['notify', key]), read: () => url ?? '' } };
  };
  const { mail, ping, webhook } = notify;
  const hook = address('webhook');
  const beat = address('ping');
  return {
    delayMs: notify.delay,
    reminderMs: notify.reminder,
    mail: mail
      ? {
          host: mail.host,
          port: mail.port,
          security: mail.security,
          user: mail.user ?? null,
          password: secret(['notify', 'mail'], 'password', mail.passwordFile, mail.password),
          caFile: mail.caFile === undefined ? null : absolute(mail.caFile),
          from: mail.from,
          to: mail.to,
        }
      : null,
    webhook: hook && { ...hook, key: secret(['notify', 'webhook'], 'key', webhook?.keyFile, webhook?.key) },
    ping: beat && ping ? { ...beat, everyMs: ping.every, fail: ping.fail } : null,
  };
}

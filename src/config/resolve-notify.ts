// From notify: as written to whom and what is told: addresses that are secrets are resolved, and exactly one of each is asked for.
import type { NotifyConfig, Secret } from './config.ts';
import type { KeyPath } from './problems.ts';
import type { ConfigFile } from './schema.ts';
import type { SecretReference } from './secret.ts';

export function resolveNotify(
  written: ConfigFile['notify'],
  secret: (at: KeyPath, key: string, filePath: string | undefined, reference: SecretReference) => Secret | null,
  report: (at: KeyPath, message: string) => void,
  place: (at: KeyPath) => string,
): NotifyConfig {
  const address = (key: 'webhook' | 'ping'): { url: Secret } | null => {
    const value = written[key];
    if (!value) return null;
    const hidden = secret(['notify', key], 'url', value.urlFile, value.urlSecret);
    const { url } = value;
    if ((hidden === null) === (url === undefined)) report(['notify', key], 'needs exactly one of url, urlFile and urlSecret');
    return { url: hidden ?? { from: place(['notify', key]), read: () => url ?? '' } };
  };
  const { mail } = written;
  return {
    mail: mail
      ? {
          host: mail.host,
          port: mail.port,
          security: mail.security,
          user: mail.user ?? null,
          password: secret(['notify', 'mail'], 'password', mail.passwordFile, mail.password),
          from: mail.from,
          to: mail.to,
        }
      : null,
    webhook: address('webhook'),
    ping: address('ping'),
  };
}

// What this machine logs in with: private keys from secret files, and an agent's.
import ssh2, { type AnyAuthMethod, type ParsedKey } from 'ssh2';
import type { Secret, SshHostConfig } from '../config/config.ts';
import { CoffreError } from '../errors.ts';

/**
 * The ways to log in, in the order in which they are tried. Throws E_SECRET_MODE, E_SECRET_MISSING, and E_SSH_AUTH for keys that
 * cannot be opened.
 */
export function loginMethods(config: SshHostConfig): AnyAuthMethod[] {
  const methods: AnyAuthMethod[] = config.keys.map((secret) => ({
    type: 'publickey',
    username: config.user,
    key: openKey(secret, config.passphrase),
  }));
  if (config.agent !== null) {
    if (config.agent.socketPath === null) {
      throw new CoffreError('E_SSH_AUTH', `agent: true, and $SSH_AUTH_SOCK is not set`, {
        hint: 'name the agent’s socket with agent: PATH, or use keyFile',
      });
    }
    methods.push({ type: 'agent', username: config.user, agent: config.agent.socketPath });
  }
  return methods;
}

function openKey(secret: Secret, passphrase: Secret | null): ParsedKey {
  const text = `${secret.read()}\n`;
  let key = ssh2.utils.parseKey(text);
  const isEncrypted = key instanceof Error && /encrypted|passphrase/i.test(key.message);
  if (isEncrypted) {
    if (passphrase === null) {
      throw new CoffreError('E_SSH_AUTH', `the private key ${secret.from} is encrypted and the host has no passphrase`, {
        hint: 'set passphraseFile or passphrase of the host',
      });
    }
    key = ssh2.utils.parseKey(text, passphrase.read());
  }
  if (key instanceof Error || !key.isPrivateKey()) {
    // not the parser's own words: they are about the key's content
    const why = isEncrypted ? `its passphrase is not the one in ${passphrase?.from}` : 'it is no private key that can be read';
    throw new CoffreError('E_SSH_AUTH', `the private key ${secret.from} cannot be opened: ${why}`, {
      hint: `ssh-keygen -y -f ${secret.from} opens it when it is sound`,
    });
  }
  return key;
}

// What is said when a host shows a key that is not the known one: two fingerprints to compare, and the command to go on with.
import type { SshHostConfig } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { fingerprint, type HostKeyVerdict, keyTypeOf, scanCommand } from './ssh-known-hosts.ts';

export function hostKeyError(verdict: Exclude<HostKeyVerdict, 'known'>, key: Buffer, config: SshHostConfig): CoffreError {
  const { host, port, knownHostsFile: file } = config;
  const where = `${host}:${port}`;
  const shown = `${keyTypeOf(key)} ${fingerprint(key)}`;
  const entry = port === 22 ? host : `[${host}]:${port}`;
  const read =
    'have whoever runs the host read you its fingerprint there: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub (or the file of that type)';
  switch (verdict) {
    case 'unknown':
      return new CoffreError('E_SSH_HOSTKEY', `the host key of ${where} is not known: it shows ${shown}, and ${file} has none for it`, {
        hint: `${read}; when it is the same, ${scanCommand(file, config)}`,
      });
    case 'changed':
      return new CoffreError('E_SSH_HOSTKEY', `the host key of ${where} has changed: it shows ${shown}, which ${file} does not have`, {
        hint: `somebody may stand between; ${read}; only when it is the same, ssh-keygen -R '${entry}' -f ${file}, then ${scanCommand(file, config)}`,
      });
    case 'revoked':
      return new CoffreError('E_SSH_HOSTKEY', `the host key of ${where} is revoked: ${shown} is marked @revoked in ${file}`, {
        hint: 'the host must get a new key (ssh-keygen -A after its old ones are removed), which then goes into the file',
      });
    case 'certificates-only':
      return new CoffreError(
        'E_SSH_HOSTKEY',
        `${file} has only a @cert-authority for ${where}, and host certificates are not supported: it shows ${shown}`,
        { hint: `${read}; when it is the same, ${scanCommand(file, config)}` },
      );
  }
}

export function noCommonKeyType(types: readonly string[], config: SshHostConfig, cause: unknown): CoffreError {
  const { host, port, knownHostsFile: file } = config;
  return new CoffreError('E_SSH_HOSTKEY', `${host}:${port} has no key of the types that ${file} has for it (${types.join(', ')})`, {
    hint: `ssh-keyscan${port === 22 ? '' : ` -p ${port}`} ${host} shows the types that it has; compare the fingerprint with whoever runs the host`,
    cause,
  });
}

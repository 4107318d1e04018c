// What is wrong with a configuration that `coffre init` has not written yet: told by the flags that were given, for there is no file with lines.
import type { Config } from '../../config/config.ts';
import { parseConfig } from '../../config/load.ts';
import type { Environment } from '../../config/secret.ts';
import { CoffreError } from '../../errors.ts';

/** Which flag a key came from; `$1` is the name that was given. A vault's keys tell by themselves which of the two it is. */
const FLAGS: readonly (readonly [key: RegExp, flag: string])[] = [
  [/^timezone$/, '--timezone'],
  [/^stateDir$/, '--state-dir'],
  [/^listen\.socket$/, '--socket'],
  [/^encryption\.keyDir$/, '--key-dir'],
  [/^encryption\.recovery(\[\d+\])?$/, '--recovery'],
  [/^plans\.standard\.retention$/, '--retention'],
  [/^plans\.standard\.rto\.(calendar|country)$/, '--rto-$1'],
  [/^vaults\.[^.]+\.(path|media)$/, '--vault-$1'],
  [/^vaults\.[^.]+\.(endpoint|region|bucket|prefix)$/, '--s3-$1'],
  [/^vaults\.[^.]+\.lock\.mode$/, '--s3-lock-mode'],
  [/^vaults\.[^.]+\.credentialsFile$/, '--s3-credentials-file'],
  [/^vaults\.[^.]+\.(prune|read)CredentialsFile$/, '--s3-$1-credentials-file'],
  [/^vaults\.([^.]+)$/, '--vault-name or --s3-name $1'],
  [/^shops\.[^.]+\.host\.(host|port|user)$/, '--ssh-$1'],
  [/^shops\.[^.]+\.host\.keyFile$/, '--ssh-key-file'],
  [/^shops\.[^.]+\.host\.knownHostsFile$/, '--ssh-known-hosts-file'],
  [/^shops\.[^.]+\.database\.(name|user|host|port)$/, '--db-$1'],
  [/^shops\.[^.]+\.database\.socketPath$/, '--db-socket'],
  [/^shops\.[^.]+\.database\.passwordFile$/, '--db-password-file'],
  [/^shops\.[^.]+\.files\.(root|profile)$/, '--files-$1'],
  [/^shops\.([^.]+)$/, '--shop $1'],
];

/** Lines of a file that is not there yet mean nothing. */
export function withoutLines(message: string, file: string): string {
  return message.replaceAll(file, '').replace(/^(\s*):\d+: /gm, '$1');
}

/** A configuration that was made of flags. Throws E_CONFIG, E_LOCK_CEILING in their words. */
export function parseFlags(text: string, file: string, env: Environment): Config {
  try {
    return parseConfig(text, file, env);
  } catch (error) {
    throw flagProblem(error, file);
  }
}

/** What was thrown for a configuration made of flags, in their words; anything else as it is. */
export function flagProblem(error: unknown, file: string): unknown {
  if (!(error instanceof CoffreError) || (error.code !== 'E_CONFIG' && error.code !== 'E_LOCK_CEILING')) return error;
  const lines = withoutLines(error.message, file)
    .replace(/problems in the configuration$/m, 'problems with the flags')
    .split('\n');
  const said = lines.map((line) => line.replace(/^(\s*)(\S+)/, (_, space: string, key: string) => space + flagOf(key)));
  return new CoffreError(error.code, said.join('\n'), {
    cause: error,
    hint: 'nothing was written; coffre init --help says what each flag takes',
  });
}

function flagOf(key: string): string {
  const found = FLAGS.find(([pattern]) => pattern.test(key));
  return found ? key.replace(found[0], found[1]) : key;
}

// The daemon of another machine: where it is, the token for it, and whom to trust there; none of it from the command line but the place.
import { readFileSync } from 'node:fs';
import { isLoopback } from '../../config/loopback.ts';
import { type Environment, secretFromEnvironment, secretFromFile } from '../../config/secret.ts';
import { CoffreError } from '../../errors.ts';
import type { DaemonAddress } from './client-http.ts';

/** `text`: of --url. Throws E_USAGE, E_SECRET_MISSING, E_SECRET_MODE. */
export function remoteAddress(text: string, tokenFile: string | undefined, env: Environment): Extract<DaemonAddress, { url: URL }> {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    throw new CoffreError('E_USAGE', `--url ${JSON.stringify(url === null ? text : url.origin)} is no address of a daemon`, {
      hint: 'such as https://backup.example.net',
    });
  }
  if (url.username !== '' || url.password !== '') {
    throw new CoffreError('E_USAGE', 'the token does not go into --url', {
      hint: 'put it into a file for --token-file, or into $COFFRE_TOKEN',
    });
  }
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    throw new CoffreError('E_USAGE', `a token is not sent to ${url.host} without encryption`, {
      hint: 'use https://, or a tunnel to 127.0.0.1',
    });
  }
  return {
    url,
    token: (tokenFile === undefined ? secretFromEnvironment('COFFRE_TOKEN', env) : secretFromFile(tokenFile)).read(),
    ca: authorityOf(env),
  };
}

/** Of a certificate that no public authority signed; null: those that Node trusts. */
function authorityOf({ COFFRE_CA_FILE: file }: Environment): string | null {
  if (!file) return null;
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CoffreError('E_USAGE', `cannot read $COFFRE_CA_FILE, ${file}: ${(cause as NodeJS.ErrnoException).code}`, { cause });
  }
}

// Where secrets come from: files that only their owner reads, systemd credentials, environment variables. Never the configuration itself.
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { CoffreError } from '../errors.ts';
import type { Secret } from './config.ts';

/** Where a secret is, as written: one of them. */
export type SecretReference = { file?: string | undefined; credential?: string | undefined; env?: string | undefined } | undefined;

export type Environment = Readonly<Record<string, string | undefined>>;

const LONGEST_SECRET_BYTES = 64 * 1024;

/**
 * A secret in a file that group and others cannot read and that belongs to us or to root. `env` of a systemd unit which loads this very
 * file: it is taken from there, as it was when the unit started.
 */
export function secretFromFile(path: string, env: Environment = {}): Secret {
  return {
    from: path,
    read() {
      const loaded = loadedCredential(path, env);
      return loaded === null ? readSecretFile(path, true) : readSecretFile(loaded, false);
    },
  };
}

/**
 * Where systemd put what it loaded of the file `path` (absolute): a credential named after it as systemd-escape --path does, or FOLDER_FILE
 * where LoadCredential= names its folder. null: nowhere, or it is empty.
 */
export function loadedCredential(path: string, env: Environment): string | null {
  const directory = env.CREDENTIALS_DIRECTORY;
  if (!directory) return null;
  for (const name of [escapedPath(path), `${escapedPath(dirname(path))}_${basename(path)}`]) {
    const at = join(directory, name);
    const stats = statSync(at, { throwIfNoEntry: false });
    // SetCredential= cannot be empty: a line feed stands for nothing
    if (stats?.isFile() && stats.size > 1) return at;
  }
  return null;
}

/** systemd.unit(5), "String escaping for inclusion in unit names". */
function escapedPath(path: string): string {
  const trimmed = path.replace(/\/+/g, '/').replace(/^\/|\/$/g, '');
  if (trimmed === '') return '-';
  return [...Buffer.from(trimmed)]
    .map((byte, at) => {
      const letter = String.fromCharCode(byte);
      if (letter === '/') return '-';
      const plain = /[A-Za-z0-9:_.]/.test(letter) && !(letter === '.' && at === 0);
      return plain ? letter : `\\x${byte.toString(16).padStart(2, '0')}`;
    })
    .join('');
}

/** A systemd credential (LoadCredential=, SetCredentialEncrypted=) by its name. */
export function secretFromCredential(name: string, env: Environment): Secret {
  return {
    from: `systemd credential ${name}`,
    read() {
      const directory = env.CREDENTIALS_DIRECTORY;
      if (!directory) {
        throw new CoffreError('E_SECRET_MISSING', `no systemd credential ${name}: $CREDENTIALS_DIRECTORY is not set`, {
          hint: `add LoadCredential=${name}:FILE to the unit, or start coffre through it`,
        });
      }
      // systemd guards that directory itself; an ACL there shows as group bits, so a mode check would refuse what is right.
      return readSecretFile(join(directory, name), false);
    },
  };
}

/** A secret in an environment variable. */
export function secretFromEnvironment(name: string, env: Environment): Secret {
  return {
    from: `environment variable ${name}`,
    read() {
      const value = env[name];
      if (!value) throw new CoffreError('E_SECRET_MISSING', `the environment variable ${name} is not set`);
      return value;
    },
  };
}

/**
 * Why a file with these rights cannot hold a secret, or null when it can. Sharing by owner counts too: a file that belongs
 * to another ordinary user is that user's to read.
 */
export function secretFileProblem(stats: Pick<Stats, 'mode' | 'uid'>, ownUid: number): string | null {
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0');
  if ((stats.mode & 0o077) !== 0) return `mode ${mode} lets group or others read it`;
  if (stats.uid !== 0 && stats.uid !== ownUid) return `it belongs to uid ${stats.uid}, not to root or to uid ${ownUid}`;
  return null;
}

/** The file's text without the newline at its end. Checks the rights of what it opened, not of a name that may move. */
function readSecretFile(path: string, checkRights: boolean): string {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new CoffreError('E_SECRET_MISSING', `cannot read the secret ${path}: ${code}`, { cause });
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new CoffreError('E_SECRET_MISSING', `the secret ${path} is not a regular file`);
    const problem = checkRights ? secretFileProblem(stats, process.geteuid?.() ?? 0) : null;
    if (problem !== null) {
      throw new CoffreError('E_SECRET_MODE', `the secret ${path} is not safe: ${problem}`, {
        hint: `chmod 600 ${path}, and make root or the user coffre runs as its owner`,
      });
    }
    if (stats.size > LONGEST_SECRET_BYTES) throw new CoffreError('E_SECRET_MISSING', `the secret ${path} is too large to be one`);
    const text = readFileSync(fd, 'utf8').replace(/\r?\n$/, '');
    if (text === '') throw new CoffreError('E_SECRET_MISSING', `the secret ${path} is empty`);
    return text;
  } finally {
    closeSync(fd);
  }
}

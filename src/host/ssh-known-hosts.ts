// The host keys that are trusted: OpenSSH's known_hosts, read as ssh reads it. Pure, but for the file.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { CoffreError } from '../errors.ts';

/** One line that speaks of keys. */
interface Entry {
  readonly mark: 'revoked' | 'cert-authority' | null;
  readonly hosts: string;
  readonly keyType: string;
  readonly key: Buffer;
}

export interface HostAddress {
  readonly host: string;
  readonly port: number;
}

export type HostKeyVerdict = 'known' | 'changed' | 'unknown' | 'revoked' | 'certificates-only';

/** What the file says about one host. */
export class KnownHost {
  readonly #keys: readonly Entry[];
  readonly #revoked: readonly Entry[];
  readonly #hasAuthority: boolean;

  constructor(entries: readonly Entry[], address: HostAddress) {
    const about = (name: string): Entry[] => entries.filter((entry) => matchesHosts(entry.hosts, name));
    const host = address.host.toLowerCase();
    const withPort = about(address.port === 22 ? host : `[${host}]:${address.port}`);
    const plain = (list: readonly Entry[]): Entry[] => list.filter((entry) => entry.mark === null);
    // As ssh does: a host on another port may stand there without it, where no line is for that port.
    const bare = address.port === 22 ? [] : about(host);
    this.#keys = plain(withPort).length > 0 ? plain(withPort) : plain(bare);
    const all = [...withPort, ...bare];
    this.#revoked = all.filter((entry) => entry.mark === 'revoked');
    this.#hasAuthority = all.some((entry) => entry.mark === 'cert-authority');
  }

  /** The key types that the file has for the host, in its order. */
  get keyTypes(): readonly string[] {
    return [...new Set(this.#keys.map((entry) => entry.keyType))];
  }

  /** `key` as it came over the wire. */
  judge(key: Uint8Array): HostKeyVerdict {
    const same = (entry: Entry): boolean => entry.key.length === key.length && timingSafeEqual(entry.key, key);
    if (this.#revoked.some(same)) return 'revoked';
    if (this.#keys.some(same)) return 'known';
    if (this.#keys.length > 0) return 'changed';
    return this.#hasAuthority ? 'certificates-only' : 'unknown';
  }
}

/** Throws E_SSH_HOSTKEY when the file cannot be read, or when anybody may write into it. */
export function readKnownHost(file: string, address: HostAddress): KnownHost {
  let text: string;
  let mode: number;
  try {
    mode = statSync(file).mode;
    text = readFileSync(file, 'latin1');
  } catch (cause) {
    throw new CoffreError('E_SSH_HOSTKEY', `cannot read knownHostsFile ${file}: ${(cause as NodeJS.ErrnoException).code}`, {
      hint: `${scanCommand(file, address)}, then compare its fingerprint with the one that the host's owner reads to you`,
      cause,
    });
  }
  if ((mode & 0o002) !== 0) {
    throw new CoffreError('E_SSH_HOSTKEY', `knownHostsFile ${file} can be written by everybody: what it says proves nothing`, {
      hint: `chmod o-w ${file}, and compare the fingerprints in it with those of the hosts`,
    });
  }
  return new KnownHost(parseKnownHosts(text), address);
}

/** The lines that hold keys; comments and lines that cannot be read are passed over, as ssh does. */
export function parseKnownHosts(text: string): Entry[] {
  const entries: Entry[] = [];
  for (const line of text.split(/\r?\n/)) {
    const words = line.trim().split(/[ \t]+/);
    if (words[0] === '' || words[0]?.startsWith('#')) continue;
    const mark = words[0]?.startsWith('@') ? words.shift()?.slice(1) : null;
    const [hosts, keyType, encoded] = words;
    if (hosts === undefined || keyType === undefined || encoded === undefined) continue;
    if (mark !== null && mark !== 'revoked' && mark !== 'cert-authority') continue;
    const key = Buffer.from(encoded, 'base64');
    if (key.length < 8 || key.subarray(4, 4 + key.readUInt32BE(0)).toString('latin1') !== keyType) continue;
    entries.push({ mark, hosts, keyType, key });
  }
  return entries;
}

/** Whether a line's first field (names and patterns with commas, or one hash) is about `name`. */
export function matchesHosts(field: string, name: string): boolean {
  if (field.startsWith('|')) {
    const [, version, salt, hash] = field.split('|');
    if (version !== '1' || salt === undefined || hash === undefined) return false;
    const wanted = Buffer.from(hash, 'base64');
    const found = createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest();
    return wanted.length === found.length && timingSafeEqual(wanted, found);
  }
  let matches = false;
  for (const pattern of field.toLowerCase().split(',')) {
    const negated = pattern.startsWith('!');
    if (!globMatches(negated ? pattern.slice(1) : pattern, name)) continue;
    // one that says no wins over all that say yes
    if (negated) return false;
    matches = true;
  }
  return matches;
}

function globMatches(pattern: string, name: string): boolean {
  const expression = [...pattern].map((c) => (c === '*' ? '.*' : c === '?' ? '.' : c.replace(/[\\^$.|+(){}[\]]/g, '\\$&'))).join('');
  return new RegExp(`^${expression}$`, 's').test(name);
}

/** As `ssh-keygen -l` prints it. */
export function fingerprint(key: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/** The type that a key names itself. */
export function keyTypeOf(key: Buffer): string {
  return key.subarray(4, 4 + key.readUInt32BE(0)).toString('latin1');
}

export function scanCommand(file: string, { host, port }: HostAddress): string {
  return `ssh-keyscan${port === 22 ? '' : ` -p ${port}`} ${host} >> ${file}`;
}

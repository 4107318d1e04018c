// age v1 files (https://c2sp.org/age): headers by age-encryption, payloads by node:crypto, which is several times as fast.
import { randomBytes } from 'node:crypto';
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient, Stanza } from 'age-encryption';
import { CoffreError } from '../errors.ts';
import { type AgeStart, CHUNK_BYTES, PayloadOpener, PayloadSealer, payloadKey, TAG_BYTES } from './age-payload.ts';

const FILE_KEY_BYTES = 16;
const PAYLOAD_NONCE_BYTES = 16;
const FIRST_LINE = Buffer.from('age-encryption.org/v1\n');
const MAC_LINE = Buffer.from('\n--- ');
/** Bodies of stanzas are wrapped there. */
const STANZA_COLUMNS = 64;
/** 32 bytes in base64 without padding. */
const MAC_CHARACTERS = 43;
/** Ours have a few hundred bytes; one for a post-quantum recipient has 2 KB. */
const MAX_HEADER_BYTES = 1024 * 1024;
const NO_BYTES = Buffer.alloc(0);

/** A new X25519 identity: `AGE-SECRET-KEY-1…`. A secret: never in a log, an argument or a message. */
export function makeIdentity(): Promise<string> {
  return generateX25519Identity();
}

/** The recipient `age1…` that `identity` decrypts for. Throws E_KEY. */
export async function recipientOf(identity: string): Promise<string> {
  try {
    return await identityToRecipient(identity);
  } catch {
    // No cause: the library's message repeats the secret.
    throw new CoffreError('E_KEY', 'not an age identity');
  }
}

/** Throws E_KEY, naming the position and never the text, when one of `recipients` cannot be encrypted to. */
export function checkRecipients(recipients: readonly string[]): void {
  makeEncrypter(recipients);
}

/** Bytes of the payload that follows the header, for a plaintext of `plainBytes`; the 16-byte nonce included. */
export function sealedPayloadBytes(plainBytes: number): number {
  return PAYLOAD_NONCE_BYTES + plainBytes + TAG_BYTES * Math.max(1, Math.ceil(plainBytes / CHUNK_BYTES));
}

export interface AgeSealer {
  /** What the file begins with: header and payload nonce. */
  readonly header: Buffer;
  /** What the next bytes of the file are; empty while a chunk is being filled. Synchronous. */
  push(plaintext: Uint8Array): Buffer;
  /** How many bytes the next push of so much plaintext will give. */
  nextBytes(plainBytes: number): number;
  /** The same as `push`, written to `target` at `offset`. */
  pushInto(plaintext: Uint8Array, target: Buffer, offset: number): void;
  /** The rest of the file. Nothing may be pushed afterwards. */
  finish(): Buffer;
}

/**
 * Begins a new age file, under a fresh file key, that each of `recipients` can decrypt: `age1…` (X25519), `age1pq1…`,
 * `age1tag1…`, `age1tagpq1…`. Post-quantum ones do not mix with others, as in age itself. Throws E_KEY.
 */
export async function sealAge(recipients: readonly string[], note: AgeNote | null = null): Promise<AgeSealer> {
  const { header, key } = await beginAge(recipients, note);
  const payload = new PayloadSealer(key);
  return {
    header: Buffer.from(header),
    push: (plaintext) => payload.push(plaintext),
    nextBytes: (plainBytes) => payload.nextBytes(plainBytes),
    pushInto: (plaintext, target, offset) => payload.pushInto(plaintext, target, offset),
    finish: () => payload.finish(),
  };
}

/** Something that the header says in the clear, to whoever has the file: a stanza that opens nothing. The header's MAC covers it. */
export interface AgeNote {
  readonly type: string;
  readonly body: Uint8Array;
}

/** The same for whoever seals the payload elsewhere. Throws E_KEY. */
export async function beginAge(recipients: readonly string[], note: AgeNote | null = null): Promise<AgeStart> {
  const encrypter = makeEncrypter(recipients);
  let fileKey: Uint8Array | undefined;
  encrypter.addRecipient({
    wrapFileKey(key) {
      fileKey = Uint8Array.from(key);
      return note === null ? [] : [new Stanza([note.type], note.body)];
    },
  });
  // An empty file is a header, a nonce and one tag. Nonce and tag are thrown away: the payload gets a nonce of its own.
  const emptyFile = await encrypter.encrypt(new Uint8Array(0));
  if (fileKey === undefined) throw new CoffreError('E_INTERNAL', 'age-encryption did not show the file key');
  const nonce = randomBytes(PAYLOAD_NONCE_BYTES);
  const header = Buffer.concat([emptyFile.subarray(0, emptyFile.length - PAYLOAD_NONCE_BYTES - TAG_BYTES), nonce]);
  return { header, key: payloadKey(fileKey, nonce) };
}

export interface AgeOpener {
  /** Plaintext of the chunks that these bytes complete. Throws E_FORMAT, E_DECRYPT. */
  push(stored: Uint8Array): Promise<Buffer>;
  /** The last chunk's plaintext. Throws E_FORMAT, E_DECRYPT: until it returns, the file may be a truncated one. */
  finish(): Promise<Buffer>;
  /** The header was read and one of the identities fits: what fails from here on is damage, not the wrong key. */
  readonly unlocked: boolean;
}

/** Begins to decrypt an age file with whichever of `identities` fits. Throws E_KEY when one is not an identity. */
export function openAge(identities: readonly string[]): AgeOpener {
  return openAgeWith(makeDecrypter(identities));
}

function makeDecrypter(identities: readonly string[]): Decrypter {
  const decrypter = new Decrypter();
  for (const identity of identities) {
    try {
      decrypter.addIdentity(identity);
    } catch {
      // No cause: the library's message repeats the secret.
      throw new CoffreError('E_KEY', 'not an age identity');
    }
  }
  return decrypter;
}

/**
 * Decrypts an age file that is in memory as a whole: chunk by chunk, without gathering or joining them. What came out before an error
 * is what was sealed, but not all of it. Throws E_KEY, E_FORMAT, E_DECRYPT; `onUnlocked` is called once an identity fits.
 */
export async function* openWholeAge(stored: Buffer, identities: readonly string[], onUnlocked: () => void): AsyncGenerator<Buffer> {
  const headerBytes = findHeaderEnd(stored);
  if (headerBytes === null) throw new CoffreError('E_FORMAT', 'age: truncated header');
  const fileKey = await unlockFileKey(makeDecrypter(identities), stored.subarray(0, headerBytes));
  const from = headerBytes + PAYLOAD_NONCE_BYTES;
  if (stored.length < from) throw new CoffreError('E_FORMAT', 'age: truncated payload nonce');
  onUnlocked();
  yield* new PayloadOpener(payloadKey(fileKey, stored.subarray(headerBytes, from))).whole(stored.subarray(from));
}

/** The same with a decrypter prepared by the caller (passphrases, custom identities). */
export function openAgeWith(decrypter: Decrypter): AgeOpener {
  let start: Buffer = NO_BYTES;
  let payload: PayloadOpener | undefined;

  const unlock = async (): Promise<Buffer> => {
    const headerBytes = findHeaderEnd(start);
    if (headerBytes === null || start.length < headerBytes + PAYLOAD_NONCE_BYTES) {
      if (start.length > MAX_HEADER_BYTES) throw new CoffreError('E_FORMAT', 'age: the header is too long');
      return NO_BYTES;
    }
    const fileKey = await unlockFileKey(decrypter, start.subarray(0, headerBytes));
    const nonce = start.subarray(headerBytes, headerBytes + PAYLOAD_NONCE_BYTES);
    payload = new PayloadOpener(payloadKey(fileKey, nonce));
    const rest = start.subarray(headerBytes + PAYLOAD_NONCE_BYTES);
    start = NO_BYTES;
    return payload.push(rest);
  };

  return {
    get unlocked() {
      return payload !== undefined;
    },
    async push(stored) {
      if (payload !== undefined) return payload.push(stored);
      start = start.length === 0 ? Buffer.from(stored) : Buffer.concat([start, stored]);
      return unlock();
    },
    async finish() {
      if (payload !== undefined) return payload.finish();
      const headerBytes = findHeaderEnd(start);
      // A header that fits no identity is the better news than the missing payload.
      if (headerBytes !== null) await unlockFileKey(decrypter, start.subarray(0, headerBytes));
      throw new CoffreError('E_FORMAT', headerBytes === null ? 'age: truncated header' : 'age: truncated payload nonce');
    },
  };
}

/** Body of the first stanza of this type; null: the header has none. Nothing is checked: the MAC can be by whoever opens it alone. Throws E_FORMAT. */
export function ageNote(stored: Buffer, type: string): Buffer | null {
  const end = findHeaderEnd(stored);
  if (end === null) throw new CoffreError('E_FORMAT', 'age: truncated header');
  const lines = stored.subarray(0, end).toString('latin1').split('\n');
  const first = lines.indexOf(`-> ${type}`);
  if (first === -1) return null;
  const body: string[] = [];
  for (const line of lines.slice(first + 1)) {
    body.push(line);
    // the last line of a body is a short one
    if (line.length < STANZA_COLUMNS) break;
  }
  return Buffer.from(body.join(''), 'base64');
}

/** The identity as a file that `age -d -i` reads, sealed to the recovery recipients: the content of `keys/<id>.age`. */
export async function sealIdentity(identity: string, recoveryRecipients: readonly string[]): Promise<Buffer> {
  const recipient = await recipientOf(identity);
  const sealer = await sealAge(recoveryRecipients);
  const text = Buffer.from(`# public key: ${recipient}\n${identity}\n`);
  return Buffer.concat([sealer.header, sealer.push(text), sealer.finish()]);
}

/** The identity inside what `sealIdentity` made. Throws E_DECRYPT, E_FORMAT, E_KEY. */
export async function openIdentity(stored: Uint8Array, recoveryIdentities: readonly string[]): Promise<string> {
  const opener = openAge(recoveryIdentities);
  const text = Buffer.concat([await opener.push(stored), await opener.finish()]).toString('utf8');
  const identity = identityInText(text);
  if (identity === null) throw new CoffreError('E_FORMAT', 'a sealed identity holds no identity');
  await recipientOf(identity);
  return identity;
}

/** The first identity of an identity file's text (comments start with #), or null. */
export function identityInText(text: string): string | null {
  for (const line of text.split('\n')) {
    const word = line.trim();
    if (word.startsWith('AGE-SECRET-KEY-')) return word;
  }
  return null;
}

function makeEncrypter(recipients: readonly string[]): Encrypter {
  if (recipients.length === 0)
    throw new CoffreError('E_KEY', 'no age recipient to encrypt to (unencrypted has to be asked for by name: none)');
  const encrypter = new Encrypter();
  recipients.forEach((recipient, index) => {
    try {
      encrypter.addRecipient(recipient);
    } catch {
      // Neither text nor cause: people paste identities where recipients belong.
      throw new CoffreError('E_KEY', `recipient ${index + 1} of ${recipients.length} is not an age recipient (age1…)`);
    }
  });
  const postQuantum = recipients.filter((recipient) => /^age1(tag)?pq1/.test(recipient));
  if (postQuantum.length > 0 && postQuantum.length < recipients.length) {
    throw new CoffreError('E_KEY', 'post-quantum recipients cannot be mixed with others: the weakest would decide');
  }
  return encrypter;
}

async function unlockFileKey(decrypter: Decrypter, header: Buffer): Promise<Uint8Array> {
  let fileKey: Uint8Array;
  try {
    fileKey = await decrypter.decryptHeader(header);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    if (/no identity matched/.test(text)) throw new CoffreError('E_DECRYPT', 'age: sealed to another recipient', { cause: error });
    if (/invalid header HMAC/.test(text)) throw new CoffreError('E_DECRYPT', 'age: the header was altered', { cause: error });
    throw new CoffreError('E_FORMAT', `age: ${text}`, { cause: error });
  }
  if (fileKey.length !== FILE_KEY_BYTES) throw new CoffreError('E_FORMAT', 'age: the file key has a wrong size');
  return fileKey;
}

/** Length of the header, its last line included; null while that line is not there. Throws E_FORMAT on another first line. */
function findHeaderEnd(start: Buffer): number | null {
  const compared = Math.min(start.length, FIRST_LINE.length);
  if (start.compare(FIRST_LINE, 0, compared, 0, compared) !== 0) throw new CoffreError('E_FORMAT', 'age: not an age v1 file');
  // No line before the last one can begin with a dash and a dash: stanzas begin with `->`, their bodies are base64.
  const macLine = start.indexOf(MAC_LINE);
  if (macLine === -1) return null;
  const end = start.indexOf('\n', macLine + MAC_LINE.length);
  if (end === -1) return null;
  if (end - macLine - MAC_LINE.length !== MAC_CHARACTERS) throw new CoffreError('E_FORMAT', 'age: the header ends in no MAC');
  return end + 1;
}

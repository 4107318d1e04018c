// The key that signs manifests: Ed25519, kept as a PKCS#8 PEM file that only its owner can read.
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { loadedCredential } from '../config/secret.ts';
import { CoffreError } from '../errors.ts';
import { addLine, isCode, readPublicFile, readSecretFile, writeNewFile } from './key-file.ts';

const RAW_BYTES = 32;
const SSH_TYPE = 'ssh-ed25519';
/** SubjectPublicKeyInfo of an Ed25519 key is this, then the 32 bytes of the key (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

export function makeSigningKey(): KeyObject {
  return generateKeyPairSync('ed25519').privateKey;
}

/** Writes a new key file, mode 0600, durable on return. Throws E_KEY when there is one already: it is never overwritten. */
export async function saveSigningKey(path: string, privateKey: KeyObject): Promise<void> {
  await writeNewFile(path, privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, 0o600);
}

/** Throws E_KEY when the file is missing or holds no Ed25519 private key, E_SECRET_MODE when others could read it. */
export async function loadSigningKey(path: string): Promise<KeyObject> {
  const loaded = loadedCredential(path, process.env);
  // systemd guards its own directory; an ACL there shows as rights of the group
  const pem = loaded === null ? await readSecretFile(path) : (await readPublicFile(loaded)).toString('utf8');
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw new CoffreError('E_KEY', `${path} holds no private key`);
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new CoffreError('E_KEY', `${path} is not an Ed25519 key`);
  return key;
}

/** Beside the key: fingerprints of the keys that signed before it, one a line. What they signed then stays trusted. */
export function olderKeysFile(keyFile: string): string {
  return `${keyFile}.older`;
}

/** Fingerprints of the keys whose signatures count, the present one first. Throws E_KEY, E_SECRET_MODE. */
export async function trustedFingerprints(keyFile: string): Promise<string[]> {
  const present = fingerprint(await loadSigningKey(keyFile));
  return [present, ...(await olderFingerprints(keyFile)).filter((older) => older !== present)];
}

/** Newest first. Throws E_KEY when there is such a file and it cannot be read. */
export async function olderFingerprints(keyFile: string): Promise<string[]> {
  let text: string;
  try {
    text = (await readPublicFile(olderKeysFile(keyFile))).toString('utf8');
  } catch (error) {
    if (error instanceof CoffreError && isCode(error.cause, 'ENOENT')) return [];
    throw error;
  }
  const found = text.split('\n').flatMap((line) => /^SHA256:[A-Za-z0-9+/]{43}/.exec(line)?.[0] ?? []);
  return [...new Set(found.reverse())];
}

/** Adds a fingerprint, durable on return; one that is there already is not added again. Throws E_KEY, E_STATE. */
export async function trustOlderKey(keyFile: string, older: string, note: string): Promise<void> {
  if ((await olderFingerprints(keyFile)).includes(older)) return;
  await addLine(olderKeysFile(keyFile), `${older} ${note}`, 0o644);
}

/** The 32 bytes of the public key, from either half. */
export function rawPublicKey(key: KeyObject): Buffer {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return publicKey.export({ type: 'spki', format: 'der' }).subarray(-RAW_BYTES);
}

/** Throws E_SIGNATURE when `raw` is not 32 bytes long. */
export function publicKeyFromRaw(raw: Uint8Array): KeyObject {
  if (raw.length !== RAW_BYTES) throw new CoffreError('E_SIGNATURE', 'the public key of a signature has a wrong size');
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), type: 'spki', format: 'der' });
}

/** `SHA256:…` as `ssh-keygen -l` prints it for the exported public key: what the paper kit shows. */
export function fingerprint(key: KeyObject): string {
  return fingerprintOfRaw(rawPublicKey(key));
}

export function fingerprintOfRaw(raw: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(sshBlob(raw)).digest('base64').replace(/=+$/, '')}`;
}

/** The public key as one line in OpenSSH's format; its fingerprint is `fingerprint`. */
export function exportPublicKey(key: KeyObject): string {
  return `${SSH_TYPE} ${sshBlob(rawPublicKey(key)).toString('base64')} coffre-signing`;
}

/** RFC 8709: two strings, each after its length. */
function sshBlob(raw: Uint8Array): Buffer {
  const type = Buffer.from(SSH_TYPE);
  return Buffer.concat([uint32(type.length), type, uint32(raw.length), raw]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

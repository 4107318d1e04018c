// Signatures over canonical JSON: what makes a manifest or a checkpoint of ours worth more than its place in a bucket.
import { type KeyObject, sign, verify } from 'node:crypto';
import { CoffreError } from '../errors.ts';
import { fingerprint, fingerprintOfRaw, publicKeyFromRaw, rawPublicKey } from './signing-key.ts';

export interface Signature {
  readonly algorithm: 'Ed25519';
  /** Base64 of the 32 bytes of the public key. */
  readonly key: string;
  /** Base64. */
  readonly value: string;
}

/** A key that may have signed: the key itself (either half), or what the paper kit has of it, its fingerprint `SHA256:…`. */
export type TrustedKey = KeyObject | string;

export function signText(text: string, privateKey: KeyObject): Signature {
  const value = sign(null, Buffer.from(text), privateKey).toString('base64');
  return { algorithm: 'Ed25519', key: rawPublicKey(privateKey).toString('base64'), value };
}

/** Checks that one of the `trusted` keys signed `text`. Throws E_SIGNATURE otherwise. `what` names the object in messages. */
export function verifyText(text: string, signature: Signature, trusted: readonly TrustedKey[], what: string): void {
  const raw = Buffer.from(signature.key, 'base64');
  const actual = fingerprintOfRaw(raw);
  const expected = trusted.map((key) => (typeof key === 'string' ? key : fingerprint(key)));
  if (!expected.includes(actual)) {
    throw new CoffreError('E_SIGNATURE', `${what}: signed by ${actual}, expected ${expected.join(' or ') || 'a key, and none is known'}`);
  }
  if (!verify(null, Buffer.from(text), publicKeyFromRaw(raw), Buffer.from(signature.value, 'base64'))) {
    throw new CoffreError('E_SIGNATURE', `${what}: the signature by ${actual} does not fit the content`);
  }
}

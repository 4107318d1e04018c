// A manifest as a signed document: sign/verify, encode/decode. What it may say is manifest-schema.ts.
import { type KeyObject, sign, verify } from 'node:crypto';
import { CoffreError } from '../errors.ts';
import { canonicalJson } from './canonical-json.ts';
import { parseManifest, parseSignedManifest } from './manifest-schema.ts';
import type { Manifest, SignedManifest } from './manifest-types.ts';
import { fingerprint, fingerprintOfRaw, publicKeyFromRaw, rawPublicKey } from './signing-key.ts';

/**
 * Signs the canonical JSON of `manifest` with an Ed25519 private key. What is signed was checked as a reader would:
 * throws E_FORMAT, naming the place, when this manifest could not be read back; E_INTERNAL on a fraction.
 */
export function signManifest(manifest: Manifest, privateKey: KeyObject): SignedManifest {
  // Through JSON, so that what is kept in memory is exactly what was signed.
  const text = canonicalJson(manifest);
  const signed = parseManifest(JSON.parse(text));
  const value = sign(null, Buffer.from(text), privateKey).toString('base64');
  return { manifest: signed, signature: { algorithm: 'Ed25519', key: rawPublicKey(privateKey).toString('base64'), value } };
}

/** A key that may have signed: the key itself (either half), or what the paper kit has of it, its fingerprint `SHA256:…`. */
export type TrustedKey = KeyObject | string;

/** Checks that one of the `trusted` keys signed it. Throws E_SIGNATURE otherwise. `what` names the object in messages. */
export function verifyManifest({ manifest, signature }: SignedManifest, trusted: readonly TrustedKey[], what = 'manifest'): void {
  const raw = Buffer.from(signature.key, 'base64');
  const actual = fingerprintOfRaw(raw);
  const expected = trusted.map((key) => (typeof key === 'string' ? key : fingerprint(key)));
  if (!expected.includes(actual)) {
    throw new CoffreError('E_SIGNATURE', `${what}: signed by ${actual}, expected ${expected.join(' or ') || 'a key, and none is known'}`);
  }
  if (!verify(null, Buffer.from(canonicalJson(manifest)), publicKeyFromRaw(raw), Buffer.from(signature.value, 'base64'))) {
    throw new CoffreError('E_SIGNATURE', `${what}: the signature by ${actual} does not fit the content`);
  }
}

/** The object's plaintext: `{"manifest":…,"signature":…}` in canonical JSON, one line. */
export function encodeManifest(signed: SignedManifest): Buffer {
  return Buffer.from(`${canonicalJson(signed)}\n`);
}

/** The reverse. Checks the whole shape and every key, **not the signature**. Throws E_FORMAT. */
export function decodeManifest(plaintext: Uint8Array, what = 'manifest'): SignedManifest {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(plaintext));
  } catch {
    // No cause: JSON.parse quotes the text.
    throw new CoffreError('E_FORMAT', `${what}: not a JSON document`);
  }
  return parseSignedManifest(value, what);
}

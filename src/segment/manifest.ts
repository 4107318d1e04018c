// A manifest as a signed document: sign/verify, encode/decode. What it may say is manifest-schema.ts.
import type { KeyObject } from 'node:crypto';
import { CoffreError } from '../errors.ts';
import { canonicalJson } from './canonical-json.ts';
import { parseManifest, parseSignedManifest } from './manifest-schema.ts';
import type { Manifest, SignedManifest } from './manifest-types.ts';
import { signText, type TrustedKey, verifyText } from './signature.ts';

/**
 * Signs the canonical JSON of `manifest` with an Ed25519 private key. What is signed was checked as a reader would:
 * throws E_FORMAT, naming the place, when this manifest could not be read back; E_INTERNAL on a fraction.
 */
export function signManifest(manifest: Manifest, privateKey: KeyObject): SignedManifest {
  // Through JSON, so that what is kept in memory is exactly what was signed.
  const text = canonicalJson(manifest);
  return { manifest: parseManifest(JSON.parse(text)), signature: signText(text, privateKey) };
}

/** Checks that one of the `trusted` keys signed it. Throws E_SIGNATURE otherwise. `what` names the object in messages. */
export function verifyManifest({ manifest, signature }: SignedManifest, trusted: readonly TrustedKey[], what = 'manifest'): void {
  verifyText(canonicalJson(manifest), signature, trusted, what);
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

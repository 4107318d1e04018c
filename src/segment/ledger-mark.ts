// What the header of a sealed checkpoint says in the clear: where ledger, anchors and statements stood. Hashes and counts, signed.
import type { KeyObject } from 'node:crypto';
import { z } from 'zod';
import { CoffreError } from '../errors.ts';
import { canonicalJson } from './canonical-json.ts';
import { signatureShape } from './manifest-schema.ts';
import { type Signature, signText, type TrustedKey, verifyText } from './signature.ts';

/** Name of the stanza in the age header: readers that do not know it leave it aside, as age asks of them. */
export const MARK_STANZA = 'coffre-ledger';

/** Nothing of it tells of anybody's data: whoever sees the bucket may read it. */
export interface LedgerMark {
  readonly vault: string;
  /** As in the checkpoint. */
  readonly time: string;
  /** Last row of the ledger, 0: none, and its hash. */
  readonly row: number;
  readonly head: string;
  /** How many anchors there are, and the newest one's hash. */
  readonly anchors: number;
  readonly anchor: string;
  /** The same of the statements that were issued. */
  readonly statements: number;
  readonly statement: string;
  /** And of the corrections; not in marks of an older coffre. */
  readonly corrections?: number | undefined;
  readonly correction?: string | undefined;
}

const hash = z.string().regex(/^[0-9a-f]{64}$/, 'is not a SHA-256 in hex');
const count = z.number().int().nonnegative();

export const ledgerMark = z.strictObject({
  ...{ vault: z.string().min(1).max(256), time: z.string(), row: count, head: hash },
  ...{ anchors: count, anchor: hash, statements: count, statement: hash },
  ...{ corrections: count.optional(), correction: hash.optional() },
});

const signedMark = z.strictObject({ mark: ledgerMark, signature: signatureShape });

/** The stanza's body. */
export function encodeMark(mark: LedgerMark, privateKey: KeyObject): Buffer {
  const signature: Signature = signText(canonicalJson(mark), privateKey);
  return Buffer.from(canonicalJson({ mark, signature }));
}

/** The reverse. Throws E_FORMAT, and E_SIGNATURE when none of `trusted` signed it. */
export function decodeMark(body: Uint8Array, trusted: readonly TrustedKey[], what: string): LedgerMark {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new CoffreError('E_FORMAT', `${what}: its mark is not a JSON document`);
  }
  const result = signedMark.safeParse(value);
  if (!result.success) throw new CoffreError('E_FORMAT', `${what}: its mark has another shape`);
  const { mark, signature } = result.data;
  verifyText(canonicalJson(mark), signature as Signature, trusted, what);
  return mark;
}

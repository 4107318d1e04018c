// A checkpoint of the daemon's state as a signed document: what a listing of the vaults cannot give back. FORMAT.md specifies it.
import type { KeyObject } from 'node:crypto';
import { z } from 'zod';
import { CoffreError } from '../errors.ts';
import { canonicalJson } from './canonical-json.ts';
import { isId } from './id.ts';
import { isShopName } from './layout.ts';
import { type LedgerMark, ledgerMark } from './ledger-mark.ts';
import { signatureShape } from './manifest-schema.ts';
import { type Signature, signText, type TrustedKey, verifyText } from './signature.ts';

export const CHECKPOINT_FORMAT = 1;

/** A row of the catalog: column to value. */
export type CheckpointRow = Readonly<Record<string, string | number | null>>;

/** A row of the ledger; the hash of the first one follows from `after.hash`. */
export interface CheckpointLedgerRow {
  readonly id: number;
  readonly at: number;
  readonly vault: string;
  readonly shop: string;
  readonly key: string;
  readonly versionId: string;
  readonly event: 'put' | 'part' | 'complete' | 'release' | 'adjust';
  readonly bytes: number;
  readonly cause: string | null;
  readonly hash: string;
}

/** A place in the ledger's chain: a row's id (0: before the first) and its hash. */
export interface ChainPlace {
  readonly row: number;
  readonly hash: string;
}

export interface Checkpoint {
  readonly format: typeof CHECKPOINT_FORMAT;
  /** The vault that holds this copy. */
  readonly vault: string;
  /** Whole seconds; the object's name says the same. */
  readonly time: string;
  /** false: more rows follow in the next one, made right after it. */
  readonly last: boolean;
  readonly coffre: string;
  /** Fingerprints of the keys whose manifests and checkpoints count, the one that signs now first. */
  readonly signers: readonly string[];
  /** The identity that each shop is sealed to now. */
  readonly keys: readonly { readonly shop: string; readonly keyId: string; readonly recipient: string }[];
  readonly configuration: { readonly file: string; readonly text: string };
  readonly ledger: {
    /** What the first row follows, and the last one. */
    readonly after: ChainPlace;
    readonly until: ChainPlace;
    /** Bytes by the ledger at `until`; what is 0 may be left out. */
    readonly levels: readonly { readonly vault: string; readonly shop: string; readonly bytes: number }[];
    readonly rows: readonly CheckpointLedgerRow[];
  };
  /** Where ledger, anchors and statements stand; the age header says the same. Left out by older versions. */
  readonly mark?: LedgerMark;
  /** Rows of the catalog's other tables: all of a small one, of one that only grows those since the last checkpoint. */
  readonly tables: Readonly<Record<string, readonly CheckpointRow[]>>;
}

export interface SignedCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly signature: Signature;
}

const count = z.number().int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'is not a SHA-256 in hex');
const place = z.strictObject({ row: count, hash: sha256 });
const row = z.record(z.string(), z.union([z.string(), z.number().int(), z.null()]));

const signedCheckpoint = z.strictObject({
  checkpoint: z.strictObject({
    format: z.literal(CHECKPOINT_FORMAT),
    vault: z.string().min(1).max(256),
    time: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'is not an instant in whole seconds of UTC'),
    last: z.boolean(),
    coffre: z.string(),
    signers: z.array(z.string().startsWith('SHA256:')),
    keys: z.array(
      z.strictObject({
        shop: z.string().refine(isShopName, 'is not a shop name'),
        keyId: z.string().refine(isId, 'is not an id'),
        recipient: z.string().regex(/^age1[0-9a-z]+$/, 'is not an age recipient'),
      }),
    ),
    configuration: z.strictObject({ file: z.string(), text: z.string() }),
    ledger: z.strictObject({
      after: place,
      until: place,
      levels: z.array(z.strictObject({ vault: z.string(), shop: z.string(), bytes: z.number().int() })),
      rows: z.array(
        z.strictObject({
          id: count,
          at: z.number().int(),
          vault: z.string(),
          shop: z.string(),
          key: z.string(),
          versionId: z.string(),
          event: z.enum(['put', 'part', 'complete', 'release', 'adjust']),
          bytes: z.number().int(),
          cause: z.string().nullable(),
          hash: sha256,
        }),
      ),
    }),
    mark: ledgerMark.optional(),
    tables: z.record(z.string(), z.array(row)),
  }),
  signature: signatureShape,
});

/** Signs the canonical JSON of `checkpoint`. Throws E_INTERNAL on what has no such form. */
export function signCheckpoint(checkpoint: Checkpoint, privateKey: KeyObject): SignedCheckpoint {
  return { checkpoint, signature: signText(canonicalJson(checkpoint), privateKey) };
}

/** Checks that one of the `trusted` keys signed it. Throws E_SIGNATURE otherwise. */
export function verifyCheckpoint({ checkpoint, signature }: SignedCheckpoint, trusted: readonly TrustedKey[], what = 'checkpoint'): void {
  verifyText(canonicalJson(checkpoint), signature, trusted, what);
}

/** The object's plaintext, one line. */
export function encodeCheckpoint(signed: SignedCheckpoint): Buffer {
  return Buffer.from(`${canonicalJson(signed)}\n`);
}

/** The reverse. Checks the whole shape, **not the signature**. Throws E_FORMAT. */
export function decodeCheckpoint(plaintext: Uint8Array, what = 'checkpoint'): SignedCheckpoint {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(plaintext));
  } catch {
    // No cause: JSON.parse quotes the text.
    throw new CoffreError('E_FORMAT', `${what}: not a JSON document`);
  }
  const result = signedCheckpoint.safeParse(value);
  if (result.success) return result.data as SignedCheckpoint;
  const issue = result.error.issues[0];
  throw new CoffreError('E_FORMAT', `${what}: ${issue?.path.join('.') || 'the document'}: ${issue?.message ?? 'is wrong'}`);
}

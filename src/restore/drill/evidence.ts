// The evidence of a drill: what was restored, from where, what was checked, how long it took; signed, and checked by whoever is handed it.
import { createHash, type KeyObject } from 'node:crypto';
import * as z from 'zod';
import { CoffreError } from '../../errors.ts';
import { canonicalJson } from '../../segment/canonical-json.ts';
import { type Signature, signText, verifyText } from '../../segment/signature.ts';
import { fingerprintOfRaw } from '../../segment/signing-key.ts';
import type { SourceKind } from '../../source/source.ts';

/** An object, as the manifest names it. Hashes are hex SHA-256 of the stored bytes. */
export interface NamedObject {
  readonly kind: 'manifest' | 'index' | 'segment';
  readonly source: SourceKind;
  readonly key: string;
  readonly versionId: string;
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * read: it came whole, and its bytes have the hash named. altered: what came has another. missing: the vault says that it is not there.
 * not-read: it was never asked for, or did not come to its end.
 */
export const OBJECT_STATES = ['read', 'missing', 'altered', 'not-read'] as const;
export type ObjectState = (typeof OBJECT_STATES)[number];

export interface DrilledObject extends NamedObject {
  /** Evidence of before does not say it: it lists all that its manifests named. */
  readonly state?: ObjectState;
}

/** `ok` null: it could not be looked at, and nothing is said by that. `code` where it was not passed. */
export interface DrillCheck {
  readonly check: string;
  readonly source: SourceKind | null;
  readonly ok: boolean | null;
  readonly code: string | null;
  /** One sentence without shop data. */
  readonly detail: string;
  /** Whole numbers, or text. */
  readonly figures: Readonly<Record<string, number | string | null>>;
}

/** As catalog/rates.ts has them: `ms` is the share of the wall clock, phases of one source that overlap are not added up. */
export interface DrillPhase {
  readonly source: SourceKind;
  readonly phase: string;
  /** Of download the vault; else null. */
  readonly vault: string | null;
  readonly bytes: number;
  readonly files?: number;
  readonly rows?: number;
  readonly ms: number;
}

/** Instants are RFC 3339 text. */
export interface DrilledSource {
  readonly source: SourceKind;
  readonly snapshot: string;
  readonly asOf: string;
  /** At the beginning of the drill: what would have been lost. */
  readonly ageMs: number;
  readonly manifestSha256: string;
  readonly encrypted: boolean;
  /** As the manifest counts. */
  readonly counts: Readonly<Record<string, number>>;
  /** What was restored and compared; null: it did not come to an end. */
  readonly restored: {
    readonly bytes: number;
    readonly tables: number | null;
    readonly rows: number | null;
    readonly files: number | null;
    readonly durationMs: number;
  } | null;
}

/** What was read from: as it is configured, without a credential. */
export interface DrilledVault {
  readonly name: string;
  readonly type: 's3' | 'filesystem';
  /** Of a filesystem vault its path. */
  readonly endpoint: string;
  readonly region: string | null;
  readonly bucket: string | null;
  readonly prefix: string | null;
  readonly media: string;
  readonly site: string | null;
  readonly offsite: boolean;
}

/** What the restore unit did and found: everything but who asked for it, and the signature. */
export interface DrillFacts {
  readonly startedAt: string;
  readonly endedAt: string;
  readonly from: DrilledVault;
  /** Where it was restored to; `database` null: none was. */
  readonly into: { readonly host: string; readonly database: string | null; readonly databaseVersion: string | null };
  readonly sources: readonly DrilledSource[];
  readonly checks: readonly DrillCheck[];
  readonly phases: readonly DrillPhase[];
  /** From the first byte that was asked for to the last comparison, of all sources one after the other. */
  readonly restoreMs: number;
  /** With the making ready and the checks. */
  readonly totalMs: number;
  /** `kept` null: not everything was restored, and how long it would have taken is not known. */
  readonly rto: { readonly targetMs: number; readonly calendar: string; readonly kept: boolean | null };
  /** All that the manifests name, the manifests themselves first. */
  readonly objects: readonly DrilledObject[];
  readonly tools: Readonly<Record<string, string>>;
}

export interface Evidence extends Omit<DrillFacts, 'objects'> {
  readonly format: 1;
  readonly kind: 'drill';
  readonly id: string;
  readonly shop: string;
  readonly plan: string;
  /** A person, a token, or `schedule`. */
  readonly askedBy: string;
  readonly outcome: 'passed' | 'failed';
  /** Codes of what was not passed, the first one first. */
  readonly codes: readonly string[];
  /** What was read; where `named` lacks (evidence of before) what the manifests named, read or not. */
  readonly objects: {
    readonly count: number;
    readonly bytes: number;
    /** Hex SHA-256 over `digestLines` of the list. */
    readonly digest: string;
    readonly list: readonly DrilledObject[];
    /** What the manifests name, read or not. */
    readonly named?: { readonly count: number; readonly bytes: number };
    /** Of these what was not read as it is named: missing, altered, not read. */
    readonly lacking?: readonly DrilledObject[];
  };
  /**
   * Who signed, and of whose knowledge. daemon: the agency's key, which the daemon holds, vouches for what the restore unit, a process of its
   * own that saw the data, told the daemon. command: the same, and root's own command heard it.
   */
  readonly signedBy: 'daemon' | 'command';
  readonly coffre: string;
}

export interface SignedEvidence {
  readonly evidence: Evidence;
  readonly signature: Signature;
}

/** `sha256 bytes key versionId`, a line for each object in the order of the list: `sha256sum` over it gives the digest. */
export function digestLines(objects: readonly DrilledObject[]): string {
  return objects.map(({ sha256, bytes, key, versionId }) => `${sha256} ${bytes} ${key} ${versionId}\n`).join('');
}

const bytesOf = (objects: readonly DrilledObject[]): number => objects.reduce((sum, { bytes }) => sum + bytes, 0);

/** How many there are of each state but `read`, those that there are. */
export function lackingCounts(lacking: readonly DrilledObject[]): readonly (readonly [ObjectState, number])[] {
  return OBJECT_STATES.flatMap((state) => {
    const count = lacking.filter((object) => object.state === state).length;
    return count > 0 ? [[state, count] as const] : [];
  });
}

export interface Ordered {
  readonly id: string;
  readonly shop: string;
  readonly plan: string;
  readonly askedBy: string;
  readonly signedBy: Evidence['signedBy'];
  /** Of this coffre. */
  readonly version: string;
}

/** A check that was not passed makes the drill fail; one that could not be made does not, and is seen in the evidence. */
export function makeEvidence(facts: DrillFacts, { id, shop, plan, askedBy, signedBy, version }: Ordered): Evidence {
  const { objects: named, ...rest } = facts;
  const objects = named.filter(({ state }) => state === 'read');
  const codes = [...new Set(facts.checks.flatMap(({ ok, code }) => (ok === false && code !== null ? [code] : [])))];
  return {
    ...{ format: 1, kind: 'drill', id, shop, plan, askedBy },
    ...rest,
    outcome: codes.length === 0 ? 'passed' : 'failed',
    codes,
    objects: {
      count: objects.length,
      bytes: bytesOf(objects),
      digest: createHash('sha256').update(digestLines(objects)).digest('hex'),
      list: objects,
      named: { count: named.length, bytes: bytesOf(named) },
      lacking: named.filter(({ state }) => state !== 'read'),
    },
    signedBy,
    coffre: version,
  };
}

/** `openssl pkeyutl -verify -rawin` over `jq -cSj .evidence` checks it. */
export function signEvidence(evidence: Evidence, privateKey: KeyObject): SignedEvidence {
  return { evidence, signature: signText(canonicalJson(evidence), privateKey) };
}

/** The text that is kept and handed over. */
export const evidenceText = (signed: SignedEvidence): string => canonicalJson(signed);

const signedSchema = z.object({
  evidence: z.looseObject({
    format: z.literal(1),
    kind: z.literal('drill'),
    id: z.string(),
    shop: z.string(),
    outcome: z.enum(['passed', 'failed']),
    objects: z.object({
      count: z.number(),
      digest: z.string(),
      list: z.array(z.looseObject({ key: z.string(), versionId: z.string(), bytes: z.number(), sha256: z.string() })),
    }),
  }),
  signature: z.object({ algorithm: z.literal('Ed25519'), key: z.string(), value: z.string() }),
});

/** Reads what was handed over; `what` names it in messages. Nothing is checked but its form. Throws E_FORMAT. */
export function parseEvidence(text: string, what: string): SignedEvidence {
  try {
    const value: unknown = JSON.parse(text);
    signedSchema.parse(value);
    // as it came: a schema's own copy lacks what it does not know
    return value as SignedEvidence;
  } catch (cause) {
    throw new CoffreError('E_FORMAT', `${what} is not the evidence of a drill`, {
      cause,
      hint: 'coffre drill show ID --format json writes it; a file that was opened and saved elsewhere may have changed',
    });
  }
}

/**
 * What was handed over is what was signed, by a key with this fingerprint (`SHA256:…`), and its list of objects is the one that its digest is
 * of. Throws E_FORMAT, E_SIGNATURE.
 */
export function verifyEvidence(text: string, fingerprints: readonly string[], what: string): SignedEvidence {
  const signed = parseEvidence(text, what);
  let said: string;
  try {
    said = canonicalJson(signed.evidence);
  } catch (cause) {
    // fractions, which we never write
    throw new CoffreError('E_FORMAT', `${what} is not the evidence of a drill`, { cause });
  }
  verifyText(said, signed.signature, fingerprints, what);
  const { count, digest, list } = signed.evidence.objects;
  if (list.length !== count || createHash('sha256').update(digestLines(list)).digest('hex') !== digest) {
    throw new CoffreError('E_SIGNATURE', `${what}: the list of objects is not the one that its digest is of`);
  }
  return signed;
}

/** `SHA256:…` of the key that signed, whoever that is. */
export const signerOf = ({ signature }: SignedEvidence): string => fingerprintOfRaw(Buffer.from(signature.key, 'base64'));

/** Images without a file, as the evidence has them; null: it does not say. */
export function missingImages(text: string): number | null {
  const found = parseEvidence(text, 'a drill of this catalog').evidence.checks.find(({ check }) => check === 'images');
  const missing = found?.figures.missing;
  return typeof missing === 'number' ? missing : null;
}

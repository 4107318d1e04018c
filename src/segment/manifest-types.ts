// What a manifest says. FORMAT.md is the specification; this is its shape in TypeScript.
import type { Consistency, LoadInstruction, Phase, SegmentKind, SourceKind, Warning } from '../source/source.ts';
import type { Signature } from './signature.ts';

export const FORMAT_VERSION = 1;

/** A lock as it is written into JSON: instants as RFC 3339 text in UTC. */
export interface LockText {
  readonly mode: 'COMPLIANCE' | 'GOVERNANCE' | 'advisory';
  readonly retainUntil: string;
}

/** What was sealed into one object; equal in every vault. Hashes are hex SHA-256. */
export interface SealedFacts {
  readonly plainBytes: number;
  readonly plainSha256: string;
  readonly storedBytes: number;
  readonly storedSha256: string;
}

export interface ManifestSegment extends SealedFacts {
  readonly id: string;
  readonly key: string;
  readonly kind: SegmentKind;
  readonly phase: Phase;
  readonly name: string;
  /** false: stored by an older snapshot and reused. */
  readonly fresh: boolean;
  readonly load?: LoadInstruction;
  /** Present when only some members of a tar segment belong to this snapshot (the index says which). */
  readonly partial?: true;
  /** As read back in the vault that holds this copy of the manifest. */
  readonly versionId: string;
  readonly lock: LockText | null;
}

export interface Manifest {
  readonly format: typeof FORMAT_VERSION;
  readonly snapshot: string;
  readonly shop: string;
  readonly source: SourceKind;
  readonly vault: string;
  /** Of a manifest that took another's place in this vault, because an object had to be stored anew; absent: the first. The highest counts. */
  readonly revision?: number;
  readonly startedAt: string;
  readonly asOf: string;
  readonly completedAt: string;
  readonly full: boolean;
  readonly complete: boolean;
  /** `safety`: what was there before a restore in place; absent: a backup. */
  readonly purpose?: 'safety';
  readonly tools: Readonly<Record<string, string>>;
  readonly server?: Readonly<Record<string, string>>;
  readonly consistency?: Consistency;
  readonly counts: { readonly files?: number; readonly directories?: number; readonly tables?: number; readonly rows?: number };
  readonly warnings: readonly Warning[];
  readonly encryption: { readonly recipient: string } | 'none';
  /** What this snapshot promised: every object of it locked at least until then (ends of an advisory lock count as promised too). */
  readonly lock: LockText;
  readonly index: SealedFacts & {
    readonly key: string;
    readonly versionId: string;
    readonly lock: LockText | null;
    readonly entries: number;
  };
  /** In restore order. */
  readonly segments: readonly ManifestSegment[];
}

/** The object's content: `jq -cS .manifest` gives the signed bytes back. */
export interface SignedManifest {
  readonly manifest: Manifest;
  readonly signature: Signature;
}

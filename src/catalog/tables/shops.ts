// The shops’ lives: rows as Kysely sees them (units: ../tables.ts).
import type { Generated } from 'kysely';

/** A tenant's life as it is now; what it was before stands in the audit. No row: active. */
export interface ShopStatesTable {
  shop: string;
  /** suspended: not backed up. closing: backed up until `endsAt`. erased: everything goes as its locks end. */
  state: 'active' | 'suspended' | 'closing' | 'erased';
  since: number;
  /** Of `closing` alone. */
  endsAt: number | null;
  who: string;
  reason: string | null;
}

/** Append-only; a row where the value is another one than before. */
export interface ShopFactsTable {
  id: Generated<number>;
  shop: string;
  at: number;
  /** A program whose version it is, or a term of the plan as `plan.retention`. */
  name: string;
  value: string;
}

/** A legal hold: what it names is kept and its locks are kept ahead until it is released. Rows are never deleted. */
export interface HoldsTable {
  id: string;
  shop: string;
  /** null: everything of the shop, what is still to come included. */
  snapshotId: string | null;
  reason: string;
  placedAt: number;
  placedBy: string;
  releasedAt: number | null;
  releasedBy: string | null;
  releaseReason: string | null;
}

/** What was promised or confirmed about the end of a shop's data. Rows are never deleted. */
export interface CertificatesTable {
  id: Generated<number>;
  shop: string;
  at: number;
  kind: 'closing' | 'erasure';
  /** 1: nothing of the shop is left anywhere. */
  final: number;
  /** Signed, as text: exactly what was signed. */
  document: string;
}

// What a backup of one source came to, and why it may not be good although it exists.
import { CoffreError } from '../errors.ts';
import type { SourceKind, Warning } from '../source/source.ts';

export interface SnapshotResult {
  readonly id: string;
  readonly source: SourceKind;
  readonly vaults: readonly string[];
  readonly segments: number;
  readonly reusedSegments: number;
  readonly plainBytes: number;
  /** Everything the snapshot consists of in one vault, reused segments included. */
  readonly storedBytes: number;
  /** What this run itself stored in one vault. */
  readonly newBytes: number;
  readonly files?: number;
  readonly tables?: number;
  readonly consistency?: unknown;
  readonly lock: { readonly mode: string; readonly retainUntil: string; readonly verified: boolean };
  readonly durationMs: number;
  readonly full: boolean;
  readonly complete: boolean;
  readonly adoptedRuns: readonly string[];
  readonly warnings: readonly Warning[];
  /** Worth a line, and no fault of this snapshot: why more was stored than changed. */
  readonly notes: readonly string[];
  /** Required vaults that do not have it, with the reason. */
  readonly missing: readonly { readonly vault: string; readonly code: string; readonly message: string; readonly hint: string }[];
}

/** Why a snapshot that exists is not good, or null. */
export function shortfallOf(
  shop: string,
  result: Pick<SnapshotResult, 'id' | 'complete' | 'missing' | 'warnings' | 'source'>,
): CoffreError | null {
  const [missing] = result.missing;
  if (!result.complete) {
    const unreadable = result.warnings.filter((warning) => warning.kind === 'unreadable');
    const named = unreadable
      .slice(0, 3)
      .map((warning) => warning.where)
      .join(', ');
    return new CoffreError('E_INCOMPLETE', `${shop}: ${unreadable.length} not readable in ${result.source}: ${named}`);
  }
  if (missing) {
    const reasons = result.missing.map((vault) => `${vault.message} [${vault.code}]`).join('; ');
    return new CoffreError('E_DEGRADED', `${shop}: snapshot ${result.id} is not in every vault: ${reasons}`, { hint: missing.hint });
  }
  return null;
}

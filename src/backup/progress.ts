// What a run tells while it works: for the bar on a terminal, the log, and later the API.

export interface BackupProgress {
  readonly shop: string;
  readonly source: string;
  readonly step: 'open' | 'read' | 'lock' | 'commit' | 'done';
  /** Plaintext read or carried so far. */
  readonly plainBytes: number;
  /** What of it was carried: it keeps its place in older segments and costs no time. */
  readonly carriedBytes: number;
  /** What there is in all; null when nobody can know. */
  readonly expectedBytes: number | null;
  /** false: it is what the last snapshot had. */
  readonly expectedExactly: boolean;
  readonly storedBytes: number;
  readonly segments: number;
  readonly reusedSegments: number;
  readonly files: number;
  /** Name of the part at hand. */
  readonly current: string;
}

export type OnProgress = (progress: BackupProgress) => void;

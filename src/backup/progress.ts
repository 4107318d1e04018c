// What a run tells while it works: for the bar on a terminal, the log, and later the API.

export interface BackupProgress {
  readonly shop: string;
  readonly source: string;
  readonly step: 'open' | 'read' | 'lock' | 'commit' | 'done';
  /** Plaintext read or carried so far. */
  readonly plainBytes: number;
  /** What the source expects in all; null when it cannot know. */
  readonly expectedBytes: number | null;
  readonly storedBytes: number;
  readonly segments: number;
  readonly reusedSegments: number;
  readonly files: number;
  /** Name of the part at hand. */
  readonly current: string;
}

export type OnProgress = (progress: BackupProgress) => void;

// How far a restore has come, in bytes and rows, while several segments are on their way.
import type { ManifestSegment } from '../segment/manifest-types.ts';
import type { LoadedTable } from '../target/target.ts';

export interface RestoreProgress {
  readonly step: 'manifest' | 'segments' | 'check';
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Of a database; of a tree both are 0. */
  readonly doneRows: number;
  readonly totalRows: number;
  /** Of a tree. */
  readonly doneFiles?: number;
  readonly totalFiles?: number;
  /** What of `doneBytes` was there already and was neither fetched nor written: it costs no time. */
  readonly carriedBytes?: number;
  /** What moved last: a table, a path as the file system has it (BytePath), or a segment's name. */
  readonly current: string;
}

/** One segment's share. */
export interface SegmentProgress {
  add(bytes: number): void;
  /** It failed, and what was counted of it comes again. */
  undo(): void;
  done(): void;
}

/** Smaller steps are not told. */
const STEP_BYTES = 1024 * 1024;

/** For databases: rows count in proportion while a table's segment goes in, exactly once it is in. */
export class LoadMeter {
  readonly #tell: (progress: RestoreProgress) => void;
  readonly #totalBytes: number;
  readonly #totalRows: number;
  readonly #rowsOf: (segment: ManifestSegment) => number;
  #doneBytes = 0;
  #doneRows = 0;
  #toldBytes = 0;
  #current = '';

  constructor(
    tell: (progress: RestoreProgress) => void,
    segments: readonly ManifestSegment[],
    rowsOf: (segment: ManifestSegment) => number,
    totalRows: number,
  ) {
    this.#rowsOf = rowsOf;
    this.#tell = tell;
    this.#totalBytes = segments.reduce((sum, segment) => sum + segment.plainBytes, 0);
    this.#totalRows = totalRows;
  }

  begin(segment: ManifestSegment): SegmentProgress {
    let bytes = 0;
    let rows = 0;
    const segmentRows = this.#rowsOf(segment);
    const current = segment.load?.table ?? segment.name;
    const set = (toBytes: number): void => {
      const toRows = segment.plainBytes === 0 ? 0 : Math.floor((segmentRows * toBytes) / segment.plainBytes);
      this.#doneBytes += toBytes - bytes;
      this.#doneRows += toRows - rows;
      bytes = toBytes;
      rows = toRows;
    };
    return {
      add: (more) => {
        set(Math.min(bytes + more, segment.plainBytes));
        if (this.#doneBytes - this.#toldBytes >= STEP_BYTES) this.#say('segments', current);
      },
      undo: () => set(0),
      done: () => {
        set(segment.plainBytes);
        this.#say('segments', current);
      },
    };
  }

  /** These tables are whole. */
  finished(tables: readonly LoadedTable[]): void {
    this.#say('segments', tables.length === 1 ? (tables[0] as LoadedTable).table : this.#current);
  }

  check(): void {
    this.#doneRows = this.#totalRows;
    this.#say('check', '');
  }

  #say(step: RestoreProgress['step'], current: string): void {
    this.#current = current;
    this.#toldBytes = this.#doneBytes;
    this.#tell({
      step,
      doneBytes: this.#doneBytes,
      totalBytes: this.#totalBytes,
      doneRows: this.#doneRows,
      totalRows: this.#totalRows,
      current,
    });
  }
}

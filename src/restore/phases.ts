// Measures where a source's restore spends its time, phase by phase, so that parallel phases and the whole time fit together.
//
// Downloads run ahead of a fixed number of workers (threads that extract, connections that load), each of which opens a segment and puts it where
// it belongs. So:
//   download   length of the union of all fetches' intervals, for each vault
//   the others working time of all workers together, divided by the number of workers, waiting for a download not counted
// The pipeline takes as long as its slowest side: max(download, open + write + load + keys). What it took beyond that (filling, draining, workers
// that were not equally loaded) is put on that side in proportion, so that
//   whole time = fixed + check + max(sum of download, open + write + load + keys)
// holds exactly for every measurement. The estimate (estimate.ts) uses the same formula the other way round.
import type { PhaseFigures, RatePhase } from '../catalog/rates.ts';
import type { Clock } from '../clock.ts';

export type WorkPhase = Extract<RatePhase, 'open' | 'write' | 'load' | 'keys'>;

/** Amounts that a phase dealt with. */
interface Amount {
  readonly bytes: number;
  readonly files?: number;
  readonly rows?: number;
}

/** One vault's fetches: how many are under way, since when, and what they came to. */
interface Line {
  running: number;
  sinceMs: number;
  busyMs: number;
  bytes: number;
}

export class PhaseMeter {
  readonly #clock: Clock;
  readonly #startedMs: number;
  readonly #lines = new Map<string, Line>();
  readonly #work = new Map<WorkPhase, { ms: number; bytes: number }>();
  #pipelineMs = 0;
  #checkMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedMs = clock.monotonicMs();
  }

  /** Counts `fetch` as a download of `bytes` from the vault; one that fails counts its time. */
  async download<T>(vault: string, bytes: number, fetch: () => Promise<T>): Promise<T> {
    const end = this.#begin(vault);
    let got = 0;
    try {
      const result = await fetch();
      got = bytes;
      return result;
    } finally {
      end(got);
    }
  }

  /** A download that goes on while it is consumed: only waiting for it counts. */
  async *downloading(vault: string, bytes: number, stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const iterator = stream[Symbol.asyncIterator]();
    let whole = false;
    try {
      for (;;) {
        const end = this.#begin(vault);
        let next: IteratorResult<Uint8Array>;
        try {
          next = await iterator.next();
        } finally {
          end(0);
        }
        if (next.done) break;
        yield next.value;
      }
      whole = true;
    } finally {
      if (whole) this.#line(vault).bytes += bytes;
      else await iterator.return?.();
    }
  }

  /** Plaintext whose making is work of phase `open`: the time until each chunk comes counts. */
  async *opening(bytes: number, stream: AsyncIterable<Uint8Array>, waited: { ms: number }): AsyncGenerator<Uint8Array> {
    const iterator = stream[Symbol.asyncIterator]();
    let done = false;
    let openMs = 0;
    try {
      for (;;) {
        const startedMs = this.#clock.monotonicMs();
        const next = await iterator.next();
        openMs += this.#clock.monotonicMs() - startedMs;
        if (next.done) break;
        yield next.value;
      }
      done = true;
    } finally {
      waited.ms += openMs;
      this.work('open', openMs, bytes);
      if (!done) await iterator.return?.();
    }
  }

  /** Time that one worker worked. */
  work(phase: WorkPhase, ms: number, bytes: number): void {
    const sum = this.#work.get(phase) ?? { ms: 0, bytes: 0 };
    this.#work.set(phase, { ms: sum.ms + Math.max(0, ms), bytes: sum.bytes + bytes });
  }

  /** The part of the restore that is a pipeline. */
  async pipeline<T>(run: () => Promise<T>): Promise<T> {
    const startedMs = this.#clock.monotonicMs();
    try {
      return await run();
    } finally {
      this.#pipelineMs += this.#clock.monotonicMs() - startedMs;
    }
  }

  /** Reading the index, comparing: proportional to what there is, and alone. */
  async check<T>(run: () => Promise<T>): Promise<T> {
    const startedMs = this.#clock.monotonicMs();
    try {
      return await run();
    } finally {
      this.#checkMs += this.#clock.monotonicMs() - startedMs;
    }
  }

  /**
   * At the end of the restore. `of`: what it is of, whole; `written`: what of it was written, where that is not all of what was read. Nothing when
   * nothing was fetched.
   */
  figures(workers: number, of: Amount, written?: Amount): PhaseFigures[] {
    const fetched = [...this.#lines].map(([vault, { busyMs, bytes }]) => ({ vault, busyMs, bytes })).filter(({ bytes }) => bytes > 0);
    return phaseFigures({
      ...{ wholeMs: this.#clock.monotonicMs() - this.#startedMs, pipelineMs: this.#pipelineMs, checkMs: this.#checkMs },
      ...{ downloads: fetched, work: this.#work, workers, of },
      ...(written && { written }),
    });
  }

  #line(vault: string): Line {
    const line = this.#lines.get(vault) ?? { running: 0, sinceMs: 0, busyMs: 0, bytes: 0 };
    this.#lines.set(vault, line);
    return line;
  }

  #begin(vault: string): (bytes: number) => void {
    const line = this.#line(vault);
    if (line.running++ === 0) line.sinceMs = this.#clock.monotonicMs();
    return (bytes) => {
      line.bytes += bytes;
      if (--line.running === 0) line.busyMs += this.#clock.monotonicMs() - line.sinceMs;
    };
  }
}

/** Milliseconds and bytes. */
export interface Measured {
  readonly wholeMs: number;
  readonly pipelineMs: number;
  readonly checkMs: number;
  readonly downloads: readonly { readonly vault: string; readonly busyMs: number; readonly bytes: number }[];
  /** Of all workers together. */
  readonly work: ReadonlyMap<WorkPhase, { readonly ms: number; readonly bytes: number }>;
  readonly workers: number;
  readonly of: Amount;
  readonly written?: Amount;
}

/** What is not written of a segment is read all the same. */
const MOSTLY = 0.5;

/** Pure: what PhaseMeter saw, as the phases whose formula gives the whole time back (up to rounding). */
export function phaseFigures({ wholeMs, pipelineMs, checkMs, downloads, work, workers, of, written }: Measured): PhaseFigures[] {
  if (downloads.length === 0) return [];
  const downloadMs = downloads.reduce((sum, { busyMs }) => sum + busyMs, 0);
  const workMs = [...work.values()].reduce((sum, { ms }) => sum + ms, 0) / workers;
  const slowestMs = Math.max(downloadMs, workMs);
  const stretch = slowestMs > 0 ? pipelineMs / slowestMs : 1;
  const [ofDownload, ofWork] = downloadMs >= workMs ? [stretch, Math.min(1, stretch)] : [Math.min(1, stretch), stretch];
  const files = of.files === undefined ? {} : { files: of.files };
  const rows = of.rows === undefined ? {} : { rows: of.rows };
  return [
    ...downloads.map(({ vault, busyMs, bytes }) => ({ phase: 'download' as const, vault, bytes, ms: busyMs * ofDownload })),
    ...[...work].flatMap(([phase, { ms, bytes }]) => {
      // where little of what was read was written, the reading is what took the time
      if (phase === 'write' && written !== undefined && written.bytes < bytes * MOSTLY) return [];
      const amount = { bytes, ...files, ...rows, ...(phase === 'write' && written) };
      return [{ phase, vault: null, ...amount, ms: (ms / workers) * ofWork }];
    }),
    { phase: 'check', vault: null, ...of, ms: checkMs },
    { phase: 'fixed', vault: null, ...of, ms: Math.max(0, wholeMs - pipelineMs - checkMs) },
  ];
}

// The progress bar of long commands: bytes, files, rate and time left, on stderr and only when that is a terminal.
import { SingleBar } from 'cli-progress';
import type { Clock } from '../clock.ts';
import type { Io } from './io.ts';
import { formatBytes, formatDuration, printable } from './output.ts';

/** How far something is. Totals are null while nobody knows them. */
export interface ProgressState {
  readonly doneBytes: number;
  readonly totalBytes: number | null;
  readonly doneFiles?: number;
  readonly totalFiles?: number | null;
  readonly doneRows?: number;
  readonly totalRows?: number;
}

export interface Progress {
  update(state: ProgressState): void;
  /** What is done now: `database`, `files`, a vault's name. */
  title(text: string): void;
  /** Leaves the last state on its line. Idempotent. */
  stop(): void;
}

const SILENT: Progress = { update: () => {}, title: () => {}, stop: () => {} };

/** Rates are smoothed over about this long, so that one slow object does not make the time left jump. */
const RATE_WINDOW_MS = 10_000;

/** A bar on the terminal, or one that does nothing where stderr is none (or `json` is on). */
export function createProgress(io: Io, clock: Clock, json: boolean, title: string): Progress {
  if (json || io.stderr.isTTY !== true) return SILENT;
  const startedMs = clock.monotonicMs();
  let state: ProgressState = { doneBytes: 0, totalBytes: null };
  let shown = title;
  let rateBytes = 0;
  let lastMs = startedMs;
  let lastBytes = 0;
  let stopped = false;
  const bar = new SingleBar({
    stream: io.stderr,
    hideCursor: true,
    linewrap: false,
    fps: 8,
    barsize: 24,
    // The default listens for SIGINT by itself and would race ours.
    gracefulExit: false,
    format: () => progressLine(shown, state, rateBytes, clock.monotonicMs() - startedMs),
  });
  bar.start(1, 0);
  return {
    update(next) {
      state = next;
      const nowMs = clock.monotonicMs();
      const elapsedMs = nowMs - lastMs;
      if (elapsedMs >= 250) {
        const current = ((next.doneBytes - lastBytes) * 1000) / elapsedMs;
        const weight = rateBytes === 0 ? 1 : 1 - Math.exp(-elapsedMs / RATE_WINDOW_MS);
        rateBytes += (current - rateBytes) * weight;
        lastMs = nowMs;
        lastBytes = next.doneBytes;
      }
      // cli-progress counts 0 to 1 only to know when to draw; the line itself is ours.
      bar.update(next.totalBytes ? Math.min(0.999, next.doneBytes / next.totalBytes) : 0);
    },
    title(text) {
      shown = text;
    },
    stop() {
      if (stopped) return;
      stopped = true;
      bar.stop();
    },
  };
}

/** One line of progress. Pure, for tests. */
export function progressLine(title: string, state: ProgressState, rateBytes: number, elapsedMs: number): string {
  const { doneBytes, totalBytes, doneFiles, totalFiles, doneRows, totalRows } = state;
  const parts: string[] = [printable(title)];
  if (totalBytes !== null && totalBytes > 0) {
    const share = Math.min(1, doneBytes / totalBytes);
    const filled = Math.round(share * 24);
    parts.push(`[${'#'.repeat(filled)}${'-'.repeat(24 - filled)}] ${Math.floor(share * 100)} %`);
    parts.push(`${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`);
  } else {
    parts.push(formatBytes(doneBytes));
  }
  if (doneFiles !== undefined) parts.push(totalFiles ? `${doneFiles} of ${totalFiles} files` : `${doneFiles} files`);
  if (doneRows !== undefined && totalRows) parts.push(`${doneRows} of ${totalRows} rows`);
  if (rateBytes > 0) parts.push(`${formatBytes(rateBytes)}/s`);
  if (totalBytes !== null && rateBytes > 0 && doneBytes < totalBytes) {
    parts.push(`${formatDuration(Math.ceil((totalBytes - doneBytes) / rateBytes) * 1000)} left`);
  } else {
    parts.push(formatDuration(Math.floor(elapsedMs / 1000) * 1000));
  }
  return parts.join('  ');
}

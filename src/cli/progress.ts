// The progress of long commands on stderr: a bar on a terminal, a line now and then elsewhere, nothing with --json.
import { SingleBar } from 'cli-progress';
import { Estimator } from '../backup/estimator.ts';
import type { Clock, Timer } from '../clock.ts';
import type { Io } from './io.ts';
import { formatBytes, formatDuration } from './output.ts';
import { displayPath, shorten, textWidth } from './shorten.ts';

/** How far something is. Totals are null while nobody knows them. */
export interface ProgressState {
  readonly doneBytes: number;
  readonly totalBytes: number | null;
  /** The total is what there was last time. */
  readonly totalIsGuess?: boolean;
  /** What of `doneBytes` took no time: it was there already. */
  readonly carriedBytes?: number;
  readonly doneFiles?: number;
  readonly totalFiles?: number | null;
  readonly doneRows?: number;
  readonly totalRows?: number;
  /** What reached the vaults, compressed and sealed. */
  readonly storedBytes?: number;
  /** What is being worked on: a path as the file system has it (BytePath), or a name. */
  readonly current?: string;
}

export interface Progress {
  update(state: ProgressState): void;
  /** What is done now: `database`, `files`, a vault's name. Another one starts rate and time left over. */
  title(text: string): void;
  /** Leaves the last state on its line. Idempotent. */
  stop(): void;
}

/** What a line of progress is made of. */
export interface ProgressView {
  readonly title: string;
  readonly state: ProgressState;
  /** null: unknown. */
  readonly rateBytes: number | null;
  readonly leftMs: number | null;
  readonly elapsedMs: number;
}

const SILENT: Progress = { update: () => {}, title: () => {}, stop: () => {} };

/** A journal wants to know that it goes on, not more. */
const LINE_EVERY_MS = 30_000;
const WIDEST_BAR = 24;
const NARROWEST_BAR = 8;
/** A path shortened to less says nothing. */
const SHORTEST_PATH = 12;

/** A bar on the terminal; where stderr is none a line at most every 30 s; nothing with `json`. */
export function createProgress(io: Io, clock: Clock, json: boolean, title: string): Progress {
  if (json) return SILENT;
  const told = new Told(clock, title);
  return io.stderr.isTTY === true ? drawn(io, told) : written(io, clock, told);
}

/** What was told so far, and what follows from it now. */
class Told {
  #title: string;
  readonly #clock: Clock;
  readonly #startedMs: number;
  readonly #estimator = new Estimator();
  state: ProgressState = { doneBytes: 0, totalBytes: null };

  constructor(clock: Clock, title: string) {
    this.#clock = clock;
    this.#startedMs = clock.monotonicMs();
    this.#title = title;
  }

  update(next: ProgressState): void {
    this.state = next;
    this.#estimator.add({
      atMs: this.#clock.monotonicMs(),
      doneBytes: next.doneBytes,
      carriedBytes: next.carriedBytes ?? 0,
      totalBytes: next.totalBytes,
      totalIsGuess: next.totalIsGuess ?? false,
    });
  }

  title(text: string): void {
    if (text !== this.#title) this.#estimator.restart();
    this.#title = text;
  }

  view(): ProgressView {
    const nowMs = this.#clock.monotonicMs();
    return {
      title: this.#title,
      state: this.state,
      rateBytes: this.#estimator.rate(nowMs),
      leftMs: this.#estimator.leftMs(nowMs),
      elapsedMs: nowMs - this.#startedMs,
    };
  }
}

function drawn(io: Io, told: Told): Progress {
  let stopped = false;
  const bar = new SingleBar({
    stream: io.stderr,
    hideCursor: true,
    linewrap: false,
    fps: 8,
    // The default listens for SIGINT by itself and would race ours.
    gracefulExit: false,
    // one column less than there are: some terminals move on when the last one is written
    format: () => progressLine(told.view(), (io.stderr.columns ?? io.columns) - 1),
  });
  bar.start(1, 0);
  return {
    update(next) {
      told.update(next);
      // cli-progress counts 0 to 1 only to know when to draw; the line itself is ours.
      bar.update(next.totalBytes ? Math.min(0.999, next.doneBytes / next.totalBytes) : 0);
    },
    title: (text) => told.title(text),
    stop() {
      if (stopped) return;
      stopped = true;
      bar.stop();
    },
  };
}

function written(io: Io, clock: Clock, told: Told): Progress {
  let timer: Timer;
  const tell = (): void => {
    io.err(`coffre: ${progressText(told.view())}\n`);
    timer = clock.after(LINE_EVERY_MS, tell, { unref: true });
  };
  timer = clock.after(LINE_EVERY_MS, tell, { unref: true });
  return {
    update: (next) => told.update(next),
    title: (text) => told.title(text),
    stop: () => timer.cancel(),
  };
}

/**
 * One line for a terminal of `columns`, never wider. Where there is no room the path goes first, then most of the bar, the bytes
 * stored, the files, the rate. Pure.
 */
export function progressLine(view: ProgressView, columns: number): string {
  const { state } = view;
  const title = displayPath(view.title);
  const { bytes, counts, stored, rate, end } = amountsOf(view);
  const current = state.current ? displayPath(state.current) : '';
  const percent = percentText(state);
  for (const amounts of [
    [bytes, counts, stored, rate, end],
    [bytes, counts, rate, end],
    [bytes, rate, end],
    [bytes, end],
  ]) {
    const fixed = joined(title, percent, ...amounts);
    let room = columns - textWidth(fixed);
    if (room < 0) continue;
    const bar = percent === '' ? 0 : Math.min(WIDEST_BAR, room - '[] '.length);
    if (bar >= NARROWEST_BAR) room -= bar + '[] '.length;
    else if (percent !== '' && amounts.length > 2) continue;
    const line = joined(title, bar >= NARROWEST_BAR ? `${barOf(state, bar)} ${percent}` : percent, ...amounts);
    return current !== '' && room >= SHORTEST_PATH + 2 ? `${line}  ${shorten(current, room - 2)}` : line;
  }
  return shorten(bytes, columns);
}

const joined = (...texts: readonly string[]): string => texts.filter((text) => text !== '').join('  ');

/** The same in words, for a log. Pure. */
export function progressText(view: ProgressView): string {
  const { bytes, counts, stored, rate, end } = amountsOf(view);
  const path = view.state.current ? displayPath(view.state.current) : '';
  const amounts = [bytes, percentText(view.state), counts, stored, rate, end, path];
  return `${displayPath(view.title)}: ${amounts.filter((text) => text !== '').join(', ')}`;
}

function amountsOf({ state, rateBytes, leftMs, elapsedMs }: ProgressView) {
  const { doneBytes, totalBytes, totalIsGuess, doneFiles, totalFiles, doneRows, totalRows, storedBytes } = state;
  const counts: string[] = [];
  if (doneFiles !== undefined) counts.push(totalFiles ? `${doneFiles} of ${totalFiles} files` : `${doneFiles} files`);
  if (doneRows !== undefined && totalRows) counts.push(`${doneRows} of ${totalRows} rows`);
  const elapsed = formatDuration(Math.floor(elapsedMs / 1000) * 1000);
  const known = totalBytes !== null && totalBytes > 0 && !(totalIsGuess && doneBytes > totalBytes);
  return {
    bytes: known ? `${formatBytes(doneBytes)} of ${totalIsGuess ? 'about ' : ''}${formatBytes(totalBytes)}` : formatBytes(doneBytes),
    counts: counts.join('  '),
    stored: storedBytes === undefined ? '' : `${formatBytes(storedBytes)} stored`,
    rate: rateBytes === null ? '' : `${formatBytes(rateBytes)}/s`,
    end: leftMs === null || leftMs <= 0 ? elapsed : `${formatDuration(Math.ceil(leftMs / 1000) * 1000)} left`,
  };
}

/** Empty while the end is unknown. */
function percentText({ doneBytes, totalBytes, totalIsGuess }: ProgressState): string {
  if (totalBytes === null || totalBytes <= 0 || (totalIsGuess && doneBytes > totalBytes)) return '';
  return `${Math.floor(Math.min(1, doneBytes / totalBytes) * 100)} %`;
}

function barOf({ doneBytes, totalBytes }: ProgressState, width: number): string {
  const filled = Math.round(Math.min(1, doneBytes / (totalBytes ?? doneBytes)) * width);
  return `[${'#'.repeat(filled)}${'-'.repeat(width - filled)}]`;
}

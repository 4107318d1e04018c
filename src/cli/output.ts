// What a command says on stdout: exactly one JSON document with --json, text and tables without.
import type { Temporal } from 'temporal-polyfill';
import type { CoffreError } from '../errors.ts';
import type { Io } from './io.ts';

/** What a command ends with. It is printed once, by `action`, and nothing else writes to stdout. */
export interface Result {
  /** The document of --json. */
  readonly document: object;
  /** The same for people; no trailing newline needed. Empty prints nothing. */
  readonly text: string;
  /** Something is wrong although there is a result to show (red checks, a degraded snapshot): gives the exit status. */
  readonly failure?: CoffreError;
}

/** Prints a result and sets the exit status. */
export function printResult(io: Io, json: boolean, result: Result): void {
  const { document, text, failure } = result;
  if (json) {
    io.out(`${JSON.stringify(failure ? { ...document, error: errorDocument(failure) } : document, jsonValue, 2)}\n`);
  } else {
    if (text !== '') io.out(text.endsWith('\n') ? text : `${text}\n`);
    if (failure) io.err(errorText(failure));
  }
  io.setExitStatus(failure ? failure.exitStatus : 0);
}

/** Prints an error that left no result and sets the exit status. */
export function printError(io: Io, json: boolean, error: CoffreError): void {
  if (json) io.out(`${JSON.stringify({ error: errorDocument(error) }, jsonValue, 2)}\n`);
  else io.err(errorText(error));
  io.setExitStatus(error.exitStatus);
}

function errorDocument(error: CoffreError): object {
  return { code: error.code, message: error.message, hint: error.hint };
}

function errorText(error: CoffreError): string {
  return `coffre: ${error.message} [${error.code}]\n${error.hint ? `HINT: ${error.hint}\n` : ''}`;
}

/** Counters beyond 2^53 become text; everything else JSON knows (instants print themselves as RFC 3339). */
function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString();
  return value;
}

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** Columns padded to their widest cell, two spaces apart, titles first. Without rows: `empty`. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], empty = 'nothing to show'): string {
  if (rows.length === 0) return empty;
  const shown = rows.map((row) => row.map(printable));
  const widths = columns.map((column, at) => Math.max(column.title.length, ...shown.map((row) => (row[at] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    columns
      .map((column, at) => {
        const cell = cells[at] ?? '';
        const width = widths[at] ?? 0;
        return column.align === 'right' ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return [line(columns.map((column) => column.title)), ...shown.map(line)].join('\n');
}

/** Names come from shops and may hold anything: control characters must not reach a terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

const DECIMAL_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Bytes with a decimal unit and at most one decimal: `0 B`, `999 B`, `1.5 MB`. */
export function formatBytes(bytes: number): string {
  let value = Math.abs(bytes);
  let unit = 0;
  while (value >= 999.95 && unit < DECIMAL_UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const text = unit === 0 ? String(Math.round(value)) : value.toFixed(1);
  return `${bytes < 0 ? '-' : ''}${text} ${DECIMAL_UNITS[unit]}`;
}

/** Milliseconds for people: `350 ms`, `12.3 s`, `4 min 5 s`, `3 h 20 min`, `14 d 2 h`. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1000) return `${Math.max(0, Math.round(durationMs))} ms`;
  if (durationMs < 59_950) return `${(durationMs / 1000).toFixed(1)} s`;
  const pair = (large: number, largeUnit: string, small: number, smallUnit: string): string =>
    small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
  const seconds = Math.round(durationMs / 1000);
  if (seconds < 3600) return pair(Math.floor(seconds / 60), 'min', seconds % 60, 's');
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return pair(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
  const hours = Math.round(minutes / 60);
  return pair(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

/** An instant in the configured zone, to the second, with its offset: `2026-03-29 02:30:00+02:00`. */
export function formatInstant(instant: Temporal.Instant, timezone: string): string {
  return instant.toZonedDateTimeISO(timezone).toString({ smallestUnit: 'second', timeZoneName: 'never' }).replace('T', ' ');
}

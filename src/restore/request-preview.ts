// What a restore request means before anybody approves it: which snapshots, how old, what is lost since, how long, until when. Pure.
import { Temporal } from 'temporal-polyfill';
import * as z from 'zod';
import { isBackup, type SnapshotWithCopies } from '../catalog/snapshots.ts';
import { CoffreError } from '../errors.ts';
import { compilePatterns } from '../source/path-pattern.ts';
import { chooseSnapshot } from './choose.ts';

export const RESTORED_SOURCES = ['database', 'files'] as const;
export type RestoredKind = (typeof RESTORED_SOURCES)[number];

/** RFC 3339, to the nanosecond at most: Temporal knows nothing finer. */
export const instantText = z.iso.datetime({ offset: true }).regex(/^[^.]*(?:\.\d{1,9}[^\d.].*)?$/);
/** What an operator's terminal and mail show as it is: no control character, none that turns the direction of what comes after it. */
export const ONE_LINE = /^[^\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]*$/u;
/** Names and patterns together: the restore unit is told them in one line. */
const MOST_WANTED_BYTES = 48 * 1024;

/** What can be asked for: names and patterns inside the shop, never a place. */
export const wantedSchema = z.strictObject({
  /** As it was then; null: the newest. */
  at: instantText.nullable(),
  /** null: what tables and paths mean, else all that the shop has. */
  sources: z.array(z.enum(RESTORED_SOURCES)).min(1).max(2).nullable(),
  tables: z.array(z.string().regex(/^[^\p{C}/\\`'"]{1,64}$/u)).max(500),
  paths: z.array(z.string().min(1).max(1024)).max(100),
});
export type Wanted = z.output<typeof wantedSchema>;

/** Clocks of two machines may differ by so much. */
const AHEAD_MS = 60_000;

/**
 * Patterns are of paths inside the shop's tree. Throws E_USAGE for one that is absolute, goes up, or is none: such a thing would match
 * nothing, and whoever wrote it meant a place.
 */
export function checkWanted({ paths, tables }: Wanted): void {
  if (Buffer.byteLength(JSON.stringify([paths, tables])) > MOST_WANTED_BYTES) {
    throw new CoffreError('E_USAGE', 'these are more tables and paths than can be asked for at once', {
      hint: 'name a folder, or ask for all',
    });
  }
  for (const path of paths) {
    const isInside = !path.startsWith('/') && !path.split('/').includes('..') && ONE_LINE.test(path);
    if (!isInside) {
      throw new CoffreError('E_USAGE', `${JSON.stringify(path)} is no path inside the shop`, {
        hint: 'from the top of the shop’s tree, without a slash before it: img/p, or config/*.php',
      });
    }
    if (path.replace(/[./]/g, '') === '' && !path.includes('...')) {
      throw new CoffreError('E_USAGE', `${JSON.stringify(path)} names no file of the shop`, {
        hint: 'for all of them: --source files, without --path',
      });
    }
  }
  compilePatterns(paths);
}

/** A time to come has no state of the shop. Throws E_USAGE. `tell`: of an instant, for people. */
export function checkPast(at: Temporal.Instant | null, nowMs: number, tell: (instant: Temporal.Instant) => string): void {
  if (at === null || at.epochMilliseconds <= nowMs + AHEAD_MS) return;
  const now = Temporal.Instant.fromEpochMilliseconds(nowMs);
  throw new CoffreError('E_USAGE', `${tell(at)} is still to come: it is ${tell(now)}`, { hint: 'without a time it is the newest state' });
}

/** A snapshot that is restored, as it is shown. Instants are RFC 3339, sizes bytes, durations milliseconds. */
export interface PreviewedSnapshot {
  readonly id: string;
  readonly source: RestoredKind;
  readonly asOf: string;
  readonly ageMs: number;
  readonly plainBytes: number;
  /** In every vault, and nothing found wrong with it. */
  readonly good: boolean;
  readonly complete: boolean;
  readonly files: number | null;
  readonly tables: number | null;
  readonly rows: number | null;
}

/** Changes to the shop since the snapshot, which a restore undoes. */
export interface PreviewedLoss {
  readonly source: RestoredKind;
  readonly since: string;
  readonly spanMs: number;
  /** Newer snapshots of the source that are not restored. */
  readonly newerSnapshots: number;
  /** Those of them that were taken for safety before a restore in place: by their id alone. */
  readonly newerSafety: number;
}

/** What is known beforehand of tables and paths that are asked for by name. */
export interface PartsKnown {
  /** Of these nobody can say before the restore whether they are in the snapshot: coffre has no index of its own that says it. */
  readonly unknown: readonly string[];
  /** Tables whose rows were left out when the snapshot was taken: a restore leaves them empty. */
  readonly emptied: readonly string[];
}

export interface RequestPreview extends PartsKnown {
  readonly shop: string;
  readonly at: string | null;
  readonly tables: readonly string[];
  readonly paths: readonly string[];
  readonly snapshots: readonly PreviewedSnapshot[];
  /** Between the database's and the files' instants: orders may name images that are not there, or the other way round. null: one source. */
  readonly gapMs: number | null;
  readonly lost: readonly PreviewedLoss[];
  /** How long it takes, whole sources counted; null: nothing like it was ever measured. */
  readonly estimate: { readonly expectedMs: number; readonly lowMs: number; readonly highMs: number } | null;
}

interface PreviewFacts {
  readonly shop: string;
  /** What the shop declares of these. */
  readonly declared: readonly RestoredKind[];
  /** Of this shop, any order. */
  readonly snapshots: readonly SnapshotWithCopies[];
  readonly nowMs: number;
  readonly tell: (instant: Temporal.Instant) => string;
}

/** What is asked for: tables mean the database, paths the files; else whatever the shop has. Throws E_USAGE. */
export function wantedSources({ paths, sources, tables }: Wanted, declared: readonly RestoredKind[]): RestoredKind[] {
  const meant: RestoredKind[] = [];
  if (tables.length > 0) meant.push('database');
  if (paths.length > 0) meant.push('files');
  const chosen = sources ?? (meant.length > 0 ? meant : declared);
  for (const source of meant) {
    if (!chosen.includes(source))
      throw new CoffreError('E_USAGE', `${source === 'database' ? 'tables' : 'paths'} are of ${source}, which is not to be restored`);
  }
  for (const source of chosen) {
    if (!declared.includes(source)) throw new CoffreError('E_USAGE', `the shop has no ${source}`);
  }
  if (chosen.length === 0) throw new CoffreError('E_USAGE', 'the shop has neither a database nor files');
  return RESTORED_SOURCES.filter((source) => chosen.includes(source));
}

/** How long it takes, and whether what is named is there, is not in it. `chosen`: the snapshots themselves. Throws E_UNKNOWN_SNAPSHOT, saying what there is instead; E_USAGE. */
export function previewRequest(
  wanted: Wanted,
  facts: PreviewFacts,
): { readonly preview: Omit<RequestPreview, 'estimate' | keyof PartsKnown>; readonly chosen: readonly SnapshotWithCopies[] } {
  checkWanted(wanted);
  const { declared, nowMs, shop, tell } = facts;
  const at = wanted.at === null ? null : Temporal.Instant.from(wanted.at);
  checkPast(at, nowMs, tell);
  const chosen = wantedSources(wanted, declared).map((source) => chooseSnapshot(facts.snapshots, { shop, source, at, from: null, tell }));
  const [database, files] = RESTORED_SOURCES.map((source) => chosen.find((one) => one.source === source));
  const preview = {
    ...{ shop, at: at?.toString() ?? null, tables: wanted.tables, paths: wanted.paths },
    snapshots: chosen.map((one) => previewed(one, nowMs)),
    gapMs: database && files ? Math.abs(database.asOf - files.asOf) : null,
    lost: chosen.map(({ asOf, source }) => {
      const newer = facts.snapshots.filter((other) => other.source === source && other.asOf > asOf);
      return {
        ...{ source: source as RestoredKind, since: text(asOf), spanMs: Math.max(0, nowMs - asOf) },
        ...{ newerSnapshots: newer.length, newerSafety: newer.filter((other) => !isBackup(other)).length },
      };
    }),
  };
  return { preview, chosen };
}

function previewed({ asOf, complete, counts, good, id, plainBytes, source }: SnapshotWithCopies, nowMs: number): PreviewedSnapshot {
  const { files = null, rows = null, tables = null } = JSON.parse(counts) as { files?: number; rows?: number; tables?: number };
  return {
    ...{ id, source: source as RestoredKind, asOf: text(asOf), ageMs: Math.max(0, nowMs - asOf), plainBytes },
    ...{ good, complete: complete === 1, files, tables, rows },
  };
}

const text = (atMs: number): string => Temporal.Instant.fromEpochMilliseconds(atMs).toString();

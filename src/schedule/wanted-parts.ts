// Whether snapshots hold the tables and files that are asked for, by the daemon's own copies of their indexes: a request for what is not there is refused at once.
import { existsSync } from 'node:fs';
import { Temporal } from 'temporal-polyfill';
import { indexCopyPath } from '../backup/state-files.ts';
import type { SnapshotWithCopies } from '../catalog/snapshots.ts';
import type { Clock } from '../clock.ts';
import { nearestName } from '../config/problems.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { compilePaths } from '../restore/paths.ts';
import type { PartsKnown, Wanted } from '../restore/request-preview.ts';
import { readIndex, readIndexLines } from '../segment/index-file.ts';
import { type BytePath, isFileEntry, type Warning } from '../source/source.ts';

export interface PartsDeps {
  readonly stateDir: string;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly tell: (instant: Temporal.Instant) => string;
}

/** Enough for a million files; an owner may ask again and again, and the daemon has other things to do. */
const LOOK_MS = 3_000;
const MOST_NAMED = 10;
/** No tree of a shop goes deeper. */
const MOST_NAMES = 32;
const WILD = /[*?\\]/;

/** Throws E_USAGE for what is not in them, with the nearest name that is. */
export async function lookForParts(
  deps: PartsDeps,
  chosen: readonly SnapshotWithCopies[],
  { paths, tables }: Pick<Wanted, 'paths' | 'tables'>,
): Promise<PartsKnown> {
  const of = (source: 'database' | 'files') => chosen.find((one) => one.source === source);
  const [database, files] = [of('database'), of('files')];
  const told: PartsKnown = database && tables.length > 0 ? await lookForTables(deps, database, tables) : { unknown: [], emptied: [] };
  const unknown = files && paths.length > 0 ? await lookForFiles(deps, files, paths) : [];
  return { unknown: [...told.unknown, ...unknown], emptied: told.emptied };
}

/** Tables of a database's snapshot, as far as the copy of its index says. */
export interface KnownTables {
  readonly names: ReadonlySet<string>;
  /** Whose rows were left out. */
  readonly withoutRows: ReadonlySet<string>;
  /** false: there may be more. */
  readonly all: boolean;
}

export async function knownTables(deps: Pick<PartsDeps, 'stateDir'>, snapshot: SnapshotWithCopies): Promise<KnownTables> {
  const warnings = JSON.parse(snapshot.warnings) as Warning[];
  const withoutRows = new Set(warnings.filter(({ kind }) => kind === 'skipped').map(({ where }) => where));
  const names = new Set(withoutRows);
  const isRead = await reading(deps, snapshot, async (file) => {
    for await (const entry of readIndex(file)) if (!isFileEntry(entry)) for (const table of Object.keys(entry.rows)) names.add(table);
    return true;
  });
  // a table that is a definition alone (of the engine MERGE, say) stands in no index
  const { tables } = JSON.parse(snapshot.counts) as { readonly tables?: number };
  return { names, withoutRows, all: isRead && tables !== undefined && names.size >= tables };
}

async function lookForTables(deps: PartsDeps, snapshot: SnapshotWithCopies, wanted: readonly string[]): Promise<PartsKnown> {
  const { all, names: known, withoutRows } = await knownTables(deps, snapshot);
  const names = [...new Set(wanted)];
  const emptied = names.filter((name) => withoutRows.has(name));
  const missing = names.filter((name) => !known.has(name));
  if (!all) return { unknown: missing, emptied };
  if (missing.length > 0) throw absent(deps, snapshot, missing, (name) => nearestName(name, known), [...known].sort());
  return { unknown: [], emptied };
}

/** What it could not find out. */
async function lookForFiles(deps: PartsDeps, snapshot: SnapshotWithCopies, wanted: readonly string[]): Promise<readonly string[]> {
  const searches = [...new Set(wanted)].map((pattern) => new PathSearch(pattern));
  const folders = new Folders(searches);
  let open = searches;
  const isRead = await reading(deps, snapshot, async (file) => {
    const endMs = deps.clock.monotonicMs() + LOOK_MS;
    for await (const entries of readIndexLines(file)) {
      for (const entry of entries) {
        if (!isFileEntry(entry)) continue;
        for (const search of open) search.look(entry.path);
        folders.look(entry.path);
      }
      open = open.filter(({ found }) => !found);
      if (open.length === 0) return true;
      if (deps.clock.monotonicMs() > endMs) return false;
    }
    return true;
  });
  if (!isRead) return open.map(({ pattern }) => pattern);
  if (open.length === 0) return [];
  const near = new Map(open.map((search) => [search.pattern, folders.near(search)]));
  throw absent(deps, snapshot, [...near.keys()], (pattern) => near.get(pattern) ?? null, folders.top());
}

/** False where the copy is not there, or is no index: a restore reads that of a vault. */
async function reading(
  deps: Pick<PartsDeps, 'stateDir'>,
  { id, shop }: SnapshotWithCopies,
  read: (file: string) => Promise<boolean>,
): Promise<boolean> {
  const file = indexCopyPath(deps.stateDir, shop, id);
  if (!existsSync(file)) return false;
  try {
    return await read(file);
  } catch (error) {
    const { code } = asCoffreError(error);
    if (code === 'E_FORMAT' || code === 'E_STATE') return false;
    throw error;
  }
}

function absent(
  { tell }: PartsDeps,
  { asOf, source }: SnapshotWithCopies,
  missing: readonly string[],
  nearest: (name: string) => string | null,
  there: readonly string[],
): CoffreError {
  const near = missing.flatMap((name) => nearest(name) ?? []);
  const more = there.length > MOST_NAMED ? `, and ${there.length - MOST_NAMED} more` : '';
  const named = missing.slice(0, MOST_NAMED).map((name) => JSON.stringify(name));
  const [of, has] = source === 'database' ? ['database', 'has no table'] : ['files', 'have nothing that matches'];
  return new CoffreError(
    'E_USAGE',
    `the ${of} as of ${tell(Temporal.Instant.fromEpochMilliseconds(asOf))} ${has} ${named.join(', ')}${missing.length > MOST_NAMED ? ', …' : ''}`,
    {
      hint:
        near.length > 0
          ? `did you mean ${near.join(', ')}?`
          : there.length > 0
            ? `there are ${there.slice(0, MOST_NAMED).join(', ')}${more}`
            : 'names are as in the shop itself',
    },
  );
}

const bytesOf = (text: string): BytePath => Buffer.from(text, 'utf8').toString('latin1');
const textOf = (path: BytePath): string => Buffer.from(path, 'latin1').toString('utf8');

/** One pattern that is looked for. */
class PathSearch {
  readonly pattern: string;
  /** The names that it begins with, as bytes, to the first with a star: what a mistyped one is compared with. */
  readonly names: readonly string[];
  readonly #matches: (path: BytePath) => boolean;
  found = false;

  constructor(pattern: string) {
    this.pattern = pattern;
    const plain = pattern.replace(/^(?:\.?\/)+/, '').replace(/\/+$/, '');
    const names = plain.split(/\/+/);
    const wild = names.findIndex((name) => WILD.test(name));
    this.names = names.slice(0, wild < 0 ? MOST_NAMES : Math.min(wild, MOST_NAMES)).map(bytesOf);
    this.#matches = wild < 0 && names.length > 1 ? isAtOrBelow(names.map(bytesOf).join('/')) : (compilePaths([pattern]) ?? (() => true));
  }

  look(path: BytePath): void {
    this.found ||= this.#matches(path);
  }
}

/** Most patterns are plain paths, and an index has a million of them. */
const isAtOrBelow =
  (folder: BytePath) =>
  (path: BytePath): boolean =>
    path.startsWith(folder) && (path.length === folder.length || path[folder.length] === '/');

/** Names in the folders that the patterns go through. */
class Folders {
  /** By the folder's path; the root's is empty. */
  readonly #names = new Map<BytePath, Set<string>>();

  constructor(searches: readonly PathSearch[]) {
    this.#names.set('', new Set());
    for (const { names } of searches)
      for (let depth = 1; depth < names.length; depth++) this.#names.set(names.slice(0, depth).join('/'), new Set());
  }

  look(path: BytePath): void {
    const cut = path.lastIndexOf('/');
    const names = this.#names.get(cut < 0 ? '' : path.slice(0, cut));
    if (names !== undefined && names.size < MOST_CANDIDATES && path !== '.') names.add(path.slice(cut + 1));
  }

  /** The path as far as it is there, with the name nearest to the first that is not. */
  near({ names }: PathSearch): string | null {
    for (const [depth, name] of names.entries()) {
      const folder = names.slice(0, depth).join('/');
      const there = this.#names.get(folder) ?? new Set();
      if (there.has(name)) continue;
      const nearest = nearestName(textOf(name), Array.from(there, textOf));
      return nearest === null || depth === 0 ? nearest : `${textOf(folder)}/${nearest}`;
    }
    return null;
  }

  top(): string[] {
    return [...(this.#names.get('') ?? [])].sort().map(textOf);
  }
}

/** Of one folder: what is beyond is no help to whoever mistyped a name. */
const MOST_CANDIDATES = 10_000;

// The database half of `coffre restore`: which tables go where, what of the present is overwritten, and how that is told.
import type { HostConfig, ShopConfig } from '../../config/config.ts';
import { CoffreError } from '../../errors.ts';
import type { RestoredSource } from '../../restore/execute.ts';
import type { DatabaseContents } from '../../target/target.ts';
import type { LandingDatabase, RestoreAdapters } from '../adapters.ts';
import { formatBytes } from '../output.ts';

export interface DatabaseOptions {
  readonly toDatabase?: string;
  readonly toDir?: string;
  readonly passwordFile?: string;
  readonly overwrite?: boolean;
  readonly keepOld?: boolean;
  readonly definers?: string;
  readonly table: readonly string[];
  /** --to-host: the machine from which the URL is meant is the shop's. */
  readonly toHost?: boolean;
}

/** A restored source, and what became of what was there. */
export interface RestoredHere extends RestoredSource {
  /** A database held something, which was replaced. */
  readonly overwrote?: boolean;
  /** The tables asked for by name; null: all. */
  readonly chosen?: readonly string[] | null;
  readonly keptOld?: string | null;
  /** Tables, or files, that an interrupted restore had finished before. */
  readonly resumed?: number;
  /** Files, of a tree; `deleted` counts directories too. */
  readonly written?: number;
  readonly unchanged?: number;
  /** What was there already was taken as right by its size and time; false: its content was read. */
  readonly bySizeAndTime?: boolean;
  /** Something could not be read when the snapshot was taken. */
  readonly incomplete?: boolean;
  readonly deleted?: number;
  readonly warnings?: readonly string[];
}

/** Throws E_USAGE for options that have nothing to act on. */
export function checkDatabaseOptions(options: DatabaseOptions): void {
  const given: readonly (readonly [string, boolean])[] = [
    ['--table', options.table.length > 0],
    ['--overwrite', options.overwrite === true && options.toDir === undefined],
    // a tree on a host is swapped as a database is
    ['--keep-old', options.keepOld === true && !(options.toHost && options.toDir !== undefined)],
    ['--definers', options.definers !== undefined],
    ['--password-file', options.passwordFile !== undefined],
  ];
  const idle = given.find(([, present]) => present && options.toDatabase === undefined);
  if (idle) {
    const also = idle[0] === '--keep-old' ? ', or --to-dir with --to-host' : '';
    throw new CoffreError('E_USAGE', `${idle[0]} is about a database: it needs --to-database${also}`);
  }
  if (options.keepOld && !options.overwrite)
    throw new CoffreError('E_USAGE', '--keep-old needs --overwrite: nothing else replaces anything');
}

/** The machine that a restore writes to. Throws E_USAGE. */
export function targetHost(shop: ShopConfig, options: Pick<DatabaseOptions, 'toHost'>): HostConfig {
  if (!options.toHost) return { type: 'local' };
  if (shop.host.type !== 'ssh') throw new CoffreError('E_USAGE', `--to-host: shop ${shop.name} has no SSH host, it lives on this machine`);
  return shop.host;
}

/** Connects to nothing yet. The caller closes it. Throws E_USAGE, E_SECRET_…. */
export function openTarget(
  adapters: RestoreAdapters,
  shop: ShopConfig,
  url: string,
  options: DatabaseOptions,
  warnings: string[],
): Promise<LandingDatabase> {
  return adapters.openDatabaseTarget(url, {
    host: targetHost(shop, options),
    overwrite: options.overwrite === true,
    keepOld: options.keepOld === true,
    definers: options.definers ?? null,
    passwordFile: options.passwordFile ?? null,
    onWarning: (message) => warnings.push(message),
  });
}

export function landed(
  restored: RestoredSource,
  target: LandingDatabase,
  options: DatabaseOptions,
  warnings: readonly string[],
): RestoredHere {
  const { overwrote, keptOld, resumedTables } = target.landing;
  return {
    ...restored,
    overwrote,
    chosen: options.table.length > 0 ? [...new Set(options.table)] : null,
    keptOld,
    resumed: resumedTables,
    warnings,
  };
}

/** Lines for people, after the table of what was restored. */
export function describeLanding(one: RestoredHere): string[] {
  const lines: string[] = [];
  if (one.resumed && one.tables !== undefined)
    lines.push(`taken up: ${one.resumed} ${one.resumed === 1 ? 'table' : 'tables'} that an interrupted restore had finished`);
  if (one.overwrote) {
    const what = one.chosen ? `table ${one.chosen.join(', ')}` : 'the database';
    lines.push(`overwritten: ${what}; ${one.keptOld ? `what was there is kept in the database ${one.keptOld}` : 'what was there is gone'}`);
  }
  for (const warning of one.warnings ?? []) lines.push(`note: ${warning}`);
  return lines;
}

/** What a restore would do to the database as it is now. */
export interface Overwriting {
  readonly database: string | null;
  readonly exists: boolean;
  /** false: the restore would be refused. */
  readonly allowed: boolean;
  /** Tables whose rows would be replaced or removed, the server's estimates. */
  readonly tables: number;
  readonly rows: number;
  readonly bytes: number;
  readonly programs: number;
}

/** Asks the server; touches nothing. Throws E_DB_…. */
export async function describeOverwriting(
  adapters: RestoreAdapters,
  shop: ShopConfig,
  url: string,
  options: DatabaseOptions,
): Promise<Overwriting> {
  const contents = await adapters
    .describeDatabase(url, { host: targetHost(shop, options), passwordFile: options.passwordFile ?? null })
    .catch((error: unknown) => {
      // the table's hint is of a shop's own user
      if (!(error instanceof CoffreError) || error.code !== 'E_DB_AUTH') throw error;
      throw new CoffreError(error.code, error.message, {
        cause: error,
        hint: 'check the user in --to-database, and its password in --password-file or $COFFRE_DB_PASSWORD; root often comes in by socketPath only',
      });
    });
  return overwriting(contents, options);
}

/** Pure, for tests. */
export function overwriting(contents: DatabaseContents | null, options: Pick<DatabaseOptions, 'table' | 'overwrite'>): Overwriting {
  if (!contents) return { database: null, exists: false, allowed: true, tables: 0, rows: 0, bytes: 0, programs: 0 };
  const all = options.table.length === 0;
  const replaced = contents.tables.filter(({ table }) => all || options.table.includes(table));
  const programs = all ? contents.views + contents.routines + contents.triggers + contents.events : 0;
  return {
    database: contents.database,
    exists: true,
    allowed: options.overwrite === true || (replaced.length === 0 && programs === 0),
    tables: replaced.length,
    rows: replaced.reduce((sum, { rows }) => sum + rows, 0),
    bytes: replaced.reduce((sum, { bytes }) => sum + bytes, 0),
    programs,
  };
}

export function describeOverwritingText({ database, exists, allowed, tables, rows, bytes, programs }: Overwriting): string {
  if (!exists) return 'the database does not exist yet: it would be made and loaded';
  if (tables === 0 && programs === 0) return `nothing in ${database} would be overwritten`;
  const named = programs > 0 ? `, ${programs} views, routines, triggers and events` : '';
  const what = `${tables} ${tables === 1 ? 'table' : 'tables'} of ${database} (about ${rows} rows, ${formatBytes(bytes)})${named}`;
  return allowed ? `would overwrite ${what}` : `would be refused without --overwrite; with it would overwrite ${what}`;
}

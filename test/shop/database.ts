// Makes a PrestaShop-shaped database: about 300 tables with their real names, rows from a seed, and what modules leave beside tables.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Random } from './random.ts';
import type { RowMaker, Value } from './row-maker.ts';
import { ROW_MAKERS } from './rows.ts';
import { smallTables } from './small-tables.ts';

/** Where the shop's server listens; the user needs no password there and may do everything. */
export interface ShopServer {
  readonly socketPath: string;
  readonly rootUser: string;
}

export interface ShopDatabaseOptions {
  /** Name of the database; made, and it must not exist. */
  readonly name: string;
  readonly seed: string;
  /** Size of its dump as SQL text, roughly; at least 2. */
  readonly databaseMB: number;
  /** Other rows for the main tables that it names (a benchmark's large ones). Default: none. */
  readonly instead?: readonly RowMaker[];
}

export interface ShopDatabase extends ShopDatabaseOptions {
  readonly tables: number;
  readonly rows: number;
}

const SCHEMA = new URL('schema.sql', import.meta.url);
const PROGRAMS = new URL('programs.sql', import.meta.url);
/** Names of the tables of schema.sql, in its order. */
const mainTables = (schema: string): string[] => [...schema.matchAll(/^CREATE TABLE (\S+)/gm)].map((match) => match[1] ?? '');

/** Text loads in this session as it was made, whatever the server's defaults. */
const SESSION =
  "SET NAMES utf8mb4; SET time_zone = '+00:00'; SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'; SET unique_checks = 0; SET foreign_key_checks = 0;";

/** Makes and fills it. Equal options give equal databases. */
export async function createShopDatabase(server: ShopServer, options: ShopDatabaseOptions): Promise<ShopDatabase> {
  const schema = readFileSync(SCHEMA, 'utf8');
  const main = mainTables(schema);
  const small = smallTables(new Set(main));
  await runSql(server, `CREATE DATABASE \`${options.name}\` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;`);
  await runSql(server, `${SESSION}\n${schema}\n${small.map((table) => table.ddl).join('\n')}`, options.name);

  let rows = 0;
  const work: (() => Promise<unknown>)[] = [];
  const inserts: string[] = [SESSION];
  for (const table of small) {
    const random = new Random(`${options.seed}/${table.name}`);
    const n = random.int(0, 60);
    rows += n;
    const values = Array.from({ length: n }, (_, i) => `(${table.row(random, i + 1).join(',')})`);
    if (n > 0)
      inserts.push(`INSERT INTO ${table.name} (${table.columns.map((name) => `\`${name}\``).join(',')}) VALUES\n${values.join(',\n')};`);
  }
  work.push(() => runSql(server, inserts.join('\n'), options.name));
  const instead = new Map(options.instead?.map((maker) => [maker.table, maker]));
  const makers = ROW_MAKERS.map((maker) => instead.get(maker.table) ?? maker);
  for (const maker of makers) {
    rows += maker.rows(options.databaseMB);
    work.push(() => load(server, options, maker));
  }
  // the largest first, two at a time: the machine that tests run on has two cores
  const size = new Map(makers.map((maker, i) => [work[i + 1], maker.rows(options.databaseMB)]));
  work.sort((a, b) => (size.get(b) ?? 0) - (size.get(a) ?? 0));
  await Promise.all(
    [0, 1].map(async () => {
      for (let next = work.shift(); next; next = work.shift()) await next();
    }),
  );
  await runSql(server, `SET NAMES utf8mb4;\n${readFileSync(PROGRAMS, 'utf8')}`, options.name);
  return { ...options, tables: main.length + small.length, rows };
}

/** Runs statements with the `mariadb` client and returns what it prints (tab-separated, no header). */
export function runSql(server: ShopServer, sql: string, database?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      'mariadb',
      [...clientFlags(server), '--batch', '--skip-column-names', ...(database ? [database] : [])],
      { maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => (error ? reject(new Error(`mariadb: ${stderr.trim() || error.message}`)) : resolve(stdout)),
    );
    child.stdin?.on('error', () => {});
    child.stdin?.end(sql);
  });
}

function clientFlags(server: ShopServer): string[] {
  return ['--no-defaults', `--socket=${server.socketPath}`, `--user=${server.rootUser}`, '--default-character-set=utf8mb4'];
}

async function load(server: ShopServer, { name, seed, databaseMB }: ShopDatabaseOptions, maker: RowMaker): Promise<void> {
  const hex = new Set(maker.hex);
  const columns = maker.columns.map((column) => (hex.has(column) ? `@\`${column}\`` : `\`${column}\``)).join(',');
  const set = maker.hex ? ` SET ${maker.hex.map((column) => `\`${column}\` = UNHEX(@\`${column}\`)`).join(', ')}` : '';
  const statement = `${SESSION} LOAD DATA LOCAL INFILE '/dev/stdin' INTO TABLE ${maker.table} CHARACTER SET utf8mb4 (${columns})${set}; SHOW WARNINGS;`;
  // a child's stdin is a socket here, which cannot be opened again by its name /dev/stdin: cat makes it a pipe
  const child = spawn(
    'sh',
    ['-c', 'cat | mariadb "$@"', 'sh', ...clientFlags(server), '--local-infile=1', '--batch', `--execute=${statement}`, name],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  );
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = once(child, 'close');
  const random = new Random(`${seed}/${maker.table}`);
  const feeding = pipeline(Readable.from(tsv(maker, random, databaseMB)), child.stdin).catch(() => {});
  const [status] = (await ended) as [number | null];
  await feeding;
  if (status !== 0 || said.trim() !== '') throw new Error(`loading ${maker.table}: ${said.trim().slice(0, 500) || `status ${status}`}`);
}

/** The rows as LOAD DATA reads them, in pieces of some hundred kilobytes. */
function* tsv(maker: RowMaker, random: Random, databaseMB: number): Iterable<Buffer> {
  const rows = maker.rows(databaseMB);
  let text = '';
  for (let n = 1; n <= rows; n++) {
    const row = maker.make(random, n, databaseMB);
    for (let i = 0; i < row.length; i++) text += (i === 0 ? '' : '\t') + tsvValue(row[i] ?? null);
    text += '\n';
    if (text.length > 256 * 1024) {
      yield Buffer.from(text);
      text = '';
    }
  }
  if (text !== '') yield Buffer.from(text);
}

function tsvValue(value: Value): string {
  if (value === null) return '\\N';
  if (typeof value === 'number') return String(value);
  return /[\\\t\n\0]/.test(value)
    ? value.replace(/[\\\t\n]/g, (char) => (char === '\t' ? '\\t' : char === '\n' ? '\\n' : '\\\\')).replaceAll('\0', '\\0')
    : value;
}

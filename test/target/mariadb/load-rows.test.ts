// A segment whose rows are not exactly those of the manifest is refused, and leaves nothing behind.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CoffreError } from '../../../src/errors.ts';
import type { MariadbTarget } from '../../../src/target/mariadb/database.ts';
import { buildLoadStatement } from '../../../src/target/mariadb/load-statement.ts';
import { incoming, makeTarget } from '../../source/mariadb/dumped.ts';
import { type DatabaseServer, freshDatabase, startDatabaseServer } from '../../source/mariadb/server.ts';

let server: DatabaseServer;
let target: MariadbTarget;
const never = new AbortController().signal;

beforeAll(async () => {
  server = await startDatabaseServer();
});
afterAll(() => server.stop());

const columns = [
  { name: 'id', form: 'text' },
  { name: 'raw', form: 'hex' },
  { name: 'name', form: 'text' },
] as const;
const statement = (table: string): string => buildLoadStatement({ table, columns });
const GOOD = '1\t00FF\tone\n2\t\\N\ttwo\n3\t\tthree\n';

beforeEach(async () => {
  await freshDatabase(server, 'loaded');
  target = makeTarget(server.where, 'loaded');
  await target.prepare();
  for (const [table, engine] of [
    ['t', 'InnoDB'],
    ['m', 'MyISAM'],
  ]) {
    await server.sql(`CREATE TABLE ${table} (id int PRIMARY KEY, name varchar(5) NOT NULL, raw varbinary(4)) ENGINE=${engine}`, 'loaded');
  }
  return () => target.close();
});

async function load(text: string, rows: number, table = 't'): Promise<CoffreError | null> {
  const segment = incoming({ name: 'test', phase: 'rows', bytes: Buffer.from(text) }, 5);
  try {
    await target.loadRows(segment, { table, statement: statement(table), rows }, never);
    return null;
  } catch (error) {
    if (error instanceof CoffreError) return error;
    throw error;
  }
}

const count = async (table = 't'): Promise<string> => (await server.sql(`SELECT COUNT(*) FROM ${table}`, 'loaded')).trim();

const FIRST = '1\t00FF\tone\n';
const THIRD = '3\t\tthree\n';
const altered: readonly (readonly [string, string, number])[] = [
  ['a row twice', `${GOOD}2\t\\N\ttwo\n`, 4],
  ['a row twice instead of another', `${FIRST}2\t\\N\ttwo\n2\t\\N\ttwo\n`, 3],
  ['a row less', `${FIRST}${THIRD}`, 3],
  ['a row more', `${GOOD}4\t\tfour\n`, 3],
  ['the last row cut short within a value', `${FIRST}2\t\\N\ttwo\n3\t\tth`, 3],
  ['the last row cut short between values', `${FIRST}2\t\\N\ttwo\n3`, 3],
  ['a row without its last field', `${FIRST}2\t\\N\n${THIRD}`, 3],
  ['a row of one field', `${FIRST}2\n${THIRD}`, 3],
  ['an empty row', `${FIRST}\n${THIRD}`, 3],
  ['a field too many', `${FIRST}2\t\\N\ttwo\textra\n${THIRD}`, 3],
  ['text too long for its column', `${FIRST}2\t\\N\ttoolong\n${THIRD}`, 3],
  ['text where a number belongs', `${FIRST}x\t\\N\ttwo\n${THIRD}`, 3],
  ['a number out of range', `${FIRST}99999999999\t\\N\ttwo\n${THIRD}`, 3],
  ['NULL where none may be', `${FIRST}2\t\\N\t\\N\n${THIRD}`, 3],
  ['bytes too long for their column', `${FIRST}2\tAABBCCDDEE\ttwo\n${THIRD}`, 3],
  ['bytes that are not hexadecimal', `${FIRST}2\tAG\ttwo\n${THIRD}`, 3],
  ['no rows', '', 3],
];

describe.each(['LOAD DATA', 'INSERTs'])('by %s', (way) => {
  beforeEach(async () => {
    await server.sql(`SET GLOBAL local_infile=${way === 'LOAD DATA' ? 1 : 0}`);
  });

  test('exactly the rows of the manifest: loaded', async () => {
    expect(await load(GOOD, 3)).toBeNull();
    expect(await server.sql('SELECT id, name, HEX(raw) FROM t ORDER BY id', 'loaded')).toBe('1\tone\t00FF\n2\ttwo\tNULL\n3\tthree\t\n');
  });

  test.each(altered)('%s: refused with table and counts, nothing kept', async (_, text, rows) => {
    const error = await load(text, rows);
    expect(error?.code).toBe('E_LOAD_MISMATCH');
    expect(error?.message).toMatch(/\bt\b/);
    expect(await count()).toBe('0');
    // The target goes on with the next segment.
    expect(await load(GOOD, 3)).toBeNull();
  });

  test('a row of an earlier segment: refused, and the earlier rows stay', async () => {
    expect(await load(GOOD, 3)).toBeNull();
    expect((await load('4\t\tfour\n1\t\tagain\n', 2))?.code).toBe('E_LOAD_MISMATCH');
    expect(await server.sql('SELECT GROUP_CONCAT(id, name ORDER BY id) FROM t', 'loaded')).toBe('1one,2two,3three\n');
  });

  test('a table without transactions: emptied after a refused load', async () => {
    expect((await load(`${GOOD}3\t\tagain\n`, 4, 'm'))?.code).toBe('E_LOAD_MISMATCH');
    expect(await count('m')).toBe('0');
  });

  test('plaintext that ends with an error: its error comes out, nothing is committed', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(GOOD);
      throw new CoffreError('E_OBJECT_ALTERED', 'not what the manifest says');
    }
    const segment = { id: 'x', phase: 'rows', plaintext: broken(), unverified: true } as const;
    const failed = target.loadRows(segment, { table: 't', statement: statement('t'), rows: 3 }, never);
    await expect(failed).rejects.toMatchObject({ code: 'E_OBJECT_ALTERED' });
    expect(await count()).toBe('0');
    expect(await load(GOOD, 3)).toBeNull();
  });

  test('an abort in the middle: its reason comes out, nothing is committed', async () => {
    const controller = new AbortController();
    const reason = new CoffreError('E_INTERRUPTED', 'stopped');
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(GOOD);
      controller.abort(reason);
      yield Buffer.from('4\t\tfour\n');
    }
    const segment = { id: 'x', phase: 'rows', plaintext: endless(), unverified: false } as const;
    const failed = target.loadRows(segment, { table: 't', statement: statement('t'), rows: 4 }, controller.signal);
    await expect(failed).rejects.toBe(reason);
    expect(await count()).toBe('0');
    expect(await load(GOOD, 3)).toBeNull();
  });
});

test('a refused load says what the server warned of, without the shop’s data', async () => {
  await server.sql('SET GLOBAL local_infile=1');
  const error = await load('1\t00FF\tone\n2\t\tsecret-value\n', 2);
  expect(error?.message).toContain('2 rows expected, 2 read');
  expect(error?.message).toContain("column 'name'");
  const duplicate = await load('1\t\ta\n1\t\tb\n', 2);
  expect(duplicate?.message).toMatch(/1 skipped.*Duplicate entry '…' for key 'PRIMARY'/);
  const number = await load("x'y\\\\'z\t\ta\n", 1);
  expect(number?.message).not.toContain('z');
});

test('a statement that coffre did not write is not executed', async () => {
  for (const foreign of ['DROP TABLE t', `${statement('t')}; DROP TABLE t`, statement('t').replace('/dev/stdin', '/etc/passwd')]) {
    const segment = incoming({ name: 'test', phase: 'rows', bytes: Buffer.from(GOOD) });
    await expect(target.loadRows(segment, { table: 't', statement: foreign, rows: 3 }, never)).rejects.toMatchObject({ code: 'E_FORMAT' });
  }
  expect(await count()).toBe('0');
});

test('a geometry that is never null: every row, by INSERTs where the server refuses it LOAD DATA', async () => {
  await server.sql('CREATE TABLE g (id int PRIMARY KEY, raw geometry NOT NULL, name varchar(5))', 'loaded');
  const point = '000000000101000000000000000000F03F0000000000000040';
  expect(await load(`1\t${point}\tone\n2\t${point}\ttwo\n`, 2, 'g')).toBeNull();
  expect(await server.sql('SELECT id, ST_X(raw), ST_Y(raw), name FROM g ORDER BY id', 'loaded')).toBe('1\t1\t2\tone\n2\t1\t2\ttwo\n');
  expect(await load(`3\t${point}\tthree\n4\t${point}`, 2, 'g')).toMatchObject({ code: 'E_LOAD_MISMATCH' });
  expect(await count('g')).toBe('2');
});

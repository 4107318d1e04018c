// Single tables over a database that goes on: those are swapped, all else stays as it was to the last bit.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Dumped } from '../../source/mariadb/dumped.ts';
import { type DatabaseServer, startDatabaseServer } from '../../source/mariadb/server.ts';
import { beginAnew, beside, failureOf, look, makeNew, makeSwap, restoreInto } from './swap-setting.ts';

let server: DatabaseServer;
let dumped: Dumped;

beforeAll(async () => {
  server = await startDatabaseServer();
  dumped = await makeNew(server, 'newer');
}, 60_000);
afterAll(() => server.stop());
beforeEach(() => beginAnew(server));

/** Each table: its definition, its checksum with history, its triggers. And under `*` the programs. */
async function sections(name: string): Promise<Map<string, string>> {
  const names = (
    await server.sql(
      `SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA='${name}' AND TABLE_TYPE IN ('BASE TABLE','SYSTEM VERSIONED')`,
    )
  )
    .trim()
    .split('\n');
  const found = new Map<string, string>();
  for (const table of names) {
    const text = await server.sql(
      `SHOW CREATE TABLE \`${table}\`; CHECKSUM TABLE \`${table}\`; SELECT * FROM \`${table}\` ORDER BY 1;
       SELECT TRIGGER_NAME, ACTION_TIMING, EVENT_MANIPULATION, ACTION_STATEMENT, SQL_MODE, DEFINER FROM information_schema.TRIGGERS
       WHERE TRIGGER_SCHEMA='${name}' AND EVENT_OBJECT_TABLE='${table}' ORDER BY 1`,
      name,
    );
    found.set(table, text.replaceAll(`${name}.`, '').replaceAll(`\`${name}\`.`, ''));
  }
  const programs = await server.sql(
    `SELECT ROUTINE_NAME, ROUTINE_DEFINITION FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA='${name}' ORDER BY 1;
     SELECT TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA='${name}' ORDER BY 1;
     SELECT EVENT_NAME, STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA='${name}' ORDER BY 1; SELECT * FROM seq`,
    name,
  );
  return found.set('*', programs);
}

async function expectOthersUntouched(before: Map<string, string>, tables: readonly string[]): Promise<void> {
  const after = await sections('shop');
  for (const [table, text] of before) if (!tables.includes(table)) expect(after.get(table), table).toBe(text);
  expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
}

test('a table that others refer to: swapped; their foreign keys lead to the new one; nothing else changes', async () => {
  const before = await sections('shop');
  const wanted = await sections('newer');
  const programsBefore = await server.sql(
    "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA='shop' AND EVENT_OBJECT_TABLE<>'parent' ORDER BY 1",
  );
  const warnings: string[] = [];
  await restoreInto(makeSwap(server.where, 'shop', { onWarning: (text) => warnings.push(text) }), dumped, { tables: ['parent'] });
  await expectOthersUntouched(before, ['parent']);
  expect((await sections('shop')).get('parent')).toBe(wanted.get('parent'));
  expect(
    await server.sql(
      "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA='shop' AND EVENT_OBJECT_TABLE<>'parent' ORDER BY 1",
    ),
  ).toBe(programsBefore);
  expect(
    await server.sql("SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA='shop' AND EVENT_OBJECT_TABLE='parent'"),
  ).toBe('tr_one\n');
  expect(await beside(server, 'shop')).toBe('NULL');
  expect(warnings).toEqual([]);
  await expect(server.sql('INSERT INTO child VALUES (9, 999)', 'shop')).rejects.toThrow('1452');
  await server.sql('INSERT INTO child VALUES (9, 3)', 'shop');
  await server.sql('DELETE FROM parent WHERE id=3', 'shop');
  expect(await server.sql('SELECT COUNT(*) FROM child WHERE id=9', 'shop')).toBe('0\n');
  await expect(server.sql('DELETE FROM parent WHERE id=1', 'shop')).rejects.toThrow('1451');
  expect(await server.sql('SELECT v FROM v_two', 'shop')).toBe('new\n');
});

test('a table that refers to others: its foreign keys lead to the ones that are there, and rows that refer to nothing are told', async () => {
  const before = await sections('shop');
  const warnings: string[] = [];
  await restoreInto(makeSwap(server.where, 'shop', { onWarning: (text) => warnings.push(text) }), dumped, { tables: ['child'] });
  await expectOthersUntouched(before, ['child']);
  expect((await sections('shop')).get('child')).toBe((await sections('newer')).get('child'));
  await expect(server.sql('INSERT INTO child VALUES (9, 999)', 'shop')).rejects.toThrow('1452');
  // row 3 of the snapshot refers to a parent that this shop does not have
  expect(warnings).toEqual(['1 row of child refer to rows that parent does not hold (foreign key child_parent)']);
});

test('parent, child and one of a ring together, with a table that is only in the snapshot', async () => {
  const before = await sections('shop');
  const tables = ['parent', 'child', 'ring_a', 'only_new'];
  await restoreInto(makeSwap(server.where, 'shop'), dumped, { tables });
  const after = await sections('shop');
  for (const table of tables) expect(after.get(table)).toBe((await sections('newer')).get(table));
  for (const [table, text] of before) if (!tables.includes(table)) expect(after.get(table), table).toBe(text);
  await expect(server.sql('UPDATE ring_a SET b=77', 'shop')).rejects.toThrow('1452');
  await expect(server.sql('UPDATE ring_b SET a=77', 'shop')).rejects.toThrow('1452');
  await expect(server.sql('INSERT INTO only_new VALUES (2, 77)', 'shop')).rejects.toThrow('1452');
});

test('without overwrite: refused when the table is there, loaded when it is not', async () => {
  const before = await look(server, 'shop');
  const error = await failureOf(
    restoreInto(makeSwap(server.where, 'shop', { overwrite: false }), dumped, { tables: ['parent', 'only_new'] }),
  );
  expect(error).toMatchObject({ code: 'E_TARGET_NOT_EMPTY', message: expect.stringContaining('parent') });
  expect(await look(server, 'shop')).toBe(before);
  const target = makeSwap(server.where, 'shop', { overwrite: false });
  await restoreInto(target, dumped, { tables: ['only_new'] });
  expect(target.landing.overwrote).toBe(false);
  expect(await server.sql('SELECT * FROM only_new', 'shop')).toBe('1\t3\n');
});

test('a view of that name: refused, nothing touched', async () => {
  const before = await look(server, 'shop');
  const error = await failureOf(restoreInto(makeSwap(server.where, 'shop'), dumped, { tables: ['becomes_table'] }));
  expect(error).toMatchObject({ code: 'E_TARGET_NOT_EMPTY', message: expect.stringContaining('becomes_table') });
  expect(await look(server, 'shop')).toBe(before);
  expect(await beside(server, 'shop')).toBe('NULL');
});

test('a trigger that the server refuses: table, triggers and foreign keys of the others are as they were', async () => {
  const before = await look(server, 'shop');
  const alter = (part: Dumped['parts'][number]) =>
    part.phase === 'post'
      ? {
          ...part,
          bytes: Buffer.concat([part.bytes, Buffer.from('\nCREATE TRIGGER tr_child BEFORE INSERT ON parent FOR EACH ROW SET @x=1;\n')]),
        }
      : part;
  const error = await failureOf(restoreInto(makeSwap(server.where, 'shop'), dumped, { tables: ['parent'], alter }));
  expect(error.message).toContain('tr_child');
  expect(await look(server, 'shop')).toBe(before);
  await expect(server.sql('INSERT INTO child VALUES (9, 999)', 'shop')).rejects.toThrow('1452');
});

test('--keep-old: the old table stays beside, and its foreign keys hold back nothing', async () => {
  const target = makeSwap(server.where, 'shop', { keepOld: true });
  await restoreInto(target, dumped, { tables: ['child'] });
  expect(target.landing.keptOld).toBe('shop_coffre_old');
  expect(await server.sql('SELECT COUNT(*) FROM child', 'shop_coffre_old')).toBe('2\n');
  await server.sql('DELETE FROM only_old; DELETE FROM parent', 'shop');
});

// What people read of backups and restores: one clock, the bytes asked for, a database's own table, hints for the flag at hand.
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeTree } from '../acceptance/tree.ts';
import { type Mariadb, startMariadb } from '../servers/mariadb.ts';
import { makeWorld, type World } from '../world/world.ts';
import { coffre } from './run-coffre.ts';

const LOCAL = /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+0[12]:00/;
const UTC = /\d\dT\d\d:\d\d:\d\d\S*Z/;

let server: Mariadb;
let world: World;
beforeAll(async () => {
  server = await startMariadb();
  await server.sql('CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY); INSERT INTO shop.orders VALUES (1), (2)');
  world = await makeWorld({ vaults: ['nas'] });
  const root = join(world.dir, 'shop');
  writeTree(root);
  world.writeConfig({ files: { root }, database: { socketPath: server.socketPath, user: 'root', name: 'shop' } });
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await server?.stop();
});

const screen = async (...args: string[]): Promise<string> => {
  const { stdout, stderr } = await coffre(['--config', world.configFile, ...args]);
  return stdout + stderr;
};

it('backup, prune and a time before the first snapshot - every instant is told in the configured zone', async () => {
  for (const args of [
    ['backup', 'dupont'],
    ['backup', 'dupont', '--source', 'files'],
    ['prune', '--dry-run'],
    ['restore', 'dupont', '--at', '2020-01-01T00:00Z', '--to-dir', '/nowhere'],
  ]) {
    const text = await screen(...args);
    expect(text, args[0]).toMatch(LOCAL);
    expect(text, args[0]).not.toMatch(UTC);
  }
});

it('show of a database - parts, tables and rows', async () => {
  const { json } = await world.ok(['snapshots', 'dupont']);
  const { id } = json.snapshots.find((one: { source: string }) => one.source === 'database');
  const [head = '', ...lines] = (await screen('show', id, '.')).trim().split('\n');
  expect(head.split(/ +/)).toEqual(['part', 'tables', 'rows']);
  expect(lines.some((line) => /\borders +2$/.test(line))).toBe(true);
});

it('show of a pattern - the files that match, by their paths', async () => {
  const { json } = await world.ok(['snapshots', 'dupont']);
  const { id } = json.snapshots.find((one: { source: string }) => one.source === 'files');
  const listed = (await world.ok(['show', id, '*.jpg'])).json.entries.map((entry: { path: string }) => entry.path);
  expect(listed.length).toBeGreaterThan(1);
  expect(listed.every((path: string) => path.endsWith('.jpg'))).toBe(true);
  const all = (await world.ok(['show', id, '.'])).json.entries.map((entry: { path: string }) => entry.path);
  expect(all.filter((path: string) => path.endsWith('.jpg'))).toEqual(listed);
  expect(all).toEqual(all.toSorted((a: string, b: string) => (a.replaceAll('/', ' ') < b.replaceAll('/', ' ') ? -1 : 1)));
  expect((await world.coffre(['show', id, '*.nothing'])).json.error.code).toBe('E_UNKNOWN_SNAPSHOT');
});

it('restore of one file - one file and its bytes', async () => {
  const to = join(world.dir, 'one');
  expect(await screen('restore', 'dupont', '--to-dir', to, '--path', 'img/p/0/1.jpg')).toMatch(/ 20\.0 kB +1 file +/);
  expect(await screen('restore', 'dupont', '--to-dir', `${to}-none`, '--path', 'nothing')).toMatch(/coffre show \w+ \. lists/);
});

it('a password file that is not there - the hint is of the flag', async () => {
  const to = `mysql://root@localhost/back?socketPath=${server.socketPath}`;
  const text = await screen('restore', 'dupont', '--to-database', to, '--password-file', '/nowhere/password');
  expect(text).toMatch(/E_SECRET_MISSING[\s\S]*HINT: --password-file names/);
});

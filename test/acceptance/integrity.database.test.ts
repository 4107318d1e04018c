import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Mariadb, startMariadb } from '../servers/mariadb.ts';
import { makeWorld, type World } from '../world/world.ts';
import { flipped, inCatalog, objectsOf, StoredFile, type StoredRow } from './attack.ts';

let world: World;
let server: Mariadb;
let snapshot: string;
beforeAll(async () => {
  server = await startMariadb();
  await server.createDatabase('shop');
  // the first is small and travels in a data segment, the second has one of its own
  await server.sql(
    `CREATE TABLE ps_lang (id INT PRIMARY KEY, name VARCHAR(32)); INSERT INTO ps_lang VALUES (1, 'Français'), (2, 'English');
     CREATE TABLE ps_orders (id INT PRIMARY KEY AUTO_INCREMENT, reference CHAR(128) NOT NULL, KEY (reference));
     INSERT INTO ps_orders (reference) SELECT SHA2(seq, 512) FROM seq_1_to_12000;
     CREATE VIEW ps_last AS SELECT MAX(id) FROM ps_orders;`,
    { database: 'shop' },
  );
  const options = { vaults: ['nas', 'offsite'] as const };
  world = await makeWorld(options);
  world.writeConfig({ ...options, database: { socketPath: server.socketPath, user: 'root', name: 'shop' } });
  snapshot = (await world.ok(['backup', 'dupont'])).json.snapshots[0].id;
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await server?.stop();
});

const dump = async (name: string): Promise<string> =>
  (await server.client('mariadb-dump', ['--skip-dump-date', '--skip-comments', '--routines', '--triggers', '--events', name])).toString();

const tablesOf = async (name: string): Promise<string[]> =>
  (await server.sql(`SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA='${name}' ORDER BY 1`))
    .split('\n')
    .filter(Boolean);

describe('a database snapshot in two vaults, the folder is attacked', () => {
  it('each of its objects with one bit turned - is refused, the other vault is used and said, alone nothing looks complete', async () => {
    const rows = objectsOf(world, snapshot, 'nas');
    const phases = inCatalog(world, (database) =>
      database
        .prepare('select id, phase from segments')
        .all()
        .map((row) => row.phase),
    );
    expect(new Set(phases), 'every phase is attacked').toEqual(new Set(['pre', 'data', 'rows', 'keys', 'post']));
    const original = await dump('shop');
    for (const [at, row] of rows.entries()) {
      const file = new StoredFile(world, row as StoredRow);
      file.replace(flipped(file.content));
      const [both, alone] = [`both_${at}`, `alone_${at}`];
      const url = (name: string): string => `mysql://root@localhost/${name}?socketPath=${server.socketPath}`;
      const restore = ['restore', 'dupont', '--snapshot', snapshot, '--to-database'];
      try {
        const [good, bad, verdict] = await Promise.all([
          world.ok([...restore, url(both)]),
          world.coffre([...restore, url(alone), '--from', 'nas']),
          world.coffre(['verify', 'dupont', '--read-data']),
        ]);
        const expected = { code: 'E_OBJECT_ALTERED', message: expect.stringContaining(row.key) };
        expect(good.json).toMatchObject({ verified: true, restored: [{ problems: [{ vault: 'nas', ...expected }] }] });
        expect(await dump(both)).toBe(original);
        expect(bad.status).toBe(6);
        expect(bad.json.error).toMatchObject(expected);
        const left = await tablesOf(alone);
        if (left.length > 0) expect(left).toContain('coffre_restore_incomplete');
        expect(verdict.status).toBe(6);
        expect(verdict.json.error).toMatchObject(expected);
      } finally {
        file.undo();
      }
    }
    expect((await world.ok(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
  }, 180_000);

  it('a segment swapped with another of the same snapshot - is refused by its version and its hash', async () => {
    const rows = objectsOf(world, snapshot, 'nas');
    const tsv = rows.find((row) => row.key.includes('.tsv.')) as StoredRow;
    const sql = rows.find((row) => row.key.includes('.sql.')) as StoredRow;
    const [file, other] = [new StoredFile(world, tsv), new StoredFile(world, sql)];
    file.replace(other.content);
    try {
      const url = `mysql://root@localhost/swapped?socketPath=${server.socketPath}`;
      const { json, status } = await world.coffre(['restore', 'dupont', '--from', 'nas', '--to-database', url]);
      expect(status).toBe(6);
      expect(json.error).toMatchObject({ code: 'E_OBJECT_ALTERED', message: expect.stringContaining(tsv.key) });
      expect(await tablesOf('swapped')).toContain('coffre_restore_incomplete');
    } finally {
      file.undo();
    }
  });
});

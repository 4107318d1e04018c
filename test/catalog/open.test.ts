import { AsyncLocalStorage } from 'node:async_hooks';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Kysely, Migrator } from 'kysely';
import { describe, expect, onTestFinished, test } from 'vitest';
import { MIGRATIONS } from '../../src/catalog/migrations/migrations.ts';
import { type Catalog, catalogPath, openCatalog } from '../../src/catalog/open.ts';
import { NodeSqliteDialect, openSqlite, switchToWal } from '../../src/catalog/sqlite.ts';
import { acquireLock } from '../../src/catalog/state-lock.ts';
import { WalFlush } from '../../src/catalog/wal-flush.ts';
import { startChild } from '../child.ts';
import { tempDir } from '../temp-dir.ts';

const CHILD = join(import.meta.dirname, 'open-in-child.ts');

async function open(stateDir: string): Promise<Catalog> {
  const catalog = await openCatalog(stateDir);
  onTestFinished(() => catalog.close());
  return catalog;
}

describe('opening', () => {
  test('a missing state directory - made, for its owner alone', async () => {
    const stateDir = join(await tempDir(), 'a', 'state');
    const catalog = await open(stateDir);
    await catalog.db.selectFrom('runs').selectAll().execute();
    expect((await stat(stateDir)).mode & 0o777).toBe(0o700);
    for (const suffix of ['', '-wal', '-shm']) expect((await stat(catalogPath(stateDir) + suffix)).mode & 0o777).toBe(0o600);
  });

  test('opened again - the same rows, no migration twice', async () => {
    const stateDir = await tempDir();
    const first = await openCatalog(stateDir);
    await first.transaction((tx) => tx.insertInto('slots').values({ shop: 'dupont', job: 'files', lastDueAt: 7 }).execute());
    await first.close();
    const second = await open(stateDir);
    expect(await second.db.selectFrom('slots').selectAll().execute()).toEqual([{ shop: 'dupont', job: 'files', lastDueAt: 7 }]);
  });

  test('another process is writing - opened and read meanwhile', async () => {
    const stateDir = await tempDir();
    await (await openCatalog(stateDir)).close();
    const writer = new DatabaseSync(catalogPath(stateDir));
    writer.exec(`begin immediate; insert into slots values ('dupont', 'files', 7)`);
    const catalog = await open(stateDir);
    expect(await catalog.db.selectFrom('slots').selectAll().execute()).toEqual([]);
    writer.exec('commit');
    writer.close();
    expect(await catalog.db.selectFrom('slots').selectAll().execute()).toHaveLength(1);
  });

  test('a file that is no database - E_CATALOG', async () => {
    const stateDir = await tempDir();
    await writeFile(catalogPath(stateDir), 'x'.repeat(5000));
    await expect(openCatalog(stateDir)).rejects.toMatchObject({ code: 'E_CATALOG' });
  });

  test('written by a newer coffre - E_CATALOG, and the file is left alone', async () => {
    const stateDir = await tempDir();
    await (await openCatalog(stateDir)).close();
    const raw = new DatabaseSync(catalogPath(stateDir));
    raw.exec(`insert into kysely_migration values ('999-later', '2030')`);
    raw.close();
    await expect(openCatalog(stateDir)).rejects.toMatchObject({ code: 'E_CATALOG', hint: expect.stringContaining('newer') });
  });

  test('tables of an older version - brought up to date, but not under a daemon that knows only those', async () => {
    const stateDir = await tempDir();
    const path = catalogPath(stateDir);
    const database = openSqlite(path);
    await switchToWal(database, path);
    const db = new Kysely({ dialect: new NodeSqliteDialect(database, path, new AsyncLocalStorage(), new WalFlush(`${path}-wal`)) });
    const older = Object.fromEntries(Object.entries(MIGRATIONS).slice(0, -1));
    const { error } = await new Migrator({ db, provider: { getMigrations: async () => older } }).migrateToLatest();
    expect(error).toBeUndefined();
    await db.destroy();
    const lock = await acquireLock(stateDir, 'daemon');
    await writeFile(join(stateDir, 'locks/daemon.holder'), JSON.stringify({ pid: 1, doing: 'the daemon', sinceMs: 0 }));
    await expect(openCatalog(stateDir)).rejects.toMatchObject({
      code: 'E_DAEMON_VERSION',
      message: `the daemon (process 1) is of another version than this command, and uses ${stateDir}`,
    });
    lock?.release();
    const catalog = await open(stateDir);
    await catalog.db.selectFrom('runs').selectAll().execute();
  });

  test('a state directory that is a file - E_STATE', async () => {
    const path = join(await tempDir(), 'file');
    await writeFile(path, '');
    await expect(openCatalog(path)).rejects.toMatchObject({ code: 'E_STATE' });
  });

  // that a commit is on the disk when it returns is shown by test/crash/catalog-power-cut.test.ts
  test('WAL, which the catalog flushes itself, foreign keys on', async () => {
    const stateDir = await tempDir();
    const catalog = await open(stateDir);
    const pragma = async (name: string): Promise<unknown> => {
      const { rows } = await catalog.db.executeQuery({ sql: `pragma ${name}`, parameters: [], query: {} as never, queryId: {} as never });
      return Object.values(rows[0] as object)[0];
    };
    expect([await pragma('journal_mode'), await pragma('synchronous'), await pragma('foreign_keys')]).toEqual(['wal', 1, 1]);
  });
});

describe('transactions', () => {
  test('a throw - nothing of it stays', async () => {
    const catalog = await open(await tempDir());
    const work = catalog.transaction(async (tx) => {
      await tx.insertInto('slots').values({ shop: 'a', job: 'b', lastDueAt: 1 }).execute();
      throw new Error('no');
    });
    await expect(work).rejects.toThrow('no');
    expect(await catalog.db.selectFrom('slots').selectAll().execute()).toEqual([]);
  });

  test('the catalog used inside without the tx - an error and not a hang', async () => {
    const catalog = await open(await tempDir());
    const nested = catalog.transaction(() => catalog.transaction(async () => 1));
    await expect(nested).rejects.toMatchObject({ code: 'E_INTERNAL' });
    const outside = catalog.transaction(() => catalog.db.selectFrom('runs').selectAll().execute());
    await expect(outside).rejects.toMatchObject({ code: 'E_INTERNAL' });
    expect(await catalog.db.selectFrom('runs').selectAll().execute()).toEqual([]);
  });

  test('two catalogs in one process - they take turns', async () => {
    const stateDir = await tempDir();
    const [a, b] = await Promise.all([open(stateDir), open(stateDir)]);
    await Promise.all(
      [a, b].flatMap((catalog, side) =>
        Array.from({ length: 20 }, (_, i) =>
          catalog.transaction(async (tx) => {
            await tx.selectFrom('slots').selectAll().execute();
            await tx
              .insertInto('slots')
              .values({ shop: `s${side}`, job: `j${i}`, lastDueAt: 1 })
              .execute();
          }),
        ),
      ),
    );
    expect(await a.db.selectFrom('slots').selectAll().execute()).toHaveLength(40);
  });

  test('several processes read and then write - no lost update, no SQLITE_BUSY_SNAPSHOT, even on first opening', async () => {
    const stateDir = join(await tempDir(), 'state');
    const children = Array.from({ length: 4 }, () => startChild(CHILD, ['count', stateDir, '', '50']));
    for (const child of children) expect(await child.line()).toBe('counted');
    const catalog = await open(stateDir);
    const row = await catalog.db.selectFrom('slots').select('lastDueAt').executeTakeFirstOrThrow();
    expect(row.lastDueAt).toBe(200);
  });
});

describe('a full disk', () => {
  test('in the middle of a transaction - E_STATE_SPACE, nothing of it stays, and it goes on when there is space again', async () => {
    const catalog = await open(await tempDir());
    const pragma = async (text: string): Promise<void> => {
      await catalog.db.executeQuery({ sql: `pragma ${text}`, parameters: [], query: {} as never, queryId: {} as never });
    };
    // SQLite's own way to have no more space
    await pragma('max_page_count = 1');
    const fill = (rows: number): Promise<void> =>
      catalog.transaction(async (tx) => {
        const detail = 'x'.repeat(2000);
        for (let i = 0; i < rows; i++) await tx.insertInto('audit').values({ at: i, who: 'w', what: 'w', shop: null, detail }).execute();
      });
    await expect(fill(2000)).rejects.toMatchObject({ code: 'E_STATE_SPACE' });
    expect(await catalog.db.selectFrom('audit').select('id').execute()).toEqual([]);
    await pragma('max_page_count = 1000000');
    await fill(20);
    expect(await catalog.db.selectFrom('audit').select('id').execute()).toHaveLength(20);
  });
});

describe('the ledger table', () => {
  test('refuses updates and deletions', async () => {
    const catalog = await open(await tempDir());
    const row = { at: 1, vault: 'v', shop: 's', key: 'k', versionId: '1', event: 'put' as const, bytes: 1, cause: null, hash: 'h' };
    await catalog.db.insertInto('ledger').values(row).execute();
    await expect(catalog.db.updateTable('ledger').set({ bytes: 2 }).execute()).rejects.toThrow('append-only');
    await expect(catalog.db.deleteFrom('ledger').execute()).rejects.toThrow('append-only');
  });
});

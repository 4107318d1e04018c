// A database's restore over several connections: identical, gone on with after a kill, one table alone, and no altered byte gets in.
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openCatalog } from '../../src/catalog/open.ts';
import { getSnapshot } from '../../src/catalog/snapshots.ts';
import { systemClock } from '../../src/clock.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { CoffreError } from '../../src/errors.ts';
import { type DatabaseRestoreOptions, restoreDatabase } from '../../src/restore/database.ts';
import type { RestoredSource } from '../../src/restore/execute.ts';
import { shopIdentities, trustedKeys, vaultOrder } from '../../src/restore/keys.ts';
import type { RestoreProgress } from '../../src/restore/progress.ts';
import { MariadbTarget } from '../../src/target/mariadb/database.ts';
import { FilesystemVault } from '../../src/vault/filesystem.ts';
import { S3Vault } from '../../src/vault/s3.ts';
import { flipped, inCatalog, objectsOf, StoredFile, type StoredRow } from '../acceptance/attack.ts';
import { type Mariadb, startMariadb } from '../servers/mariadb.ts';
import { until } from '../servers/rig.ts';
import { makeWorld, type World } from '../world/world.ts';

let world: World;
let server: Mariadb;
let snapshot: string;
/** What the dump of a database must be that is the same: nothing writes to it. */
let original: string;
let made = 0;

beforeAll(async () => {
  server = await startMariadb();
  await server.createDatabase('shop');
  // order_detail takes several segments, by long rows: many short ones cost the server far more; customer and message one each; the others
  // travel together
  await server.sql(
    `CREATE TABLE ps_lang (id INT PRIMARY KEY, name VARCHAR(32), KEY (name)); INSERT INTO ps_lang VALUES (1, 'Français'), (2, 'English');
     CREATE TABLE ps_empty (id INT PRIMARY KEY AUTO_INCREMENT, note TEXT, FULLTEXT KEY (note)) AUTO_INCREMENT=77;
     CREATE TABLE ps_customer (id INT PRIMARY KEY AUTO_INCREMENT, email VARCHAR(80) NOT NULL, id_lang INT NOT NULL, UNIQUE KEY (email),
       KEY (id_lang), FOREIGN KEY (id_lang) REFERENCES ps_lang (id));
     INSERT INTO ps_customer (email, id_lang) SELECT CONCAT(SHA2(seq, 256), '@example.com'), 1 + seq % 2 FROM seq_1_to_20000;
     CREATE TABLE ps_order_detail (id INT PRIMARY KEY AUTO_INCREMENT, id_customer INT NOT NULL, reference CHAR(128) NOT NULL, note TEXT NOT NULL,
       KEY (id_customer), KEY (reference), CONSTRAINT of_customer FOREIGN KEY (id_customer) REFERENCES ps_customer (id)) AUTO_INCREMENT=9000000;
     INSERT INTO ps_order_detail (id_customer, reference, note) SELECT 1 + seq % 20000, SHA2(seq, 512), REPEAT(SHA2(seq, 256), 25) FROM seq_1_to_45000;
     CREATE TABLE ps_message (id INT PRIMARY KEY, state ENUM('new','read') NOT NULL, text VARCHAR(200), FULLTEXT KEY (text));
     INSERT INTO ps_message SELECT seq, 1 + seq % 2, SHA2(seq, 384) FROM seq_1_to_15000;
     SET sql_mode=''; UPDATE ps_message SET state='' WHERE id % 7000 = 7; SET sql_mode=DEFAULT;
     CREATE TABLE ps_log (at INT, text VARCHAR(80), KEY (at)) ENGINE=MyISAM; INSERT INTO ps_log SELECT seq, SHA2(seq, 256) FROM seq_1_to_3000;
     CREATE VIEW ps_last AS SELECT MAX(id) FROM ps_order_detail;
     CREATE TRIGGER ps_touch BEFORE INSERT ON ps_customer FOR EACH ROW SET NEW.email = LOWER(NEW.email);`,
    { database: 'shop' },
  );
  const options = { vaults: ['nas', 'offsite'] as const };
  world = await makeWorld(options);
  world.writeConfig({ ...options, database: { socketPath: server.socketPath, user: 'root', name: 'shop' } });
  snapshot = (await world.ok(['backup', 'dupont'])).json.snapshots[0].id;
  original = await dump('shop');
}, 180_000);
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await server?.stop();
});
afterEach(async () => {
  await server.sql('SET GLOBAL local_infile=1');
});

const fresh = (): string => `back_${made++}`;
const url = (name: string): string => `mysql://root@localhost/${name}?socketPath=${server.socketPath}`;
const dump = async (name: string, ...tables: string[]): Promise<string> =>
  (
    await server.client('mariadb-dump', ['--skip-dump-date', '--skip-comments', '--routines', '--triggers', '--events', name, ...tables])
  ).toString();
const tablesOf = async (name: string): Promise<string[]> =>
  (await server.sql(`SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA='${name}' ORDER BY 1`))
    .split('\n')
    .filter(Boolean);
/** Segments of phase rows of one table, in the folder, in restore order. */
function segmentsOf(table: string): StoredRow[] {
  const keys = inCatalog(world, (database) =>
    database
      .prepare("select key from segments where phase = 'rows' and name like ? order by id")
      .all(`rows/${table}/%`)
      .map((row) => row.key),
  );
  return objectsOf(world, snapshot, 'nas').filter((row) => keys.includes(row.key));
}

interface Told {
  readonly restored: RestoredSource;
  readonly warnings: readonly string[];
  readonly progress: readonly RestoreProgress[];
}

/** What the command does, in this process: with a look at progress and warnings. */
async function restore(
  name: string,
  options: DatabaseRestoreOptions & { readonly connections?: number; readonly overwrite?: boolean } = {},
): Promise<Told> {
  const config = loadConfig(world.configFile, process.env);
  const shop = config.shops.get('dupont');
  if (!shop) throw new Error('no shop');
  await using catalog = await openCatalog(config.stateDir);
  const vaults = vaultOrder(config, shop, null).map((vault) =>
    vault.type === 's3' ? new S3Vault(vault, systemClock) : new FilesystemVault(vault, systemClock),
  );
  const warnings: string[] = [];
  const progress: RestoreProgress[] = [];
  const target = new MariadbTarget({ user: 'root', password: null, host: null, port: 3306, socketPath: server.socketPath }, name, {
    overwrite: options.overwrite ?? false,
    connections: options.connections ?? 2,
    onWarning: (message) => warnings.push(message),
  });
  try {
    const deps = {
      catalog,
      clock: systemClock,
      vaults,
      identities: await shopIdentities(config, 'dupont'),
      trusted: await trustedKeys(config),
      signal: new AbortController().signal,
      onProgress: (each: RestoreProgress) => progress.push(each),
      onProblem: () => {},
    };
    const restored = await restoreDatabase(deps, await getSnapshot(catalog, snapshot), target, options);
    return { restored, warnings, progress };
  } finally {
    await target.close();
    for (const vault of vaults) await vault.close();
  }
}

describe('a whole database', () => {
  it.each([1, 2, 5])(
    'over %i connections - is the same, with every AUTO_INCREMENT, and nothing of the restore stays',
    async (connections) => {
      const name = fresh();
      const { restored, progress } = await restore(name, { connections });
      expect(segmentsOf('ps_order_detail').length).toBeGreaterThan(2);
      expect(restored).toMatchObject({ verified: true, tables: 6, rows: 83_002, problems: [] });
      expect(await dump(name)).toBe(original);
      expect(await server.sql(`SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB='${name}'`)).toBe('0\n');
      const last = progress.at(-1) as RestoreProgress;
      expect(last).toMatchObject({ doneBytes: restored.readBytes, totalBytes: restored.readBytes, doneRows: 83_002, totalRows: 83_002 });
      for (const [at, each] of progress.entries()) expect(each.doneBytes).toBeGreaterThanOrEqual(progress[at - 1]?.doneBytes ?? 0);
    },
    120_000,
  );

  it('where the server refuses local_infile - is the same by INSERTs, and a warning says so once', async () => {
    await server.sql('SET GLOBAL local_infile=0');
    const name = fresh();
    const { warnings } = await restore(name);
    expect(warnings).toEqual([expect.stringContaining('local_infile=0')]);
    expect(await dump(name)).toBe(original);
  }, 120_000);

  it('statistics are of the loaded rows', async () => {
    const name = fresh();
    await restore(name);
    const rows = await server.sql(
      `SELECT n_rows FROM mysql.innodb_table_stats WHERE database_name='${name}' AND table_name='ps_order_detail'`,
    );
    expect(Number(rows)).toBeGreaterThan(30_000);
  }, 120_000);
});

describe('a database that already holds something', () => {
  it('of another kind - is refused, and stays', async () => {
    const name = fresh();
    await server.sql(`CREATE DATABASE ${name}; CREATE TABLE ${name}.theirs (a INT)`);
    await expect(restore(name)).rejects.toMatchObject({ code: 'E_TARGET_NOT_EMPTY' });
    expect(await tablesOf(name)).toEqual(['theirs']);
  });

  it('another restore at work in it - is refused as busy, even to replace it; the one at work completes', async () => {
    const name = fresh();
    const child = world.start(['restore', 'dupont', '--snapshot', snapshot, '--to-database', url(name)]);
    const ended = once(child, 'exit');
    // stopped where it is: else it might be done before the other one has looked
    await until('it loads', 60_000, async () => (await tablesOf(name)).includes('coffre_restore_incomplete'));
    child.kill('SIGSTOP');
    try {
      const others = await Promise.allSettled([restore(name), restore(name, { overwrite: true })]);
      for (const other of others) {
        expect(other).toMatchObject({ status: 'rejected', reason: { code: 'E_BUSY', message: expect.stringContaining(name) } });
      }
    } finally {
      child.kill('SIGCONT');
    }
    expect((await ended)[0]).toBe(0);
    expect(await dump(name)).toBe(original);
  }, 120_000);

  it('an unfinished restore of another snapshot - is refused, and the hint names it', async () => {
    const name = fresh();
    await server.sql(
      `CREATE DATABASE ${name}; CREATE TABLE ${name}.coffre_restore_incomplete (step VARCHAR(16), name VARCHAR(64), row_count BIGINT);
       INSERT INTO ${name}.coffre_restore_incomplete VALUES ('snapshot', '01another', NULL)`,
    );
    await expect(restore(name)).rejects.toMatchObject({ code: 'E_TARGET_NOT_EMPTY', hint: expect.stringContaining('01another') });
    await restore(name, { overwrite: true });
    expect(await dump(name)).toBe(original);
  }, 120_000);
});

/** Tables that the journal calls finished; none when there is no journal. */
const finishedIn = async (name: string): Promise<string[]> =>
  (await server.sql(`SELECT name FROM ${name}.coffre_restore_incomplete WHERE step='finished' ORDER BY name`).catch(() => ''))
    .split('\n')
    .filter(Boolean);
/** Changes whenever a table is made anew or rebuilt. */
const identityOf = (name: string, table: string): Promise<string> =>
  server.sql(`SELECT TABLE_ID FROM information_schema.INNODB_SYS_TABLES WHERE NAME='${name}/${table}'`);

describe('a restore that is killed', () => {
  const killWhen = async (name: string, ready: () => Promise<boolean>): Promise<void> => {
    const child = world.start(['restore', 'dupont', '--snapshot', snapshot, '--to-database', url(name)]);
    const ended = once(child, 'exit');
    await until('the restore is where it is to be killed', 60_000, async () => (child.exitCode !== null ? true : await ready()));
    child.kill('SIGKILL');
    await ended;
    expect(child.signalCode, 'it was killed before it ended').toBe('SIGKILL');
  };

  it('with some tables finished - the same command goes on, keeps those, and the result is the same', async () => {
    const name = fresh();
    await killWhen(name, async () => (await finishedIn(name)).includes('ps_customer'));
    expect(await tablesOf(name)).toContain('coffre_restore_incomplete');
    const identity = await identityOf(name, 'ps_customer');
    await world.ok(['restore', 'dupont', '--snapshot', snapshot, '--to-database', url(name)]);
    expect(await dump(name)).toBe(original);
    // an added foreign key does not rebuild it; made anew it would have another
    expect(await identityOf(name, 'ps_customer')).toBe(identity);
  }, 180_000);

  it('as soon as anything is there - the same command begins again', async () => {
    const name = fresh();
    await killWhen(name, async () => (await tablesOf(name)).length > 2);
    await world.ok(['restore', 'dupont', '--snapshot', snapshot, '--to-database', url(name)]);
    expect(await dump(name)).toBe(original);
  }, 180_000);

  it('after which a finished table lost rows - it is loaded again', async () => {
    const name = fresh();
    await killWhen(name, async () => (await finishedIn(name)).includes('ps_customer'));
    await server.sql(`SET foreign_key_checks=0; DELETE FROM ${name}.ps_customer WHERE id = 5`);
    await world.ok(['restore', 'dupont', '--snapshot', snapshot, '--to-database', url(name)]);
    expect(await dump(name)).toBe(original);
  }, 180_000);
});

describe('an altered segment', () => {
  it('in the middle of a table - the other vault’s copy is used and said; without one nothing of that table stays', async () => {
    const middle = segmentsOf('ps_order_detail')[1] as StoredRow;
    const file = new StoredFile(world, middle);
    file.replace(flipped(file.content));
    try {
      const [both, alone] = [fresh(), fresh()];
      const { restored } = await restore(both);
      expect(restored.problems).toMatchObject([{ vault: 'nas', key: middle.key, code: 'E_OBJECT_ALTERED' }]);
      expect(await dump(both)).toBe(original);
      const { status, json } = await world.coffre([
        'restore',
        'dupont',
        '--snapshot',
        snapshot,
        '--from',
        'nas',
        '--to-database',
        url(alone),
      ]);
      expect(status).toBe(6);
      expect(json.error).toMatchObject({ code: 'E_OBJECT_ALTERED', message: expect.stringContaining(middle.key) });
      expect(await tablesOf(alone)).toContain('coffre_restore_incomplete');
      expect(await server.sql(`SELECT COUNT(*) FROM ${alone}.ps_order_detail`)).toBe('0\n');
      expect(await finishedIn(alone)).not.toContain('ps_order_detail');
      // with the other vault again it goes on from there
      await restore(alone);
      expect(await dump(alone)).toBe(original);
    } finally {
      file.undo();
    }
  }, 240_000);
});

describe('some tables', () => {
  it('one that refers to another - comes with keys and triggers, its foreign key is left out and said', async () => {
    const name = fresh();
    const { restored, warnings } = await restore(name, { tables: ['ps_customer'] });
    expect(restored).toMatchObject({ tables: 1, rows: 20_000, verified: true });
    expect(await tablesOf(name)).toEqual(['ps_customer']);
    expect(warnings).toEqual([expect.stringMatching(/foreign key of ps_customer.*ps_lang/)]);
    expect(await server.sql(`SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA='${name}'`)).toBe('ps_touch\n');
    const lines = (text: string): string[] =>
      text
        .split('\n')
        .map((line) => line.replace(/,$/, ''))
        .filter((line) => !line.includes('CONSTRAINT'));
    expect(lines(await dump(name, 'ps_customer'))).toEqual(lines(await dump('shop', 'ps_customer')));
  }, 120_000);

  it('both ends of a foreign key, one of them of the small ones - come with it; then a third beside them, with its key', async () => {
    const name = fresh();
    expect((await restore(name, { tables: ['ps_customer', 'ps_lang'] })).warnings).toEqual([]);
    expect(await tablesOf(name)).toEqual(['ps_customer', 'ps_lang']);
    expect((await restore(name, { tables: ['ps_order_detail'] })).warnings).toEqual([]);
    for (const table of ['ps_customer', 'ps_lang', 'ps_order_detail']) expect(await dump(name, table)).toBe(await dump('shop', table));
  }, 120_000);

  it('a table that is there already - is refused and left as it is', async () => {
    const name = fresh();
    await server.sql(`CREATE DATABASE ${name}; CREATE TABLE ${name}.ps_lang (a INT); CREATE TABLE ${name}.other (a INT)`);
    await expect(restore(name, { tables: ['ps_lang'] })).rejects.toMatchObject({
      code: 'E_TARGET_NOT_EMPTY',
      message: expect.stringContaining('ps_lang'),
    });
    expect(await tablesOf(name)).toEqual(['other', 'ps_lang']);
  });

  it('a table that the snapshot does not hold - E_USAGE names those that it holds, and nothing is made', async () => {
    const name = fresh();
    const error = await restore(name, { tables: ['ps_lang', 'ps_nothing'] }).then(
      () => null,
      (each: CoffreError) => each,
    );
    expect(error).toMatchObject({
      code: 'E_USAGE',
      message: expect.stringContaining('ps_nothing'),
      hint: expect.stringContaining('ps_order_detail'),
    });
    expect(await server.sql(`SHOW DATABASES LIKE '${name}'`)).toBe('');
  });
});

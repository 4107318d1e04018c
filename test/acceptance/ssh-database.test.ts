// The database of a shop on another machine: backed up and restored through SSH, to its port and to its socket.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type FaultProxy, startFaultProxy } from '../servers/fault-proxy.ts';
import { type Mariadb, startMariadb } from '../servers/mariadb.ts';
import { until } from '../servers/rig.ts';
import { type Sshd, startSshd } from '../servers/sshd.ts';
import { makeWorld, type World } from '../world/world.ts';

const run = promisify(execFile);
const PASSWORD = 'never-to-be-told';
const env = { COFFRE_DB_PASSWORD: PASSWORD };

let server: Mariadb;
let sshd: Sshd;
/** Before sshd: all that coffre says to the shop's host goes through it. */
let proxy: FaultProxy;
let world: World;
let hostLines: string[];

beforeAll(async () => {
  [server, sshd] = await Promise.all([startMariadb({ args: ['--log-bin=binlog', '--server-id=1'] }), startSshd()]);
  await server.createDatabase('shop');
  await server.sql(
    `CREATE TABLE ps_orders (id INT PRIMARY KEY AUTO_INCREMENT, reference CHAR(128) NOT NULL, note MEDIUMBLOB, KEY (reference));
     INSERT INTO ps_orders (reference) SELECT SHA2(seq, 512) FROM seq_1_to_40000;
     UPDATE ps_orders SET note = REPEAT(UNHEX('00ff5c270a09'), 100000) WHERE id IN (7, 20000);
     CREATE TABLE ps_detail LIKE ps_orders; INSERT INTO ps_detail SELECT * FROM ps_orders WHERE id <= 12000;
     CREATE TABLE ps_log (at INT PRIMARY KEY, text CHAR(128)) ENGINE=MyISAM; INSERT INTO ps_log SELECT seq, SHA2(seq, 512) FROM seq_1_to_10000;
     CREATE VIEW ps_last AS SELECT MAX(id) FROM ps_orders;
     CREATE TRIGGER ps_touch BEFORE INSERT ON ps_log FOR EACH ROW SET NEW.text = TRIM(NEW.text);
     CREATE USER coffre@'%' IDENTIFIED BY '${PASSWORD}'; GRANT ALL ON *.* TO coffre@'%';`,
    { database: 'shop' },
  );
  proxy = await startFaultProxy(sshd.port);
  world = await makeWorld({ vaults: ['nas'] });
  const knownHostsFile = join(world.dir, 'known_hosts');
  writeFileSync(knownHostsFile, sshd.knownHostsFor(proxy.port));
  hostLines = sshd.hostLines({ port: proxy.port, knownHostsFile });
}, 60_000);
afterEach(() => proxy.set({ mode: 'pass' }));
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await proxy?.stop();
  await Promise.all([sshd?.stop(), server?.stop()]);
});

const shop = { user: 'coffre', name: 'shop', password: PASSWORD };
const dump = async (name: string): Promise<string> =>
  (await server.client('mariadb-dump', ['--skip-dump-date', '--skip-comments', '--routines', '--triggers', name])).toString();

/** Nobody of ours is on the database server, and nothing runs for sshd's clients. */
async function nothingLeft(): Promise<void> {
  await until(
    'the server lets go of connections that are gone',
    15_000,
    async () => (await server.sql("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER='coffre'")) === '0\n',
  );
  await until('sshd has no session left', 15_000, async () => (await childrenOf(sshd.pid)) === 0);
}

async function childrenOf(pid: number): Promise<number> {
  const { stdout } = await run('pgrep', ['-c', '-P', String(pid)]).catch((error: { stdout: string }) => error);
  return Number(stdout);
}

describe('the database of a host over SSH', () => {
  it.each([
    ['its port', () => ({ port: server.port }), (name: string) => `mysql://coffre@127.0.0.1:${server.port}/${name}`],
    [
      'its socket',
      () => ({ socketPath: server.socketPath }),
      (name: string) => `mysql://coffre@localhost/${name}?socketPath=${encodeURIComponent(server.socketPath)}`,
    ],
  ])(
    'through %s - the restored database is the same, and every byte went through SSH',
    async (_, at, urlOf) => {
      world.writeConfig({ vaults: ['nas'], host: hostLines, database: { ...shop, ...at() } });
      const before = { ...proxy.bytes };
      const backup = await world.ok(['backup', 'dupont']);
      expect(backup.json.snapshots).toMatchObject([{ complete: true, missing: [] }]);
      // what the rows are at the least
      expect(proxy.bytes.toClient - before.toClient).toBeGreaterThan(7_000_000);
      const restored = await world.coffre(['restore', 'dupont', '--to-host', '--to-database', urlOf('copy')], { env });
      expect(restored.status, restored.stdout + restored.stderr).toBe(0);
      expect(restored.json.verified).toBe(true);
      expect(proxy.bytes.toServer - before.toServer).toBeGreaterThan(7_000_000);
      expect(await dump('copy')).toBe(await dump('shop'));
      await nothingLeft();
      const again = await world.coffre(['restore', 'dupont', '--to-host', '--to-database', urlOf('copy'), '--overwrite'], { env });
      expect(again.status, again.stdout + again.stderr).toBe(0);
      expect(await dump('copy')).toBe(await dump('shop'));
      await server.sql('DROP DATABASE copy');
      await nothingLeft();
    },
    120_000,
  );

  it('a connection that is cut in the middle - coded errors, nothing left on either server, the next run works', async () => {
    world.writeConfig({ vaults: ['nas'], host: hostLines, database: { ...shop, socketPath: server.socketPath } });
    proxy.set({ mode: 'cut', direction: 'toClient', afterBytes: 3_000_000 });
    const backup = await world.coffre(['backup', 'dupont']);
    expect(backup.status, backup.stdout).toBe(3);
    expect(['E_SSH_LOST', 'E_DB_READ', 'E_DB_CONNECT']).toContain(backup.json.error.code);
    expect(backup.stdout + backup.stderr).not.toContain(PASSWORD);
    await nothingLeft();
    await world.ok(['backup', 'dupont']);
    const url = `mysql://coffre@127.0.0.1:${server.port}/cut`;
    proxy.set({ mode: 'cut', direction: 'toServer', afterBytes: 3_000_000 });
    const restore = await world.coffre(['restore', 'dupont', '--to-host', '--to-database', url], { env });
    expect(restore.status, restore.stdout).not.toBe(0);
    expect(['E_SSH_LOST', 'E_TARGET_WRITE', 'E_DB_CONNECT']).toContain(restore.json.error.code);
    await nothingLeft();
    const again = await world.coffre(['restore', 'dupont', '--to-host', '--to-database', url], { env });
    expect(again.status, again.stdout + again.stderr).toBe(0);
    expect(await dump('cut')).toBe(await dump('shop'));
    await server.sql('DROP DATABASE cut');
  }, 120_000);

  it('a host that forwards nothing - E_SSH_FORWARD that names the setting, and doctor is red on it', async () => {
    await using closed = await asDisposable(startSshd({ config: ['AllowTcpForwarding no', 'AllowStreamLocalForwarding no'] }));
    for (const at of [{ port: server.port }, { socketPath: server.socketPath }]) {
      world.writeConfig({ vaults: ['nas'], host: closed.hostLines(), database: { ...shop, ...at } });
      const backup = await world.coffre(['backup', 'dupont']);
      expect(backup.json.error, backup.stdout).toMatchObject({ code: 'E_SSH_FORWARD' });
      expect(backup.status).toBe(3);
      expect(backup.json.error.hint).toMatch(/AllowTcpForwarding|AllowStreamLocalForwarding/);
    }
    const { json } = await world.coffre(['doctor', 'dupont']);
    const lines = new Map(json.checks.map((check: { name: string }) => [check.name, check]));
    expect(lines.get('dupont host: login')).toMatchObject({ ok: true });
    expect(lines.get('dupont host: forwarding')).toMatchObject({ ok: false, hint: expect.stringContaining('AllowStreamLocalForwarding') });
  }, 60_000);

  it('a host with another key - nothing is sent, E_SSH_HOSTKEY from backup, restore and doctor', async () => {
    world.writeConfig({
      vaults: ['nas'],
      host: sshd.hostLines({ knownHostsFile: sshd.wrongKnownHostsFile }),
      database: { ...shop, port: server.port },
    });
    const from = sshd.log().length;
    const backup = await world.coffre(['backup', 'dupont']);
    expect(backup).toMatchObject({ status: 3, json: { error: { code: 'E_SSH_HOSTKEY' } } });
    const { json } = await world.coffre(['doctor', 'dupont']);
    expect(json.checks.filter((check: { name: string }) => check.name.startsWith('dupont host'))).toMatchObject([
      { name: 'dupont host: host key', ok: false },
    ]);
    expect(sshd.log().slice(from)).not.toMatch(/Accepted|userauth|Postponed/);
  }, 60_000);
});

async function asDisposable(starting: Promise<Sshd>): Promise<Sshd & AsyncDisposable> {
  const started = await starting;
  return { ...started, [Symbol.asyncDispose]: () => started.stop() };
}

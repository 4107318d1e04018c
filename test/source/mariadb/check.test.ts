// Doctor says which step of the ladder a dump would take, and each GRANT it gives leads to the better step that it promises.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { checkDatabase } from '../../../src/source/mariadb/check.ts';
import { openSnapshot } from '../../../src/source/mariadb/snapshot.ts';
import type { Finding } from '../../../src/source/source.ts';
import type { ServerAddress } from '../../../src/target/mariadb/session.ts';
import { type Mariadb, startMariadb } from '../../servers/mariadb.ts';

let logged: Mariadb;
let filtered: Mariadb;
let plain: Mariadb;

beforeAll(async () => {
  const log = ['--log-bin=binlog', '--server-id=1'];
  [logged, filtered, plain] = await Promise.all([
    startMariadb({ args: log }),
    startMariadb({ args: [...log, '--binlog-ignore-db=shop'] }),
    startMariadb(),
  ]);
  for (const server of [logged, filtered, plain]) {
    await server.sql('CREATE DATABASE shop; CREATE TABLE shop.a (id int PRIMARY KEY); INSERT INTO shop.a VALUES (1);');
    await server.sql(
      `CREATE USER 'dump'@'%'; GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON shop.* TO 'dump'@'%'; GRANT SELECT ON mysql.proc TO 'dump'@'%';`,
    );
  }
});
afterAll(() => Promise.all([logged, filtered, plain].map((server) => server?.stop())));

const address = (server: Mariadb): ServerAddress => ({
  ...{ user: 'dump', password: null, host: null, port: 0, socketPath: server.socketPath },
});

async function said(server: Mariadb): Promise<Finding> {
  const findings = await checkDatabase(address(server), 'shop');
  expect(findings.filter(({ ok }) => !ok)).toEqual([]);
  return findings.find(({ name }) => name === 'database consistency') as Finding;
}

async function done(server: Mariadb): Promise<string> {
  const made = await openSnapshot(address(server), 'shop', { clock: systemClock, excludeData: [], connections: 2, maxBlockMs: 3000 });
  for (const session of made.sessions) await session.end();
  return made.method;
}

/** Of these statements the one with this privilege; it is run. */
async function grant(server: Mariadb, { detail }: Finding, privilege: string): Promise<void> {
  const statement = new RegExp(`GRANT ${privilege} ON .*?;`).exec(detail)?.[0];
  expect(statement, detail).toBeDefined();
  await server.sql(statement ?? '');
}

test('one connection, LOCK TABLES, BACKUP STAGE, each by the GRANT that was given', async () => {
  const steps = ['single-transaction', 'lock-tables', 'backup-stage'];
  const privileges = ['LOCK TABLES', 'RELOAD'];
  for (const [at, step] of steps.entries()) {
    const finding = await said(logged);
    expect(finding.detail).toMatch(new RegExp(`^${step}: `));
    expect(await done(logged)).toBe(step);
    const privilege = privileges[at];
    if (privilege) expect(finding.hint).toBe('GRANT RELOAD ON *.* TO `dump`@`%`;');
    else expect(finding.hint).toBeUndefined();
    if (privilege) await grant(logged, finding, privilege);
  }
});

test('a binary log: the right to ask it is not recommended, for its position proves nothing', async () => {
  await logged.sql("REVOKE ALL PRIVILEGES, GRANT OPTION FROM 'dump'@'%'").catch(() => {});
  expect((await said(plain)).detail).not.toContain('BINLOG MONITOR');
});

test.each(['ON', 'OFF'])('local_infile %s: said, and never red, for rows go in either way', async (state) => {
  await plain.sql(`SET GLOBAL local_infile = ${state}`);
  const findings = await checkDatabase(address(plain), 'shop');
  const finding = findings.find(({ name }) => name === 'fast load');
  expect(finding).toMatchObject({ ok: true });
  expect(finding?.detail).toMatch(state === 'ON' ? /loads rows the fast way/ : /as INSERTs.*SET GLOBAL local_infile=1/);
});

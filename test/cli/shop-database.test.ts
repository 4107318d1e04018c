// `database: shop` on real servers: what doctor says, that the backup holds the shop's rows, and that the password is nowhere to be seen.
import { execFileSync } from 'node:child_process';
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Mariadb, startMariadb } from '../servers/mariadb.ts';
import { type Sshd, startSshd } from '../servers/sshd.ts';
import { PRESTASHOP, parameters, write } from '../source/shop/places.ts';
import { tempDir } from '../temp-dir.ts';
import { makeWorld, type World } from '../world/world.ts';
import { coffreJson } from './run-coffre.ts';

const PASSWORD = `n'ot "in" \\ sight €`;

interface Line {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly hint?: string;
}

let server: Mariadb;
let sshd: Sshd;
let world: World;
let root: string;

beforeAll(async () => {
  world = await makeWorld({ vaults: ['nas'] });
  root = join(world.dir, 'shop');
  sshd = await startSshd();
  server = await startMariadb();
  await server.createDatabase('dupont');
  const quoted = PASSWORD.replaceAll('\\', '\\\\').replaceAll("'", "''");
  await server.sql(`SET NAMES utf8mb4; CREATE USER ps@'%' IDENTIFIED BY '${quoted}'; GRANT ALL ON dupont.* TO ps@'%'`);
  await server.sql(
    "CREATE TABLE dupont.ps_shop (id int PRIMARY KEY, name varchar(20)); INSERT INTO dupont.ps_shop VALUES (1, 'chaussures')",
  );
  write(root, PRESTASHOP['8.1.2']);
  settings({});
}, 120_000);

afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await sshd?.stop();
  await server?.stop();
});

function settings(change: Readonly<Record<string, string>>): void {
  const own = { database_host: '127.0.0.1', database_port: String(server.port), database_name: 'dupont', database_user: 'ps' };
  writeFileSync(join(root, 'app/config/parameters.php'), parameters({ ...own, database_password: PASSWORD, ...change }));
}

function configure(lines: readonly string[], host?: readonly string[]): void {
  world.writeConfig({ vaults: ['nas'], ...(host ? { host } : {}) });
  appendFileSync(world.configFile, lines.map((line) => `    ${line}\n`).join(''));
}

const doctor = async (): Promise<Line[]> => (await world.coffre(['doctor', 'dupont'])).json.checks;
const find = (checks: readonly Line[], name: string): Line | undefined => checks.find((check) => check.name === name);

describe('a shop that tells its own database', () => {
  it('is green with the file it was read from, is backed up and comes back; the password is in no output, state or manifest', async () => {
    configure(['database: shop', `files: { root: ${root}, profile: prestashop }`]);
    const checks = await doctor();
    expect(find(checks, 'dupont files: shop')).toMatchObject({ ok: true, detail: `PrestaShop 8.1.2 at ${root}` });
    expect(find(checks, 'dupont database: settings')).toMatchObject({
      ok: true,
      detail: `dupont as ps at 127.0.0.1:${server.port}, read from ${join(root, 'app/config/parameters.php')}`,
    });
    expect(checks.filter((check) => check.name.startsWith('dupont database') && !check.ok)).toEqual([]);
    // what a restore in place would stumble over, all at once
    const beside = ['new', 'old'].map((name) => `GRANT ALL PRIVILEGES ON \`dupont\\_coffre\\_${name}\`.* TO \`ps\`@\`%\`;`);
    expect(find(checks, 'dupont restore in place')).toMatchObject({
      ok: true,
      warning: true,
      code: 'E_DB_PRIVILEGE',
      hint: beside.join(' '),
    });

    const { json, stderr, stdout } = await world.ok(['backup', 'dupont']);
    const [database, files] = json.snapshots;
    expect(database).toMatchObject({ source: 'database', tables: 1, complete: true });
    expect(files).toMatchObject({ source: 'files', complete: true });
    const back = join(world.dir, 'back');
    await server.sql('CREATE DATABASE back');
    const url = `mysql://root@localhost/back?socketPath=${server.socketPath}`;
    await world.ok(['restore', 'dupont', '--source', 'database', '--to-database', url]);
    expect(await server.sql('SELECT name FROM back.ps_shop')).toContain('chaussures');
    await world.ok(['restore', 'dupont', '--source', 'files', '--to-dir', back]);
    expect(readFileSync(join(back, 'app/config/parameters.php'), 'utf8')).toContain('not "in"'.slice(4));
    expect(readdirSync(join(back, 'admin7q2x/backups'))).toEqual([]);

    const shown = await world.coffre(['show', files.id]);
    expect(shown.json.manifest.server).toMatchObject({
      application: 'PrestaShop 8.1.2',
      layout: '8',
      secrets: 'app/config/parameters.php, .env',
    });
    const text = execFileSync(join(import.meta.dirname, '../../bin/coffre'), ['--config', world.configFile, 'show', files.id], {
      encoding: 'utf8',
    });
    expect(text).toMatch(/^application\s+PrestaShop 8\.1\.2$/m);
    expect(text).toMatch(/^secrets in\s+app\/config\/parameters\.php, \.env$/m);

    for (const said of [stdout, stderr, JSON.stringify(checks), shown.stdout, text]) expect(said).not.toContain('in sight');
    expect(execFileSync('sh', ['-c', `grep -rlF 'sight €' '${world.stateDir}' '${world.nasPath}' || true`], { encoding: 'utf8' })).toBe('');
  }, 120_000);

  it('over SSH - the file is read there, and the database reached from there', async () => {
    configure(['database: shop', `files: { root: ${root}, profile: prestashop }`], sshd.hostLines());
    const checks = await doctor();
    expect(find(checks, 'dupont files: shop')).toMatchObject({ ok: true, detail: `PrestaShop 8.1.2 at ${root}` });
    expect(find(checks, 'dupont database: settings')).toMatchObject({ ok: true });
    expect(checks.filter((check) => check.name.startsWith('dupont database') && !check.ok)).toEqual([]);
    const { json } = await world.ok(['backup', 'dupont', '--source', 'database']);
    expect(json.snapshots[0]).toMatchObject({ tables: 1, complete: true });
  }, 120_000);

  it('keys beside it win, wrong settings are red, and so is what only PHP could work out', async () => {
    configure([`database: { fromShop: true, name: nowhere }`, `files: { root: ${root}, profile: prestashop }`]);
    expect((await doctor()).filter((check) => check.name.startsWith('dupont database') && !check.ok)).not.toEqual([]);
    configure(['database: shop', `files: { root: ${root}, profile: prestashop }`]);
    writeFileSync(join(root, 'app/config/parameters.php'), `<?php return ['parameters' => ['database_name' => getenv('DB')]];`);
    const [red] = (await doctor()).filter((check) => check.name.startsWith('dupont database'));
    expect(red).toMatchObject({
      ok: false,
      detail: expect.stringContaining('only PHP could work it out'),
      hint: expect.stringContaining('passwordFile'),
    });
    const failed = await world.coffre(['backup', 'dupont', '--source', 'database']);
    expect(failed).toMatchObject({ status: 2, json: { error: { code: 'E_CONFIG' } } });
    settings({});
  }, 120_000);

  it('a root one level too high - red, and says where the shop is', async () => {
    const above = await tempDir();
    write(join(above, 'www'), PRESTASHOP['8.1.2']);
    configure([`files: { root: ${above}, profile: prestashop }`]);
    expect(find(await doctor(), 'dupont files: shop')).toMatchObject({
      ok: false,
      detail: `no PrestaShop at ${above}, but one at ${above}/www`,
      hint: `write root: ${above}/www under files:`,
    });
  }, 60_000);
});

describe('init for such a shop', () => {
  const init = async (...flags: string[]) => {
    const dir = await tempDir();
    const config = join(dir, 'etc/coffre.yaml');
    const place = ['--state-dir', join(dir, 'state'), '--vault-path', join(dir, 'nas'), '--shop', 'dupont'];
    return { config, said: await coffreJson(['--config', config, 'init', ...place, ...flags]) };
  };

  it('--db-from-shop - nothing more is typed, and doctor is green on it', async () => {
    const { config, said } = await init('--files-root', root, '--db-from-shop');
    const text = readFileSync(config, 'utf8');
    expect(text).toContain('    database: shop\n');
    expect(text).toContain('profile: prestashop');
    expect(text).not.toContain('in sight');
    const lines = (said.json.doctor.checks as Line[]).filter((check) => /^dupont (database|files)/.test(check.name));
    expect(lines.map((line) => line.name)).toEqual(expect.arrayContaining(['dupont database: settings', 'dupont files: shop']));
    expect(lines.filter((line) => !line.ok)).toEqual([]);
  }, 60_000);

  it('--db-from-shop without a tree, or with what is typed - E_USAGE', async () => {
    expect((await init('--db-from-shop')).said).toMatchObject({ status: 2, json: { error: { code: 'E_USAGE' } } });
    expect((await init('--files-root', root, '--db-from-shop', '--db-user', 'x')).said).toMatchObject({
      status: 2,
      json: { error: { code: 'E_USAGE' } },
    });
  });
});

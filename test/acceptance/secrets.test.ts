import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Mariadb, startMariadb } from '../servers/mariadb.ts';
import { freePort } from '../servers/rig.ts';
import { inventory } from '../servers/s3.ts';
import { COFFRE, makeWorld, type World } from '../world/world.ts';
import { unseal } from './attack.ts';
import { withConfig } from './faults.ts';
import { type Secret, secretsIn, signingSecret, textSecret } from './needles.ts';
import { writeTree } from './tree.ts';
import { type Seen, watchProcesses } from './watch.ts';

const DB_PASSWORD = 'Sesame+open/the=door-42';
const WRONG_DB_PASSWORD = 'Sesame+shut/the=door-43';
const WRONG_S3_SECRET = 'wR0ng/s3cret+0123456789abcdefghijklmnopq';
const URL_PASSWORD = 'typed-by-mistake-into-the-url';

let world: World;
let server: Mariadb;
let secrets: Secret[];
/** Everything that a coffre of this test printed or showed, with what was run. */
const said: { readonly what: string; readonly content: string | Buffer }[] = [];
const statuses = new Map<string, number | null>();

beforeAll(async () => {
  server = await startMariadb();
  await server.createDatabase('shop', { user: 'coffre', password: DB_PASSWORD });
  await server.sql(
    'GRANT SELECT ON mysql.proc TO coffre@`%`; GRANT ALL ON back.* TO coffre@`%`; GRANT SET USER ON *.* TO coffre@`%`;' +
      'GRANT ALL ON `back\\_coffre\\_new`.* TO coffre@`%`; GRANT ALL ON `back\\_coffre\\_old`.* TO coffre@`%`;',
  );
  await server.sql('CREATE TABLE t (a INT PRIMARY KEY, b TEXT); INSERT INTO t SELECT seq, MD5(seq) FROM seq_1_to_3000;', {
    database: 'shop',
  });
  const options = { vaults: ['nas', 'offsite'] as const };
  world = await makeWorld(options);
  const root = join(world.dir, 'shop');
  writeTree(root, { largeBytes: 60_000_000 });
  world.writeConfig({
    ...options,
    files: { root },
    database: { socketPath: server.socketPath, user: 'coffre', name: 'shop', password: DB_PASSWORD },
  });
  const identity = /AGE-SECRET-KEY-1\S+/.exec(readFileSync(join(world.keyDir, 'identities/dupont.key'), 'utf8'))?.[0] ?? '';
  secrets = [
    textSecret('database password', DB_PASSWORD),
    textSecret('wrong database password', WRONG_DB_PASSWORD),
    textSecret('S3 secret', world.bucket.store.secretKey),
    textSecret('wrong S3 secret', WRONG_S3_SECRET),
    textSecret('identity of the shop', identity),
    textSecret('recovery identity', world.recovery),
    signingSecret('signing key', readFileSync(join(world.keyDir, 'signing.key'), 'utf8')),
  ];
  for (const { name, shapes } of secrets) for (const shape of shapes) expect(shape.length, name).toBeGreaterThan(15);
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await server?.stop();
});

interface Options {
  readonly env?: Readonly<Record<string, string>>;
  readonly config?: string;
  readonly json?: boolean;
  /** Sends SIGTERM when the log says this. */
  readonly untilLogged?: RegExp;
}

/** Runs coffre as loudly as it can; keeps what it prints and what the process list shows meanwhile. */
async function loudly(
  args: readonly string[],
  { env = {}, config = world.configFile, json = true, untilLogged }: Options = {},
): Promise<Seen> {
  const what = `coffre ${args.join(' ')}${json ? '' : ' (text)'}`;
  const child = spawn(COFFRE, ['--config', config, ...(json ? ['--json'] : []), '--log-level', 'trace', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  const stop = watchProcesses(child.pid as number);
  let log = '';
  let isTold = false;
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString('latin1');
    // once: a second signal ends it at once
    if (isTold || !untilLogged?.test(log)) return;
    isTold = true;
    child.kill('SIGTERM');
  });
  const [stdout, stderr, status] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve) => child.once('close', resolve)),
  ]);
  const seen = stop();
  statuses.set(what, status);
  said.push({ what: `${what}: stdout`, content: stdout }, { what: `${what}: stderr`, content: stderr });
  for (const shown of seen.shown) said.push({ what: `${what}: process list`, content: shown });
  return seen;
}

function leaks(): string[] {
  return said.flatMap(({ what, content }) => secretsIn(secrets, content).map((name) => `${name} in ${what}`));
}

describe('no secret is told', () => {
  const url = (database: string): string => `mysql://coffre@localhost/${database}?socketPath=${server.socketPath}`;
  const target = (name: string): string => join(world.dir, name);

  it('by any command that succeeds, on its streams or in the process list, as loud as it can be', async () => {
    await loudly(['doctor', 'dupont']);
    await loudly(['backup', 'dupont']);
    await loudly(['backup', 'dupont', '--full'], { json: false });
    await loudly(['verify', 'dupont', '--read-data']);
    await loudly(['snapshots', 'dupont']);
    await loudly(['status', 'dupont'], { json: false });
    await loudly(['prune', 'dupont']);
    await loudly(['billing', 'level']);
    await loudly(['keys', 'show']);
    await loudly(['keys', 'recovery-kit']);
    const withPassword = { env: { COFFRE_DB_PASSWORD: DB_PASSWORD } };
    const seen = await loudly(['restore', 'dupont', '--to-dir', target('a'), '--to-database', url('back')], withPassword);
    expect(seen.helperEnvironments.size, 'tar was seen at work').toBeGreaterThan(0);
    for (const environment of seen.helperEnvironments) {
      said.push({ what: 'environment of a helper', content: Buffer.from(environment, 'latin1') });
    }
    const passwordFile = join(world.keyDir, 'db.password');
    await loudly(
      ['restore', 'dupont', '--source', 'database', '--to-database', url('back'), '--overwrite', '--password-file', passwordFile],
      {
        json: false,
      },
    );
    await loudly(['daemon'], { untilLogged: /daemon\.started/ });
    expect(Object.fromEntries([...statuses].filter(([what, status]) => status !== 0 && !/doctor|status/.test(what)))).toEqual({});
    expect(said.some(({ content }) => /AGE-SECRET-KEY-1[A-Z0-9]{58}/.test(content.toString()))).toBe(false);
    expect(leaks()).toEqual([]);
  }, 240_000);

  it('by any command that fails', async () => {
    statuses.clear();
    const passwordFile = join(world.keyDir, 'db.password');
    const credentials = join(world.keyDir, 'offsite.json');
    const rightCredentials = readFileSync(credentials, 'utf8');
    writeFileSync(passwordFile, WRONG_DB_PASSWORD);
    writeFileSync(credentials, JSON.stringify({ ...JSON.parse(rightCredentials), secretAccessKey: WRONG_S3_SECRET }));
    try {
      for (const command of ['doctor', 'backup', 'verify', 'prune'] as const) {
        await loudly([command, 'dupont']);
        await loudly([command, 'dupont'], { json: false });
      }
    } finally {
      writeFileSync(passwordFile, DB_PASSWORD);
      writeFileSync(credentials, rightCredentials);
    }
    // a credentials file that is not JSON must not be quoted
    writeFileSync(credentials, rightCredentials.replace('"', ''));
    await loudly(['backup', 'dupont']);
    writeFileSync(credentials, rightCredentials);
    // nor a key file that is damaged
    const keyFile = join(world.keyDir, 'identities/dupont.key');
    const rightKey = readFileSync(keyFile, 'utf8');
    writeFileSync(keyFile, rightKey.replace('AGE-SECRET-KEY-1', 'AGE-SECRET-KEY-1X'));
    await loudly(['restore', 'dupont', '--to-dir', target('b')]);
    writeFileSync(keyFile, rightKey);
    const signingFile = join(world.keyDir, 'signing.key');
    const rightSigning = readFileSync(signingFile, 'utf8');
    writeFileSync(signingFile, rightSigning.replace('BEGIN PRIVATE', 'BEGIN PRIVAT'));
    await loudly(['backup', 'dupont']);
    writeFileSync(signingFile, rightSigning);

    await loudly(['restore', 'dupont', '--to-database', url('back')], { env: { COFFRE_DB_PASSWORD: WRONG_DB_PASSWORD } });
    await withConfig(world, world.bucket.store.endpoint, `http://127.0.0.1:${await freePort()}`, () => loudly(['backup', 'dupont']));
    await withConfig(world, /passwordFile: \S+?( |,|})/, `password: "${WRONG_DB_PASSWORD}" }`, () => loudly(['backup', 'dupont']));
    expect([...statuses.values()].filter((status) => status === 0)).toEqual([]);
    expect(leaks()).toEqual([]);
  }, 240_000);

  it('by a refusal of a password in a URL, beyond the command line that its user typed', async () => {
    const child = await world.coffre(['restore', 'dupont', '--to-database', `mysql://coffre:${URL_PASSWORD}@localhost/back`]);
    expect(child.status).toBe(2);
    expect(child.stdout + child.stderr).not.toContain(URL_PASSWORD);
  });

  it('by what is kept: catalog, state directory, manifests, indexes and every object of both vaults', async () => {
    const kept: { what: string; content: Buffer }[] = [];
    const files = (folder: string): string[] =>
      execFileSync('find', [folder, '-type', 'f', '-print0']).toString().split('\0').filter(Boolean);
    for (const path of [...files(world.stateDir), ...files(world.nasPath)]) {
      const content = readFileSync(path);
      kept.push({ what: path, content });
      if (path.endsWith('.zst')) kept.push({ what: `${path} unpacked`, content: execFileSync('zstd', ['-dc'], { input: content }) });
      // segments are the shop's own content
      if (/\/(index|snapshots)\/.*\.age$/.test(path)) kept.push({ what: `${path} opened`, content: unseal(world, content) });
    }
    for (const { key, versionId, isDeleteMarker } of (await inventory(world.bucket)).versions) {
      if (isDeleteMarker) continue;
      const { Body } = await world.bucket.client.send(new GetObjectCommand({ Bucket: world.bucket.name, Key: key, VersionId: versionId }));
      const content = Buffer.from((await Body?.transformToByteArray()) ?? []);
      kept.push({ what: key, content });
      if (/\/(index|snapshots)\//.test(key)) kept.push({ what: `${key} opened`, content: unseal(world, content) });
    }
    const names = kept.map(({ what }) => what).join('\n');
    for (const part of ['catalog.db', '/snapshots/', '/index/', '/keys/', 'opened', 'unpacked']) expect(names).toContain(part);
    expect(kept.flatMap(({ what, content }) => secretsIn(secrets, content).map((name) => `${name} in ${what}`))).toEqual([]);
    // and the search finds what it looks for
    expect(secretsIn(secrets, readFileSync(join(world.keyDir, 'identities/dupont.key')))).toEqual(['identity of the shop']);
    expect(secretsIn(secrets, readFileSync(join(world.keyDir, 'signing.key')))).toEqual(['signing key']);
    expect(secretsIn(secrets, Buffer.from(`xy${DB_PASSWORD}`).toString('base64'))).toEqual(['database password']);
  });

  it('by init, but for the recovery kit: that file alone holds the recovery identity', async () => {
    const dir = join(world.dir, 'new');
    mkdirSync(dir, { mode: 0o700 });
    const config = join(dir, 'coffre.yaml');
    const before = said.length;
    const args = [
      'init',
      '--state-dir',
      join(dir, 'state'),
      '--vault-path',
      join(dir, 'nas'),
      '--shop',
      'martin',
      '--files-root',
      join(world.dir, 'shop'),
    ];
    const s3 = ['--s3-endpoint', world.bucket.store.endpoint, '--s3-bucket', world.bucket.name, '--s3-prefix', 'new'];
    await loudly([...args, ...s3, '--s3-credentials-file', join(world.keyDir, 'offsite.json')], { config });
    expect(existsSync(config), said.at(-1)?.content.toString()).toBe(true);
    const kit = readFileSync(join(dir, 'recovery-kit.txt'), 'utf8');
    const identity = /AGE-SECRET-KEY-1\S+/.exec(kit)?.[0] ?? '';
    const made = [
      textSecret('recovery identity of the kit', identity),
      textSecret('new identity', /AGE-SECRET-KEY-1\S+/.exec(readFileSync(join(dir, 'keys/identities/martin.key'), 'utf8'))?.[0] ?? ''),
      signingSecret('new signing key', readFileSync(join(dir, 'keys/signing.key'), 'utf8')),
      ...secrets,
    ];
    const told = said.slice(before).flatMap(({ what, content }) => secretsIn(made, content).map((name) => `${name} in ${what}`));
    expect(told).toEqual([]);
    const onDisk = readdirSync(dir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .flatMap((path) => secretsIn(made, readFileSync(path)).map((name) => `${name} in ${path.slice(dir.length + 1)}`));
    expect(onDisk.sort()).toEqual([
      'new identity in keys/identities/martin.key',
      'new signing key in keys/signing.key',
      'recovery identity of the kit in recovery-kit.txt',
    ]);
  });
});

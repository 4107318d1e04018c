// Where a shop's database is, out of the shop's own files, through the host: all generations, other spellings, and what is refused.
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { DatabaseFromShopConfig, ShopConfig } from '../../../src/config/config.ts';
import { parseConfig } from '../../../src/config/load.ts';
import { CoffreError } from '../../../src/errors.ts';
import type { Host } from '../../../src/host/host.ts';
import { localHost } from '../../../src/host/local.ts';
import { parseAddress, readDatabaseSettings } from '../../../src/source/shop/database-settings.ts';
import { resolveDatabase } from '../../../src/source/shop/resolve-database.ts';
import { tempDir } from '../../temp-dir.ts';
import { PRESTASHOP, parameters, WORDPRESS, write } from './places.ts';

/** Programs run as somebody without rights: file modes do not stop root, and a shell takes an effective user back. */
const asNobody: Host = {
  ...localHost,
  start: (argv, signal) =>
    localHost.start(process.geteuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', ...argv] : argv, signal),
};

type Profile = 'prestashop' | 'wordpress';

async function place(files: Readonly<Record<string, string>>): Promise<string> {
  const root = await tempDir();
  write(root, files);
  return root;
}

const read = async (files: Readonly<Record<string, string>>, profile: Profile = 'prestashop') => {
  const root = await place(files);
  return { ...(await readDatabaseSettings(localHost, { root, profile })), root };
};

async function refusal(work: Promise<unknown>): Promise<CoffreError> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CoffreError);
  return error as CoffreError;
}

describe('the settings in a shop', () => {
  it('PrestaShop 8 - app/config/parameters.php', async () => {
    const { root, ...settings } = await read(PRESTASHOP['8.1.2']);
    expect(settings).toEqual({
      file: join(root, 'app/config/parameters.php'),
      name: 'ps',
      user: 'ps',
      password: "p'w\\",
      address: { type: 'tcp', host: '127.0.0.1', port: null },
      prefix: 'ps_',
    });
  });

  it('PrestaShop 1.7 - a port beside localhost does not matter, as to PHP', async () => {
    expect(await read(PRESTASHOP['1.7.8.7'])).toMatchObject({ address: { type: 'local' } });
  });

  it('PrestaShop 1.6 - config/settings.inc.php, its host with a port', async () => {
    expect(await read(PRESTASHOP['1.6.1.24'])).toMatchObject({
      name: 'ps16',
      user: 'user16',
      password: 'old',
      prefix: 'old_',
      address: { type: 'tcp', host: 'db.example.net', port: 3307 },
    });
  });

  it('an upgraded PrestaShop that kept its old file - the new one counts', async () => {
    expect(await read({ ...PRESTASHOP['1.6.1.24'], ...PRESTASHOP['8.1.2'] })).toMatchObject({ name: 'ps' });
  });

  it('WordPress - wp-config.php, its host with a socket', async () => {
    expect(await read(WORDPRESS, 'wordpress')).toMatchObject({
      name: 'wp',
      user: 'wpuser',
      password: 'w$p',
      prefix: 'wp_',
      address: { type: 'socket', socketPath: '/run/own.sock' },
    });
  });

  it('WordPress with its configuration above the root - found, unless another WordPress lives there', async () => {
    const above = await place({ 'wp-config.php': WORDPRESS['wp-config.php'], 'www/wp-includes/version.php': '<?php' });
    const site = { root: join(above, 'www'), profile: 'wordpress' } as const;
    expect(await readDatabaseSettings(localHost, site)).toMatchObject({ file: join(above, 'wp-config.php') });
    writeFileSync(join(above, 'wp-settings.php'), '<?php');
    expect(await refusal(readDatabaseSettings(localHost, site))).toMatchObject({ code: 'E_CONFIG' });
  });

  it('short arrays, other order, no password, a flat file - read as well', async () => {
    const short =
      "<?php\ndeclare(strict_types=1);\nreturn [ 'parameters' => [ 'database_user'=>'u', 'database_name'=>\"n\", 'database_host'=>'', 'database_password'=>null ] ];";
    expect(await read({ 'app/config/parameters.php': short })).toMatchObject({
      name: 'n',
      user: 'u',
      password: null,
      address: { type: 'local' },
      prefix: '',
    });
    const utf8 = parameters({ database_name: 'n', database_user: 'u', database_password: 'pässwörd €' });
    expect(await read({ 'app/config/parameters.php': utf8 })).toMatchObject({ password: 'pässwörd €' });
  });

  it.each([
    [
      'a password from the environment',
      "<?php return ['parameters' => ['database_name' => 'n', 'database_user' => 'u', 'database_password' => getenv('S3CRET')]];",
    ],
    [
      'a password with a variable',
      `<?php return ['parameters' => ['database_name' => 'n', 'database_user' => 'u', 'database_password' => "S3CRET$x"]];`,
    ],
    ['an array that is merged', "<?php return array_merge(['parameters' => ['database_name' => 'n', 'database_user' => 'S3CRET']], $x);"],
    ['no name', "<?php return ['parameters' => ['database_user' => 'u', 'database_password' => 'S3CRET']];"],
    ['a name that is no text', "<?php return ['parameters' => ['database_name' => ['S3CRET'], 'database_user' => 'u']];"],
    ['text that is not UTF-8', `<?php return ['parameters' => ['database_name' => "\\xff", 'database_user' => 'u']];`],
    ['a string without an end', "<?php return ['parameters' => ['database_password' => 'S3CRET"],
    [
      'a host nobody knows',
      "<?php return ['parameters' => ['database_name' => 'n', 'database_user' => 'u', 'database_host' => 'a:b:S3CRET']];",
    ],
    ['a command', "<?php return ['parameters' => ['database_name' => `touch S3CRET`, 'database_user' => 'u']];"],
  ])('%s - E_CONFIG that names the file and what to write instead, and no value', async (_what, code) => {
    const root = await place({ 'app/config/parameters.php': code });
    const error = await refusal(readDatabaseSettings(localHost, { root, profile: 'prestashop' }));
    expect(error.code).toBe('E_CONFIG');
    expect(error.message).toContain(join(root, 'app/config/parameters.php'));
    expect(error.hint).toContain('database:');
    expect(error.message + error.hint).not.toContain('S3CRET');
  });

  it('no shop there, no right to read it, a folder or a giant in its place - E_CONFIG that says so', async () => {
    const empty = await place({});
    expect((await refusal(readDatabaseSettings(localHost, { root: empty, profile: 'prestashop' }))).message).toContain(
      'no database settings in the shop at',
    );
    const closed = await place(PRESTASHOP['8.1.2']);
    chmodSync(closed, 0o755);
    chmodSync(join(closed, 'app/config/parameters.php'), 0o600);
    const denied = await refusal(readDatabaseSettings(asNobody, { root: closed, profile: 'prestashop' }));
    expect(denied.message).toContain('cannot be read: Permission denied');
    const folder = await place({ 'app/config/parameters.php/x': '' });
    expect((await refusal(readDatabaseSettings(localHost, { root: folder, profile: 'prestashop' }))).message).toContain(
      'Not a regular file',
    );
    const giant = await place({ 'app/config/x': '' });
    symlinkSync('/dev/zero', join(giant, 'app/config/parameters.php'));
    expect((await refusal(readDatabaseSettings(localHost, { root: giant, profile: 'prestashop' }))).message).toContain(
      'Not a regular file',
    );
    rmSync(join(giant, 'app/config/parameters.php'));
    writeFileSync(join(giant, 'app/config/parameters.php'), Buffer.alloc(2 * 1024 * 1024));
    expect((await refusal(readDatabaseSettings(localHost, { root: giant, profile: 'prestashop' }))).message).toContain('too large');
    rmSync(join(giant, 'app/config/parameters.php'));
    execFileSync('mkfifo', [join(giant, 'app/config/parameters.php')]);
    expect((await refusal(readDatabaseSettings(localHost, { root: giant, profile: 'prestashop' }))).message).toContain(
      'Not a regular file',
    );
  });

  it.runIf(process.geteuid?.() === 0)(
    'a link to the configuration of another owner - refused, one of the same owner is followed',
    async () => {
      const victim = await place(PRESTASHOP['8.1.2']);
      const secret = join(victim, 'app/config/parameters.php');
      chownSync(secret, 1001, 1001);
      const root = await place({ 'app/config/x': '' });
      chownSync(root, 1000, 1000);
      symlinkSync(secret, join(root, 'app/config/parameters.php'));
      const error = await refusal(readDatabaseSettings(localHost, { root, profile: 'prestashop' }));
      expect(error).toMatchObject({ code: 'E_CONFIG', message: expect.stringContaining('Leads to a file of somebody else') });
      chownSync(secret, 1000, 1000);
      expect(await readDatabaseSettings(localHost, { root, profile: 'prestashop' })).toMatchObject({ name: 'ps' });
      // the tree itself may be reached through a link, and its files be anybody's
      const current = join(await tempDir(), 'current');
      symlinkSync(victim, current);
      chownSync(secret, 1001, 1001);
      expect(await readDatabaseSettings(localHost, { root: current, profile: 'prestashop' })).toMatchObject({ name: 'ps' });
    },
  );
});

describe('a host as it is written', () => {
  it.each([
    ['localhost', '', { type: 'local' }],
    ['LOCALHOST:3307', '', { type: 'local' }],
    ['', '', { type: 'local' }],
    ['127.0.0.1', '3307', { type: 'tcp', host: '127.0.0.1', port: 3307 }],
    ['db', '', { type: 'tcp', host: 'db', port: null }],
    ['db:3308', '3307', { type: 'tcp', host: 'db', port: 3308 }],
    ['[::1]:3306', '', { type: 'tcp', host: '::1', port: 3306 }],
    ['fd00::5', '', { type: 'tcp', host: 'fd00::5', port: null }],
    ['localhost:/run/a.sock', '', { type: 'socket', socketPath: '/run/a.sock' }],
    ['localhost:3306:/run/a.sock', '', { type: 'socket', socketPath: '/run/a.sock' }],
    [':/run/a.sock', '', { type: 'socket', socketPath: '/run/a.sock' }],
  ])('%s and port %s', (host, port, address) => {
    expect(parseAddress(host, port, 'f')).toEqual(address);
  });

  it.each([
    ['db:0', ''],
    ['db', '70000'],
    ['db', 'x'],
    ['a b', ''],
    ['db:x', ''],
  ])('%s and port %s - refused', (host, port) => {
    expect(() => parseAddress(host, port, 'f')).toThrow(expect.objectContaining({ code: 'E_CONFIG' }));
  });
});

function shopOf(root: string, database: string, profile: Profile = 'prestashop'): ShopConfig {
  const text = `stateDir: /x\nlisten: { socket: null }\nencryption: none\nvaults: { nas: { type: filesystem, path: /nas } }\nplans: { p: { retention: 14d } }\nshops:\n  dupont:\n    plan: p\n    vaults: [nas]\n    database: ${database}\n    files: { root: ${root}, profile: ${profile} }\n`;
  return parseConfig(text, '/etc/coffre.yaml', {}).shops.get('dupont') as ShopConfig;
}

describe('the database that is opened', () => {
  it('all from the shop - as its source takes it, the rest of the YAML kept, the password in no text of it', async () => {
    const root = await place(PRESTASHOP['8.1.2']);
    for (const database of ['shop', '{ fromShop: true }']) {
      const { config, file } = await resolveDatabase(shopOf(root, database), localHost);
      expect(file).toBe(join(root, 'app/config/parameters.php'));
      expect(config).toMatchObject({
        name: 'ps',
        user: 'ps',
        host: '127.0.0.1',
        port: 3306,
        socketPath: null,
        threads: 2,
        profile: 'none',
      });
      expect(config.password?.read()).toBe("p'w\\");
      expect(config.password?.from).toBe(file);
      expect(JSON.stringify(config)).not.toContain("p'w");
      expect(config).not.toHaveProperty('fromShop');
    }
  });

  it('keys of the YAML - win over the shop, and another user does not get the shop’s password', async () => {
    const root = await place(PRESTASHOP['8.1.2']);
    const resolved = async (yaml: string) => (await resolveDatabase(shopOf(root, yaml), localHost)).config;
    expect(await resolved('{ fromShop: true, name: other, threads: 4, profile: prestashop-ephemeral }')).toMatchObject({
      name: 'other',
      user: 'ps',
      threads: 4,
      profile: 'prestashop-ephemeral',
    });
    const ours = 'fromShop: true, user: coffre, name: ps, host: 127.0.0.1';
    expect(await resolved(`{ ${ours} }`)).toMatchObject({ user: 'coffre', password: null });
    expect((await resolved(`{ ${ours}, passwordFile: /etc/p }`)).password?.from).toBe('/etc/p');
    for (const open of ['user: coffre', 'user: coffre, name: ps', 'user: coffre, host: 127.0.0.1']) {
      const error = await refusal(resolved(`{ fromShop: true, ${open} }`));
      expect(error).toMatchObject({ code: 'E_CONFIG', message: expect.stringContaining('must not choose what it opens') });
    }
    expect(await resolved('{ fromShop: true, socketPath: /s }')).toMatchObject({ host: null, socketPath: '/s' });
    expect(await resolved('{ fromShop: true, host: other }')).toMatchObject({ host: 'other', port: 3306 });
    expect(await resolved('{ fromShop: true, port: 3310 }')).toMatchObject({ host: '127.0.0.1', port: 3310 });
    const local = await place(PRESTASHOP['1.7.8.7']);
    const config = (await resolveDatabase(shopOf(local, '{ fromShop: true, port: 3310 }'), localHost)).config;
    expect(config).toMatchObject({ host: '127.0.0.1', port: 3310, socketPath: null });
  });

  it('a shop that names the account of this program, over a socket - refused, unless the YAML says so', async () => {
    const us = userInfo().username;
    const root = await place({
      'app/config/parameters.php': parameters({ database_name: 'victim', database_user: us, database_host: 'x:/run/s' }),
    });
    const error = await refusal(resolveDatabase(shopOf(root, 'shop'), localHost));
    expect(error).toMatchObject({ code: 'E_CONFIG', message: expect.stringContaining('as this program') });
    expect(
      (await resolveDatabase(shopOf(root, `{ fromShop: true, user: ${us}, name: mine, socketPath: /run/s }`), localHost)).config,
    ).toMatchObject({
      name: 'mine',
    });
  });

  it('a database written out - is left as it is', async () => {
    const root = await place({});
    const shop = shopOf(root, '{ name: n, user: u, host: h }');
    expect(await resolveDatabase(shop, localHost)).toEqual({ config: shop.database, file: null, noSockets: [] });
  });

  it('is not part of the configuration before it is asked for', async () => {
    const root = await place(PRESTASHOP['8.1.2']);
    const database = shopOf(root, 'shop').database as DatabaseFromShopConfig;
    expect(database).toMatchObject({ fromShop: true, name: null, user: null, host: null, port: null, socketPath: null, password: null });
  });
});

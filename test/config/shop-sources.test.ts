// database: shop and server: in the configuration: what they mean, and what is refused with its line.
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ShopConfig } from '../../src/config/config.ts';
import { loadConfig, parseConfig } from '../../src/config/load.ts';
import { FILE, refusal } from './refusal.ts';

const text = (lines: string, host = ''): string => `encryption: none
stateDir: /var/lib/coffre
vaults:
  nas: { type: filesystem, path: /srv/coffre }
plans:
  standard: { retention: 14d }
shops:
  dupont:
    plan: standard
    vaults: [nas]
${host}${lines}`;

const shop = (lines: string, host = ''): ShopConfig => parseConfig(text(lines, host), FILE, {}).shops.get('dupont') as ShopConfig;
const SSH = '    host: { type: ssh, host: h, user: u, keyFile: /k, knownHostsFile: /kh }\n';
const FILES = '    files: { root: /var/www/dupont, profile: prestashop }\n';

describe('a database from the shop', () => {
  it('shop, or fromShop with other keys - what is not said is left for the shop to say, defaults are as for any database', () => {
    const bare = shop(`    database: shop\n${FILES}`).database;
    expect(bare).toEqual(shop(`    database: { fromShop: true }\n${FILES}`).database);
    expect(bare).toMatchObject({
      fromShop: true,
      name: null,
      user: null,
      host: null,
      port: null,
      socketPath: null,
      password: null,
      threads: 2,
    });
    expect(shop(`    database: { fromShop: true, name: n, port: 3307, threads: 4 }\n${FILES}`).database).toMatchObject({
      name: 'n',
      port: 3307,
      threads: 4,
    });
    expect(loadConfig(resolve(import.meta.dirname, '../../config/coffre.example.yaml'), {}).shops.get('petit')?.database).toMatchObject({
      fromShop: true,
    });
  });

  it.each([
    ['without files', '    database: shop\n', 'coffre.yaml:11: shops.dupont.database comes from the shop, which needs files:'],
    [
      'from a tree of any kind',
      '    database: shop\n    files: { root: /x }\n',
      'coffre.yaml:11: shops.dupont.database comes from the shop, which needs files: with a root and profile prestashop or wordpress',
    ],
    [
      'another word',
      `    database: auto\n${FILES}`,
      'coffre.yaml:11: shops.dupont.database is "auto": a mapping of keys to values is expected, or shop',
    ],
    [
      'a wrong key beside it',
      `    database: { fromShop: true, thread: 1 }\n${FILES}`,
      'database.thread is not a known key: did you mean threads?',
    ],
    ['host and socket', `    database: { fromShop: true, host: h, socketPath: /s }\n${FILES}`, 'database has both host and socketPath'],
    [
      'port and socket',
      `    database: { fromShop: true, port: 1, socketPath: /s }\n${FILES}`,
      'database.port means nothing with socketPath',
    ],
    ['a password in the file', `    database: { fromShop: true, password: p }\n${FILES}`, 'database.password holds a secret'],
    [
      'no name, and not from the shop',
      `    database: { user: u, host: h }\n${FILES}`,
      'database.name is missing: the name of a database is expected (or fromShop: true',
    ],
    ['no user, and no shop to ask', '    database: { name: n, host: h }\n', 'database.user is missing: a database user is expected'],
    [
      'neither host nor socket',
      '    database: { name: n, user: u }\n',
      'database has neither host nor socketPath: one of them is expected',
    ],
  ])('%s - refused', (_title, lines, message) => {
    expect(refusal(text(lines)).message).toContain(message);
  });

  it('written out - the default port is there as before', () => {
    expect(shop('    database: { name: n, user: u, host: h }\n').database).toMatchObject({ port: 3306 });
  });
});

describe('server', () => {
  it('true, false, a mapping, nothing - the root, what is excluded, and what is coffre’s own on this machine', () => {
    const own = ['/var/lib/coffre', '/etc/coffre/keys', '/srv/coffre'];
    expect(shop('    server: true\n').server).toEqual({ root: '/', exclude: [], own });
    expect(shop('    server: { exclude: [srv/mirror] }\n').server).toEqual({ root: '/', exclude: ['srv/mirror'], own });
    expect(shop('    server: { root: /chroot }\n', SSH).server).toEqual({ root: '/chroot', exclude: [], own: [] });
    expect(shop(`    server: false\n${FILES}`).server).toBeNull();
    expect(shop(FILES).server).toBeNull();
  });

  it.each([
    ['a word', '    server: yes please\n', 'shops.dupont.server is "yes please": true, false or { root: …, exclude: […] } is expected'],
    ['an unknown key', '    server: { exclud: [] }\n', 'server.exclud is not a known key: did you mean exclude?'],
    ['a root in a vault', '    server: { root: /srv/coffre/dupont }\n', 'server.root is "/srv/coffre/dupont" and lies in vault nas'],
  ])('%s - refused', (_title, lines, message) => {
    expect(refusal(text(lines)).message).toContain(message);
  });

  it('a relative root over SSH - refused', () => {
    expect(refusal(text('    server: { root: chroot }\n', SSH)).message).toContain('on a host reached by SSH an absolute path is expected');
  });
});

// Whether a restored shop works, on real MariaDB behind real PHP: tried past the guard, whatever PHP and PrestaShop keep in memory; and its rows and images.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { Temporal } from 'temporal-polyfill';
import { describe, expect, it } from 'vitest';
import { localHost } from '../../../src/host/local.ts';
import { checkNewestOrder, checkProducts, checkTables, checkVersion, countShop } from '../../../src/target/shop/checks.ts';
import { checkImages } from '../../../src/target/shop/images.ts';
import type { HttpCheck, ShopTables } from '../../../src/target/shop.ts';
import { startPhpFront } from '../../servers/php-front.ts';
import { phpShopSql } from '../../servers/php-shop.ts';
import { freePort, makeRig, until } from '../../servers/rig.ts';
import { asked, codes, front, running, served, server, serveShops, shopOf } from './served-shop.ts';
import { NEVER } from './setting.ts';

serveShops();

describe('answers of queries that PrestaShop keeps in memory', () => {
  const cached = (path: string, system: string): void =>
    writeFileSync(
      path,
      readFileSync(path, 'utf8').replace(
        /'ps_caching' => .*\n.*ps_cache_enable.*\n/,
        `'ps_caching' => '${system}',\n    'ps_cache_enable' => true,\n`,
      ),
    );

  it('Memcached - forgets them when the shop is closed, when caches are emptied and when it opens; one that is down is said', async () => {
    const shop = await shopOf({ version: '8.1.2' });
    const rig = makeRig('memcached');
    try {
      const port = await freePort();
      await rig.start('memcached', '/usr/bin/memcached', ['-l', '127.0.0.1', '-p', String(port), '-U', '0', '-u', 'root', '-m', '16']);
      await until('memcached answers', 20_000, async () => (await memcached(port, 'version').catch(() => '')).startsWith('VERSION'));
      await shop.session.run(`CREATE TABLE ps_memcached_servers (ip varchar(254), port int, weight int)`);
      await shop.session.run(`INSERT INTO ps_memcached_servers VALUES ('127.0.0.1', ${port}, 1)`);
      const target = running();
      const state = await target.readSwitch(shop.tables);
      const remember = (): Promise<string> => memcached(port, 'set answer 0 0 4\r\nopen');
      const isRemembered = async (): Promise<boolean> => (await memcached(port, 'get answer')).includes('open');
      await remember();
      await target.closeSwitch(shop.tables);
      expect(await isRemembered()).toBe(true);

      cached(join(served, 'app/config/parameters.php'), 'CacheMemcached');
      for (const work of [
        () => target.closeSwitch(shop.tables),
        () => target.emptyCaches(shop.tables),
        () => target.setSwitch(shop.tables, state),
      ]) {
        await remember();
        expect((await work()).detail).toContain('Memcached forgot');
        expect(await isRemembered()).toBe(false);
      }
      await rig.stop();
      expect((await target.closeSwitch(shop.tables)).detail).toContain('could not be told to forget them: ECONNREFUSED');
    } finally {
      await rig.stop();
    }
  });

  it('in PHP’s own memory - the check goes past them, and it is said what to do', async () => {
    const shop = await shopOf({ version: '8.1.2' });
    cached(join(served, 'app/config/parameters.php'), 'CacheApc');
    const config = join(served, 'config/config.inc.php');
    writeFileSync(config, `${readFileSync(config, 'utf8')}if (!defined('_PS_CACHE_ENABLED_')) { echo 'from memory'; exit; }\n`);
    const target = running();
    const before = await target.inspect(shop.tables);
    await target.guard();
    expect((await target.closeSwitch(shop.tables)).detail).toContain('reload php-fpm');
    const findings = await target.smokeTest({ tables: shop.tables, http: asked(), expectedTables: null, before, signal: NEVER });
    expect(codes(findings)).toEqual([]);
    expect(findings.find(({ check }) => check === 'caches')?.detail).toContain('reload php-fpm');
    await target.setSwitch(shop.tables, before.switch);
    await target.unguard();
    expect((await front.get()).body).toBe('from memory');
  });
});

describe('the smoke test', () => {
  it('each fault is red with its own code, and the shop stays closed', async () => {
    const shop = await shopOf({ version: '8.1.2', images: [1, 12], orders: ['2026-11-20 10:00:00'] });
    mkdirSync(join(served, 'img/p/1/2'), { recursive: true });
    writeFileSync(join(served, 'img/p/1/1.jpg'), 'image');
    writeFileSync(join(served, 'img/p/1/2/12.jpg'), 'image');
    const target = running();
    const before = await target.inspect(shop.tables);
    await target.guard();
    await target.closeSwitch(shop.tables);
    const test = async (marker: string | null = null): Promise<unknown> =>
      codes(await target.smokeTest({ tables: shop.tables, http: asked(marker), expectedTables: null, before, signal: NEVER }));
    expect(await test()).toEqual([]);
    expect(await test('Bienvenue')).toEqual(['E_SHOP_MARKER']);

    writeFileSync(join(served, 'img/p/1/2/12.jpg'), '');
    expect(await test()).toEqual(['E_SHOP_IMAGES']);
    writeFileSync(join(served, 'img/p/1/2/12.jpg'), 'image');
    await shop.session.run('RENAME TABLE ps_hook TO gone');
    expect(await test()).toEqual(['E_SHOP_TABLES']);
    await shop.session.run('RENAME TABLE gone TO ps_hook');
    await shop.session.run("UPDATE ps_configuration SET value='8.0.4' WHERE name='PS_VERSION_DB'");
    expect(await test()).toEqual(['E_SHOP_VERSION']);
    await shop.session.run("UPDATE ps_configuration SET value='8.1.2' WHERE name='PS_VERSION_DB'");
    await shop.session.run('DELETE FROM ps_product');
    expect(await test()).toEqual(['E_SHOP_PRODUCTS']);
    await shop.session.run('INSERT INTO ps_product (price) VALUES (1),(1)');
    writeFileSync(
      join(served, 'classes/Dispatcher.php'),
      "<?php class Dispatcher { static function getInstance() { header('x', true, 500); exit; } }\n",
    );
    expect(await test()).toEqual(['E_SHOP_HTTP']);
    expect((await front.get()).headers['x-coffre-guard']).toBe('1');
    await target.setSwitch(shop.tables, before.switch);
  });

  it('PrestaShop’s own maintenance does not stop the check; without the guard it does', async () => {
    const shop = await shopOf({ version: '8.1.2' });
    const target = running();
    await target.closeSwitch(shop.tables);
    const findings = await target.smokeTest({ tables: shop.tables, http: asked(), expectedTables: null, before: null, signal: NEVER });
    expect(findings.find(({ check }) => check === 'http')).toMatchObject({ ok: false, code: 'E_SHOP_HTTP', figures: { status: 503 } });
  });

  it('a web server that shows the shop although it is closed - E_SHOP_OPEN; one that does not answer - not proved', async () => {
    const shop = await shopOf({ version: '8.1.2' });
    expect(await running().proveClosed(shop.tables, asked(), NEVER)).toMatchObject({ ok: false, code: 'E_SHOP_OPEN' });
    const nobody: HttpCheck = { ...asked(), through: { host: '127.0.0.1', port: 1 } };
    expect(await running().proveClosed(shop.tables, nobody, NEVER)).toMatchObject({ ok: null, code: 'E_SHOP_OPEN' });
  });
});

describe('PHP that keeps what it compiled', () => {
  it.each([
    ['looks at files once a second - proved as soon as it looked', 'opcache.revalidate_freq=1', { ok: true }],
    ['never looks again - E_SHOP_OPEN', 'opcache.validate_timestamps=0', { ok: false, code: 'E_SHOP_OPEN' }],
  ])('%s', async (_, setting, proved) => {
    const shop = await shopOf({ version: '8.1.2' });
    const other = await startPhpFront(served, { workers: 1, opcache: [setting] });
    try {
      const http: HttpCheck = { ...asked(), through: { host: '127.0.0.1', port: other.port }, patienceMs: proved.ok ? 30_000 : 1500 };
      const host = 'of.no.shop';
      expect((await other.get('/', { host })).status).toBe(200);
      await running().guard();
      expect((await other.get('/', { host })).status).toBe(200);
      expect(await running().proveClosed(shop.tables, http, NEVER)).toMatchObject(proved);
      if (!proved.ok) return;
      await running().closeSwitch(shop.tables);
      const findings = await running().smokeTest({ tables: shop.tables, http, expectedTables: null, before: null, signal: NEVER });
      expect(codes(findings)).toEqual([]);
    } finally {
      await other.stop();
    }
  });
});

describe('checks of any database and tree', () => {
  const AS_OF = Temporal.Instant.from('2026-11-23T09:00:00Z');

  it('the newest order’s age is by the shop’s own clock; too old, none - red', async () => {
    const { tables, session } = await shopOf({ version: '8.1.2', orders: ['2026-11-22 10:00:00', '0000-00-00 00:00:00'] });
    const order = (oldest: string | null, expected = false) =>
      checkNewestOrder(tables, { asOf: AS_OF, oldest: oldest === null ? null : Temporal.Duration.from(oldest), expected });
    expect(await order(null)).toMatchObject({ ok: true, figures: { orders: 2, newest: '2026-11-22T09:00:00Z', ageMs: 24 * 3_600_000 } });
    expect(await order('PT23H')).toMatchObject({ ok: false, code: 'E_SHOP_ORDERS' });
    await session.run('DELETE FROM ps_orders');
    expect(await order(null)).toMatchObject({ ok: true });
    expect(await order(null, true)).toMatchObject({ ok: false, code: 'E_SHOP_ORDERS' });
  });

  it('images in the folders of every version; empty and missing ones count, up to the share that is allowed', async () => {
    const ids = [1, 23, 456, 70001, ...Array.from({ length: 200 }, (_, i) => 1000 + i)];
    const { tables } = await shopOf({ version: '1.7.8.11', images: ids });
    const write = (path: string, content = 'image'): void => {
      mkdirSync(join(served, 'img/p', path, '..'), { recursive: true });
      writeFileSync(join(served, 'img/p', path), content);
    };
    write('1/1.jpg');
    write('2/3/23.webp');
    write('99-456.jpg');
    write('7/0/0/0/1/70001.png');
    write('9/9/99-home_default.jpg');
    for (let i = 0; i < 199; i++) write(`x/${1000 + i}.jpg`);
    write('x/1199.jpg', '');
    const images = (allowed?: number) =>
      checkImages({ host: localHost, root: served, tables, signal: NEVER, ...(allowed === undefined ? {} : { allowed }) });
    expect(await images()).toMatchObject({ ok: true, figures: { images: 204, missing: 1, allowed: 2 } });
    expect(await images(0)).toMatchObject({ ok: false, code: 'E_SHOP_IMAGES', figures: { missing: 1 } });
    rmSync(join(served, 'img'), { recursive: true });
    expect(await images()).toMatchObject({ ok: false, code: 'E_SHOP_IMAGES', figures: { missing: 204, files: 0 } });
  });

  it('a database beside, with another prefix - named in full; counts, versions and tables are its own', async () => {
    const { session } = await shopOf({ version: '9.0.0' });
    await server.sql(`CREATE DATABASE scratch; USE scratch; ${phpShopSql({ version: '8.1.2', prefix: 'x1_', products: 7 })}`);
    const tables: ShopTables = { session, database: 'scratch', prefix: 'x1_' };
    expect(await countShop(tables)).toMatchObject({ products: 7, images: 0 });
    expect(await checkTables(tables, ['x1_product', 'x1_special', 'x1_other'])).toMatchObject({
      ok: false,
      code: 'E_SHOP_TABLES',
      detail: '2 of 3 tables are missing: x1_special, x1_other',
    });
    expect(await checkVersion({ tree: { host: localHost, root: served }, tables, expected: null })).toMatchObject({
      code: 'E_SHOP_VERSION',
    });
    expect(await checkVersion({ tree: null, tables, expected: '8.1.2' })).toMatchObject({ ok: true });
    expect(await checkVersion({ tree: null, tables: null, expected: null })).toMatchObject({ ok: null });
    expect(await checkProducts(tables, 20)).toMatchObject({ ok: false });
    expect(await checkProducts({ ...tables, prefix: 'no_' }, null)).toMatchObject({ ok: null, code: 'E_SHOP_PRODUCTS' });
  });
});

function memcached(port: number, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp(port, '127.0.0.1', () => socket.write(`${command}\r\n`));
    socket.setEncoding('latin1');
    let said = '';
    socket.on('data', (text) => {
      said += text;
      if (!/(STORED|END|VERSION.*)\r\n$/.test(said)) return;
      socket.destroy();
      resolve(said);
    });
    socket.on('error', reject);
  });
}

// A running shop on real MariaDB behind real PHP: closed, forced closed, put in order, opened; 1.6 to 9, several shops, SSH, lost connections.
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { CoffreError } from '../../../src/errors.ts';
import type { Host } from '../../../src/host/host.ts';
import { localHost } from '../../../src/host/local.ts';
import { SshHost } from '../../../src/host/ssh.ts';
import { RunningShop, redOf } from '../../../src/target/shop/running-shop.ts';
import { closeSwitch, readSwitch, setSwitch } from '../../../src/target/shop/switch.ts';
import type { ShopSession, ShopTables } from '../../../src/target/shop.ts';
import { htaccess, type PhpShopRows, phpShopSql, settingsOf } from '../../servers/php-shop.ts';
import { startSshd } from '../../servers/sshd.ts';
import { asked, codes, colours, dir, front, running, served, server, serveShops, shopOf } from './served-shop.ts';
import { NEVER, sessionOf, VERSIONS } from './setting.ts';

serveShops();

const settingsIn = async ({ tables, session }: { tables: ShopTables; session: ShopSession }, name: string): Promise<unknown[]> =>
  (
    await session.texts(
      `SELECT id_shop_group, id_shop, value FROM ${tables.prefix}configuration WHERE name='${name}' ORDER BY id_configuration`,
    )
  ).map((row) => row.join('|'));

describe('a whole restore, step by step as it will be done', () => {
  it.each(VERSIONS)(
    'PrestaShop %s - clients see the old shop, a 503, the new shop; the restored switch does not open it',
    async (version) => {
      const shop = await shopOf({ version, orders: ['2026-11-20 10:00:00'] });
      const target = running();
      const before = await target.inspect(shop.tables);
      expect(before).toMatchObject({
        kind: { application: 'prestashop', version, layout: version.startsWith('1.') ? version.slice(0, 3) : version[0] },
        open: true,
        guarded: [],
        counts: { products: 3, orders: 1 },
      });
      expect((await front.get()).body).toContain(`files ${version} one, database ${version} one`);

      const staged = join(dir, `staged-${version}`);
      cpSync(served, staged, { recursive: true });
      const defines = join(staged, 'config/defines.inc.php');
      writeFileSync(defines, readFileSync(defines, 'utf8').replace("'one'", "'two'"));

      await target.guard();
      await target.closeSwitch(shop.tables);
      expect(await target.proveClosed(shop.tables, asked(), NEVER)).toMatchObject({ ok: true });
      expect((await front.get('/admin7q2x/')).status).toBe(503);
      expect((await front.get('/modules/cron/cron.php')).status).toBe(503);

      // the archive: open in its own database, with other keys and leading to another server
      const beside = `${shop.database}_coffre_new`;
      await server.sql(
        `CREATE DATABASE ${beside}; USE ${beside}; ${phpShopSql({ version, edition: 'two', orders: ['2026-11-21 10:00:00'] })}`,
      );
      const besideTables: ShopTables = { session: shop.session, database: beside, prefix: 'ps_' };
      const archived = await target.readSwitch(besideTables);
      expect(await target.closeSwitch(besideTables)).toMatchObject({ changed: true });
      const settings = version.startsWith('1.6') ? 'config/settings.inc.php' : 'app/config/parameters.php';
      const elsewhere = {
        ...shop.options,
        cookieKey: 'archived',
        database: { ...shop.options.database, name: 'elsewhere', password: 'old' },
      };
      writeFileSync(join(staged, settings), settingsOf(elsewhere), { mode: 0o644 });
      const settled = await target.settleSettings(staged, 'keep', { databaseRestored: true, whole: true });
      expect(codes(settled)).toEqual([]);
      expect(readFileSync(join(staged, settings), 'utf8')).toBe(settingsOf({ ...shop.options, cookieKey: 'archived' }));
      expect(statSync(join(staged, settings)).mode & 0o777).toBe(0o640);
      expect((await target.guard(staged)).changed).toBe(true);

      // both swaps; the web server never sees anything else than the guard
      await shop.session.run(`DROP TABLE ps_configuration, ps_product`);
      for (const name of ['configuration', 'product']) {
        await shop.session.run(`RENAME TABLE ${beside}.ps_${name} TO ${shop.database}.ps_${name}`);
        expect((await front.get()).headers['x-coffre-guard']).toBe('1');
      }
      renameSync(served, join(dir, `old-${version}`));
      renameSync(staged, served);
      expect((await front.get()).headers['x-coffre-guard']).toBe('1');

      await target.guard();
      const emptied = await target.emptyCaches(shop.tables);
      expect(emptied.detail).toContain('img/tmp');
      expect(emptied.detail).toContain('table smarty_lazy_cache');
      expect(existsSync(join(served, 'cache/class_index.php'))).toBe(false);
      expect(readdirSync(join(served, 'cache/smarty/compile'))).toEqual(['index.php']);
      expect(await target.emptyCaches(shop.tables)).toMatchObject({ changed: false });

      const findings = await target.smokeTest({ tables: shop.tables, http: asked(), expectedTables: null, before, signal: NEVER });
      expect(codes(findings)).toEqual([]);
      expect(redOf(findings)).toBeNull();
      expect(colours(findings)).toEqual({
        tables: true,
        version: true,
        products: true,
        images: true,
        orders: true,
        settings: true,
        owners: true,
        closed: true,
        http: true,
        marker: true,
      });
      expect((await front.get()).headers['x-coffre-guard']).toBe('1');

      expect(await target.setSwitch(shop.tables, archived)).toMatchObject({ detail: 'PrestaShop’s maintenance is off' });
      expect((await front.get()).headers['x-coffre-guard']).toBe('1');
      await target.unguard();
      const page = await front.get();
      expect(page).toMatchObject({ status: 200 });
      expect(page.body).toContain(`files ${version} two, database ${version} two, classes fresh, 3 products`);
      expect(await settingsIn(shop, 'PS_MAINTENANCE_IP')).toEqual([]);
      expect(readdirSync(served).filter((name) => name.startsWith('.coffre'))).toEqual([]);
    },
  );

  it('over SSH - the same, names and contents that a shell could take for something else included', async () => {
    const shop = await shopOf({ version: '8.1.2' });
    const sshd = await startSshd();
    const host = new SshHost(sshd.hostConfig(), systemClock);
    try {
      const odd = join(dir, "it's $(touch no) `x` \\0");
      renameSync(served, odd);
      const target = new RunningShop(host, { root: odd, profile: 'prestashop' }, systemClock);
      const before = await target.inspect(shop.tables);
      expect(before).toMatchObject({ kind: { version: '8.1.2' }, open: true, settings: ['app/config/parameters.php', '.env'] });
      await target.guard();
      await target.closeSwitch(shop.tables);
      const staged = `${odd}-staged`;
      cpSync(odd, staged, { recursive: true });
      writeFileSync(join(staged, '.env'), 'APP_ENV=dev\n');
      expect(codes(await target.settleSettings(staged, 'keep', { databaseRestored: false, whole: true }))).toEqual([]);
      expect(readFileSync(join(staged, '.env'), 'utf8')).toBe('APP_ENV=prod\n');
      await target.emptyCaches(null);
      expect(readdirSync(join(odd, 'var/cache')).sort()).toEqual(['.htaccess']);
      renameSync(odd, served);
      const findings = await new RunningShop(host, { root: served, profile: 'prestashop' }, systemClock).smokeTest({
        tables: shop.tables,
        http: asked(),
        expectedTables: null,
        before,
        signal: NEVER,
      });
      expect(codes(findings)).toEqual([]);
      expect(colours(findings)).toMatchObject({ http: true, marker: true, closed: true });
      await target.setSwitch(shop.tables, before.switch);
      await new RunningShop(host, { root: served, profile: 'prestashop' }, systemClock).unguard();
      expect((await front.get()).status).toBe(200);
      expect(existsSync(join(dir, 'no'))).toBe(false);
    } finally {
      await host.close();
      await sshd.stop();
    }
  });
});

describe('the switch', () => {
  const SHOPS: PhpShopRows['shops'] = [
    { id: 1, group: 1, domain: '127.0.0.1' },
    { id: 2, group: 1, domain: 'two.example' },
    { id: 3, group: 2, domain: 'three.example' },
  ];
  const SETTINGS: PhpShopRows['settings'] = [
    { name: 'PS_SHOP_ENABLE', value: '0' },
    { name: 'PS_SHOP_ENABLE', value: '1', group: 1 },
    { name: 'PS_SHOP_ENABLE', value: '0', shop: 2 },
    { name: 'PS_SHOP_ENABLE', value: '1', shop: 3 },
    { name: 'PS_MAINTENANCE_IP', value: '10.1.2.3', shop: 3 },
    { name: 'PS_MAINTENANCE_ALLOW_ADMINS', value: '1' },
  ];

  it('several shops and groups - each closed, each back to what it was, to administrators and allowed addresses too', async () => {
    const shop = await shopOf({ version: '8.1.2', shops: SHOPS, settings: SETTINGS });
    const statuses = async (headers = {}) =>
      await Promise.all(
        ['127.0.0.1', 'two.example', 'three.example'].map(async (host) => (await front.get('/', { host, headers })).status),
      );
    const state = await readSwitch(shop.tables);
    expect(await running().inspect(shop.tables)).toMatchObject({
      open: true,
      shops: [{ id: 1, groupId: 1 }, { id: 2 }, { id: 3, groupId: 2 }],
    });
    expect(await statuses()).toEqual([200, 503, 200]);
    expect(await statuses({ cookie: 'psAdmin=1' })).toEqual([200, 200, 200]);
    await closeSwitch(shop.tables);
    expect(await statuses()).toEqual([503, 503, 503]);
    expect(await statuses({ cookie: 'psAdmin=1' })).toEqual([503, 503, 503]);
    expect(await statuses({ 'x-forwarded-for': '10.1.2.3' })).toEqual([503, 503, 503]);
    expect(await running().inspect(shop.tables)).toMatchObject({ open: false });
    expect(await closeSwitch(shop.tables)).toMatchObject({ changed: false });
    await setSwitch(shop.tables, state);
    expect(await readSwitch(shop.tables)).toEqual(state);
    expect(await settingsIn(shop, 'PS_MAINTENANCE_IP')).toEqual(['|3|10.1.2.3']);
    expect(await statuses()).toEqual([200, 503, 200]);
    expect(await setSwitch(shop.tables, state)).toMatchObject({ changed: false });
  });

  it.each(['InnoDB', 'MyISAM'])(
    '%s - killed before any statement of closing or opening: closed or as before, and the same again ends it',
    async (engine) => {
      const shop = await shopOf({ version: '1.7.8.11', shops: SHOPS, settings: SETTINGS });
      await shop.session.run(`ALTER TABLE ps_configuration ENGINE=${engine}`);
      const state = await readSwitch(shop.tables);
      const enabled = async (): Promise<unknown> => await settingsIn(shop, 'PS_SHOP_ENABLE');
      const [open, closed] = [
        ['||0', '1||1', '|2|0', '|3|1'],
        ['||0', '1||0', '|2|0', '|3|0'],
      ];
      for (const work of ['close', 'open'] as const) {
        for (let dieAt = 1; ; dieAt++) {
          if (work === 'open') await closeSwitch(shop.tables);
          const session = await sessionOf(server, shop.database);
          const dying = dyingSession(session, dieAt);
          const tables = { ...shop.tables, session: dying };
          const died = await (work === 'close' ? closeSwitch(tables) : setSwitch(tables, state)).then(
            () => false,
            () => true,
          );
          session.destroy();
          // without transactions the shops open one after the other, behind the guard
          if (engine === 'InnoDB' || work === 'close') expect([open, closed]).toContainEqual(await enabled());
          await (work === 'close' ? closeSwitch(shop.tables) : setSwitch(shop.tables, state));
          expect(await enabled()).toEqual(work === 'close' ? closed : open);
          await setSwitch(shop.tables, state);
          expect(await readSwitch(shop.tables)).toEqual(state);
          if (!died) break;
          expect(dieAt).toBeLessThan(40);
        }
      }
    },
  );

  it('a database without PrestaShop’s tables, or none - said so, nothing done', async () => {
    const shop = await shopOf({ version: '8.1.2' });
    const empty: ShopTables = { ...shop.tables, prefix: 'none_' };
    for (const tables of [empty, null]) {
      expect(await readSwitch(tables)).toBeNull();
      expect(await closeSwitch(tables)).toMatchObject({ changed: false, detail: expect.stringContaining('no tables of PrestaShop') });
      expect(await setSwitch(tables, { rows: [] })).toMatchObject({ changed: false });
    }
    expect(await running().inspect(empty)).toMatchObject({ switch: null, open: null, counts: null, urls: [] });
  });
});

describe('a connection that is lost at any program', () => {
  /** As SshHost ends a program whose connection broke: its output cut off, no status. */
  function losing(at: number): Host & { readonly started: () => number } {
    let started = 0;
    return {
      ...localHost,
      started: () => started,
      start(argv, signal) {
        started += 1;
        if (started !== at) return localHost.start(argv, signal);
        const program = localHost.start(['sh', '-c', 'exit 9'], signal);
        return { ...program, ended: program.ended.then(() => ({ status: null, lost: true })) };
      },
    };
  }

  it.each(['guard', 'settle', 'inspect', 'unguard'] as const)(
    '%s - it says so, or has done all; never taken for a tree without files',
    async (work) => {
      const shop = await shopOf({ version: '8.1.2' });
      const staged = join(dir, `staged-lost-${work}`);
      const settings = join(staged, 'app/config/parameters.php');
      mkdirSync(join(staged, 'app/config'), { recursive: true });
      const isGuarded = (): boolean => readFileSync(join(served, 'index.php'), 'utf8').includes('coffre-guard');
      if (work !== 'guard') await running().guard();
      let failures = 0;
      for (let at = 1; ; at++) {
        const host = losing(at);
        const target = running(host);
        writeFileSync(settings, settingsOf({ ...shop.options, cookieKey: 'theirs' }));
        try {
          if (work === 'guard') {
            await target.guard();
            expect(isGuarded()).toBe(true);
          } else if (work === 'unguard') {
            await target.unguard();
            expect(isGuarded()).toBe(false);
          } else if (work === 'settle') {
            await target.settleSettings(staged, 'keep', { databaseRestored: false, whole: false });
            expect(readFileSync(settings, 'utf8')).toBe(settingsOf(shop.options));
          } else {
            expect(await target.inspect(null)).toMatchObject({
              kind: { version: '8.1.2' },
              guarded: ['index.php', 'config/config.inc.php'],
              settings: ['app/config/parameters.php', '.env'],
            });
          }
        } catch (error) {
          if (!(error instanceof CoffreError)) throw error;
          failures += 1;
        }
        if (host.started() < at) break;
        if (work === 'guard') await running().unguard();
        if (work === 'unguard') await running().guard();
      }
      expect(failures).toBeGreaterThan(2);
    },
  );
});

describe('a shop of which a part is gone', () => {
  it('no folder - looked at, nothing guarded, emptied or asked; its database is closed and opened all the same', async () => {
    const shop = await shopOf({ version: '8.1.2' });
    const target = new RunningShop(localHost, { root: join(dir, 'gone'), profile: 'prestashop' }, systemClock);
    const before = await target.inspect(shop.tables);
    expect(before).toMatchObject({ kind: { version: null }, open: true, guarded: [], settings: [], owners: {}, missingImages: null });
    expect(await target.guard()).toEqual({ changed: false, detail: 'no guard: there is no folder' });
    expect(await target.emptyCaches(null)).toMatchObject({ changed: false });
    expect(await target.closeSwitch(shop.tables)).toMatchObject({ changed: true });
    const findings = await target.smokeTest({ tables: shop.tables, http: null, expectedTables: null, before, signal: NEVER });
    expect(colours(findings)).toEqual({ tables: true, version: true, products: true, orders: true, http: true });
    expect(await target.setSwitch(shop.tables, before.switch)).toMatchObject({ changed: true });
    expect(await target.unguard()).toMatchObject({ changed: false });
  });

  it('a tree alone, of a profile that coffre knows nothing of - no guard, and it says so', async () => {
    const target = new RunningShop(localHost, { root: dir, profile: 'generic' }, systemClock);
    expect(await target.inspect(null)).toMatchObject({ kind: { application: 'generic' }, switch: null, guarded: [], counts: null });
    expect((await target.guard()).detail).toContain('profile generic');
    expect(await target.smokeTest({ tables: null, http: null, expectedTables: null, before: null, signal: NEVER })).toMatchObject([
      { check: 'http' },
    ]);
  });

  it('WordPress - the guard before index.php and wp-load.php, no switch', async () => {
    const root = join(dir, 'wordpress');
    mkdirSync(join(root, 'wp-content/cache/x'), { recursive: true });
    for (const name of ['index.php', 'wp-load.php']) writeFileSync(join(root, name), '<?php\n');
    const target = new RunningShop(localHost, { root, profile: 'wordpress' }, systemClock);
    expect((await target.guard()).detail).toBe('guard before index.php, wp-load.php');
    expect(await target.inspect(null)).toMatchObject({ guarded: ['index.php', 'wp-load.php'] });
    expect(await target.closeSwitch(null)).toMatchObject({ changed: false });
    expect(await target.emptyCaches(null)).toMatchObject({ detail: 'emptied wp-content/cache' });
    await target.unguard();
    expect(readFileSync(join(root, 'wp-load.php'), 'utf8')).toBe('<?php\n');
  });
});

describe('settings, caches and addresses', () => {
  it('keep, files alone - the machine’s file stays; archive - the archive’s, red because its keys are not the running database’s', async () => {
    const shop = await shopOf({ version: '8.1.2' }, { cookieKey: 'ours' });
    const staged = join(dir, 'staged-keys');
    mkdirSync(join(staged, 'app/config'), { recursive: true });
    const archived = settingsOf({ ...shop.options, cookieKey: 'theirs' });
    const path = join(staged, 'app/config/parameters.php');
    if (process.getuid?.() === 0) chownSync(join(served, 'app/config/parameters.php'), 33, 34);
    for (const [choice, kept] of [
      ['keep', settingsOf(shop.options)],
      ['archive', archived],
    ] as const) {
      writeFileSync(path, archived);
      const findings = await running().settleSettings(staged, choice, { databaseRestored: false, whole: false });
      expect(readFileSync(path, 'utf8')).toBe(kept);
      expect(codes(findings)).toEqual(choice === 'keep' ? [] : ['E_SHOP_SETTINGS']);
      if (choice === 'keep' && process.getuid?.() === 0) expect(statSync(path)).toMatchObject({ uid: 33, gid: 34, mode: 0o100640 });
      expect(JSON.stringify(findings)).not.toMatch(/ours|theirs|p-w/);
    }
    writeFileSync(path, archived);
    expect(codes(await running().settleSettings(staged, 'archive', { databaseRestored: true, whole: false }))).toEqual([]);
    // only what differs is staged: what is not there stays in the tree
    expect(existsSync(join(staged, '.env'))).toBe(false);
    await running().settleSettings(staged, 'keep', { databaseRestored: true, whole: true });
    expect(statSync(join(staged, '.env')).mode & 0o777).toBe(0o600);
  });

  it('caches behind links are not emptied', async () => {
    const shop = await shopOf({ version: '8.1.2' });
    const outside = join(dir, 'outside');
    mkdirSync(join(outside, 'prod'), { recursive: true });
    writeFileSync(join(outside, 'prod/kept'), 'kept');
    rmSync(join(served, 'var/cache'), { recursive: true });
    symlinkSync(outside, join(served, 'var/cache'));
    symlinkSync(outside, join(served, 'img/tmp/link'));
    symlinkSync(outside, join(served, 'themes/linked'));
    mkdirSync(join(outside, 'cache'));
    writeFileSync(join(outside, 'cache/kept'), 'kept');
    await running().emptyCaches(shop.tables);
    expect(readdirSync(join(served, 'img/tmp'))).toEqual([]);
    expect(readFileSync(join(outside, 'prod/kept'), 'utf8')).toBe('kept');
    expect(readFileSync(join(outside, 'cache/kept'), 'utf8')).toBe('kept');
  });

  it('the address of one shop among several - in its rows and in .htaccess, and again changes nothing', async () => {
    const shop = await shopOf({
      version: '8.1.2',
      shops: [
        { id: 1, group: 1, domain: 'www.dupont.example' },
        { id: 2, group: 1, domain: 'two.example' },
      ],
    });
    rmSync(join(served, '.htaccess'));
    writeFileSync(join(served, '.htaccess'), htaccess('www.dupont.example'), { mode: 0o640 });
    const changes = [{ from: null, to: '127.0.0.1', physicalUri: null }];
    expect(await running().setDomains(shop.tables, changes)).toMatchObject({ changed: true });
    expect((await running().inspect(shop.tables)).urls.map(({ domain, domainSsl }) => `${domain} ${domainSsl}`)).toEqual([
      '127.0.0.1 127.0.0.1',
      'two.example two.example',
    ]);
    expect(await settingsIn(shop, 'PS_SHOP_DOMAIN')).toEqual(['||127.0.0.1']);
    expect(readFileSync(join(served, '.htaccess'), 'utf8')).toBe(htaccess('127.0.0.1'));
    expect(statSync(join(served, '.htaccess')).mode & 0o777).toBe(0o640);
    expect(await running().setDomains(shop.tables, changes)).toMatchObject({ changed: false });
  });
});

/** Its connection is gone before the statement of that number; reads count too. */
function dyingSession(session: Awaited<ReturnType<typeof sessionOf>>, dieAt: number): ShopSession {
  let asked = 0;
  const next = (): void => {
    asked += 1;
    if (asked >= dieAt) session.destroy();
  };
  return {
    texts: (sql) => {
      next();
      return session.texts(sql);
    },
    run: (sql) => {
      next();
      return session.run(sql);
    },
  };
}

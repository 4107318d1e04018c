// A web server with PHP and a database server for the tests of one file, and a fresh small shop behind them for each test.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import type { Host } from '../../../src/host/host.ts';
import { localHost } from '../../../src/host/local.ts';
import { RunningShop } from '../../../src/target/shop/running-shop.ts';
import type { HttpCheck, ShopFinding } from '../../../src/target/shop.ts';
import { type Mariadb, startMariadb } from '../../servers/mariadb.ts';
import { type PhpFront, startPhpFront } from '../../servers/php-front.ts';
import type { PhpShopRows } from '../../servers/php-shop.ts';
import { makeSmallShop, type SmallShop } from './setting.ts';

export let server: Mariadb;
export let front: PhpFront;
export let dir: string;
/** What the web server serves: a link, so that each test has its own tree behind it. */
export let served: string;
const opened: SmallShop[] = [];

/** To be called once, at the top of a test file. */
export function serveShops(): void {
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'coffre-test-'));
    served = join(dir, 'www');
    mkdirSync(served);
    [server, front] = await Promise.all([startMariadb(), startPhpFront(served)]);
  });
  afterAll(async () => {
    await Promise.all(opened.map(({ session }) => session.end()));
    await Promise.all([server?.stop(), front?.stop()]);
    rmSync(dir, { recursive: true, force: true });
  });
}

/** Its tree is what the web server serves from then on. */
export async function shopOf(rows: PhpShopRows, options?: Parameters<typeof makeSmallShop>[3]): Promise<SmallShop> {
  rmSync(served, { recursive: true, force: true });
  const shop = await makeSmallShop(server, served, rows, options);
  opened.push(shop);
  return shop;
}

export const running = (host: Host = localHost): RunningShop => new RunningShop(host, { root: served, profile: 'prestashop' }, systemClock);
/** How its page is asked for. */
export const asked = (marker: string | null = null): HttpCheck => ({
  url: null,
  through: { host: '127.0.0.1', port: front.port },
  timeoutMs: 30_000,
  patienceMs: 200,
  marker,
});
export const colours = (findings: readonly ShopFinding[]) => Object.fromEntries(findings.map(({ check, ok }) => [check, ok]));
export const codes = (findings: readonly ShopFinding[]) => findings.filter(({ ok }) => ok !== true).map(({ code }) => code);

// Whether a restored shop works: its tables, files and settings fit each other, clients are still kept out, and its pages come past the guard.

import type { Clock } from '../../clock.ts';
import type { FilesConfig } from '../../config/config.ts';
import { asCoffreError, CoffreError, type ErrorCode } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import { readDatabaseSettings } from '../../source/shop/database-settings.ts';
import { quoteText } from '../mariadb/names.ts';
import type { HttpCheck, ShopFinding, ShopTables, SmokeOptions } from '../shop.ts';
import { checkNewestOrder, checkProducts, checkTables, checkVersion, countShop } from './checks.ts';
import { fine, red, unknown } from './findings.ts';
import { type Answer, askPage, holdsText } from './http-check.ts';
import { checkImages } from './images.ts';
import { checkOwners } from './owners.ts';
import { type Address, addressesOf, askUntil, proveClosed } from './prove-closed.ts';
import { ask, globalSetting, presentTables, tableName } from './tables.ts';

const MORE_MISSING_SHARE = 0.1;

export interface SmokeTest extends SmokeOptions {
  readonly host: Host;
  readonly clock: Clock;
  /** null: there is no tree. */
  readonly root: string | null;
  readonly profile: FilesConfig['profile'];
  /** Lets it past the guard; null: none stands. */
  readonly token: string | null;
}

/** Every check that can be made; one that throws is a finding too. Throws the signal's reason. */
export async function smokeTest(test: SmokeTest): Promise<readonly ShopFinding[]> {
  const { host, clock, root, profile, tables, http, before, signal } = test;
  const findings: ShopFinding[] = [];
  const look = async (check: ShopFinding['check'], code: ErrorCode, work: () => Promise<readonly ShopFinding[]>): Promise<void> => {
    signal.throwIfAborted();
    try {
      findings.push(...(await work()));
    } catch (error) {
      if (signal.aborted) throw error;
      const failure = asCoffreError(error);
      findings.push(unknown(check, failure instanceof CoffreError ? failure.code : code, failure.message));
    }
  };
  if (tables !== null && profile === 'prestashop') {
    await look('tables', 'E_SHOP_TABLES', async () => [await checkTables(tables, test.expectedTables)]);
    await look('version', 'E_SHOP_VERSION', async () => [
      await checkVersion({ tree: root === null ? null : { host, root }, tables, expected: null }),
    ]);
    // rows were counted against the manifest: an older shop may well have had fewer products and orders than it has now
    await look('products', 'E_SHOP_PRODUCTS', async () => [await checkProducts(tables, before?.counts?.products === 0 ? 0 : null)]);
    await look('orders', 'E_SHOP_ORDERS', async () => [
      await checkNewestOrder(tables, { asOf: clock.now(), oldest: null, expected: false }),
    ]);
    if (root !== null) await look('images', 'E_SHOP_IMAGES', async () => [await checkTheirImages(test, root, tables)]);
  }
  if (tables !== null && root !== null && profile !== 'generic') {
    await look('settings', 'E_SHOP_SETTINGS', async () => [await checkSettings({ host, root, profile }, tables)]);
  }
  if (before !== null && root !== null) await look('owners', 'E_SHOP_OWNERS', async () => [await checkOwners(host, root, before.owners)]);
  if (http === null) {
    findings.push(fine('http', 'no page was asked for: no address is configured'));
    return findings;
  }
  if (test.token !== null) await look('closed', 'E_SHOP_OPEN', async () => [await proveClosed({ host, clock, tables, http, signal })]);
  await look('http', 'E_SHOP_HTTP', () => checkPages(test, http));
  return findings;
}

/**
 * A database alone, or of another day than the files, names images that are gone since, and a shop may lack some of old: that is said, with
 * how many. So many more than before that it is another shop's tree keeps it closed.
 */
async function checkTheirImages({ host, before, signal }: SmokeTest, root: string, tables: ShopTables): Promise<ShopFinding> {
  const images = (await countShop(tables))?.images ?? 0;
  const allowed = (before?.missingImages ?? 0) + Math.floor(images * MORE_MISSING_SHARE);
  return await checkImages({ host, root, tables, allowed, signal });
}

async function checkPages(test: SmokeTest, http: HttpCheck): Promise<readonly ShopFinding[]> {
  const { host, clock, tables, token, signal } = test;
  const addresses = await addressesOf(tables, http);
  if (addresses.length === 0) return [unknown('http', 'E_SHOP_HTTP', 'no address is known that could be asked')];
  const findings: ShopFinding[] = [];
  for (const address of addresses) {
    const { url } = address;
    const { origin } = new URL(url);
    const startedMs = clock.monotonicMs();
    const answer = await askUntil(clock, http, signal, isPage, () =>
      askPage(host, clock, { url, through: http.through, timeoutMs: http.timeoutMs, token }, signal),
    );
    const figures = {
      status: answer.status,
      bytes: answer.body.length,
      redirects: answer.redirects,
      tookMs: Math.round(clock.monotonicMs() - startedMs),
    };
    if (answer.guard) findings.push(red('http', 'E_SHOP_HTTP', `${origin}: the guard does not let the check through`, figures));
    else if (!isPage(answer)) findings.push(red('http', 'E_SHOP_HTTP', `${origin} answers ${answer.status}`, figures));
    else findings.push(fine('http', `${origin} shows a page`, figures), await checkMarker(tables, http, address, answer));
  }
  return findings;
}

const isPage = ({ status, guard }: Answer): boolean => status === 200 && !guard;

/** A page of 200 may be another site's, or an error that PHP printed. */
async function checkMarker(tables: ShopTables | null, http: HttpCheck, { url, shopId }: Address, { body }: Answer): Promise<ShopFinding> {
  const { origin } = new URL(url);
  const marker = http.marker ?? (tables === null ? null : await nameOf(tables, shopId));
  if (marker === null || marker.trim() === '')
    return unknown('marker', 'E_SHOP_MARKER', `${origin}: no text is known that its page should hold`);
  const what = http.marker === null ? 'the shop’s name' : 'the text that was given';
  return holdsText(body, marker)
    ? fine('marker', `${origin}: the page holds ${what}`)
    : red('marker', 'E_SHOP_MARKER', `${origin}: the page does not hold ${what}`);
}

/** The shop's own, its group's or everybody's PS_SHOP_NAME. */
async function nameOf(tables: ShopTables, shopId: number | null): Promise<string | null> {
  if (!(await presentTables(tables, ['configuration'])).has('configuration')) return null;
  if (shopId !== null) {
    const rows = await ask(
      tables,
      'ps_configuration',
      `SELECT value FROM ${tableName(tables, 'configuration')} WHERE name=${quoteText('PS_SHOP_NAME')} AND id_shop=${shopId} ORDER BY id_configuration DESC LIMIT 1`,
    );
    if (rows[0]?.[0]) return rows[0][0];
  }
  return await globalSetting(tables, 'PS_SHOP_NAME');
}

/** The settings file leads to the database that was restored, and to its tables. */
async function checkSettings(
  { host, root, profile }: Pick<SmokeTest, 'host' | 'profile'> & { readonly root: string },
  tables: ShopTables,
): Promise<ShopFinding> {
  const { name, prefix } = await readDatabaseSettings(host, { root, profile });
  const restored = tables.database ?? (await ask(tables, 'the database’s name', 'SELECT DATABASE()'))[0]?.[0] ?? null;
  if (name !== restored)
    return red('settings', 'E_SHOP_SETTINGS', `the settings lead to database ${name}, restored is ${restored ?? 'none'}`);
  if (prefix !== tables.prefix) {
    return red(
      'settings',
      'E_SHOP_SETTINGS',
      `the settings say that tables begin with ${prefix}, those restored begin with ${tables.prefix}`,
    );
  }
  return fine('settings', 'the settings lead to the restored database and its tables');
}

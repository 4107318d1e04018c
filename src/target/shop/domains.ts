// The address of a shop: in its database, and in the part of .htaccess that PrestaShop writes.
import type { Host } from '../../host/host.ts';
import { readOwnFile } from '../../source/shop/host-file.ts';
import { quoteText } from '../mariadb/names.ts';
import type { Did, DomainChange, ShopTables, ShopUrl } from '../shop.ts';
import { ask, change, inTransaction, presentTables, tableName } from './tables.ts';
import { writeLike } from './write-like.ts';

const HTACCESS = '.htaccess';

/** By number; none where there is no such table. Throws E_DB_READ. */
export async function readUrls(tables: ShopTables): Promise<readonly ShopUrl[]> {
  if (!(await presentTables(tables, ['shop_url'])).has('shop_url')) return [];
  const rows = await ask(
    tables,
    'ps_shop_url',
    `SELECT id_shop_url, id_shop, domain, domain_ssl, physical_uri, virtual_uri, main, active FROM ${tableName(tables, 'shop_url')} ORDER BY id_shop, id_shop_url`,
  );
  return rows.map(([id, shopId, domain, domainSsl, physicalUri, virtualUri, main, active]) => ({
    id: Number(id),
    shopId: Number(shopId),
    domain: domain ?? '',
    domainSsl: domainSsl ?? '',
    physicalUri: physicalUri ?? '/',
    virtualUri: virtualUri ?? '',
    main: main === '1',
    active: active === '1',
  }));
}

/** The domain of the main shop. */
export function mainDomain(urls: readonly ShopUrl[]): string | null {
  return (urls.find(({ main, active }) => main && active) ?? urls[0])?.domain ?? null;
}

/** Files first: once the database has the new domain, the old one is not known any more. Throws E_DB_READ, E_TARGET_WRITE, E_CONFIG, and as runScript. */
export async function setDomains(host: Host, root: string, tables: ShopTables | null, changes: readonly DomainChange[]): Promise<Did> {
  if (changes.length === 0) return { changed: false, detail: 'the address stays' };
  const urls = tables === null ? [] : await readUrls(tables);
  if (tables === null || urls.length === 0) return { changed: false, detail: 'there are no addresses: no tables of PrestaShop' };
  const done: string[] = [];
  for (const { from: given, to, physicalUri } of changes) {
    const from = given ?? mainDomain(urls);
    if (from === null) continue;
    const old = urls.find((url) => url.domain === from || url.domainSsl === from)?.physicalUri ?? null;
    const uri = old === null || physicalUri === null ? null : { from: old, to: physicalUri };
    if (await changeHtaccess(host, root, { from, to, uri })) done.push(HTACCESS);
    if ((await changeRows(tables, { from, to, physicalUri })) > 0) done.push('ps_shop_url and ps_configuration');
  }
  const detail = done.length > 0 ? `the new address is in ${[...new Set(done)].join(', ')}` : 'the address was that already';
  return { changed: done.length > 0, detail };
}

async function changeRows(tables: ShopTables, { from, to, physicalUri }: DomainChange & { readonly from: string }): Promise<number> {
  const urls = tableName(tables, 'shop_url');
  const [old, fresh] = [quoteText(from), quoteText(to)];
  return await inTransaction(tables, 'ps_shop_url', async () => {
    let rows = 0;
    if (physicalUri !== null) {
      const uri = quoteText(physicalUri);
      rows += await change(
        tables,
        'ps_shop_url',
        `UPDATE ${urls} SET physical_uri=${uri} WHERE (domain IN (${old},${fresh}) OR domain_ssl IN (${old},${fresh})) AND physical_uri<>${uri}`,
      );
    }
    if (from === to) return rows;
    rows += await change(tables, 'ps_shop_url', `UPDATE ${urls} SET domain=${fresh} WHERE domain=${old}`);
    rows += await change(tables, 'ps_shop_url', `UPDATE ${urls} SET domain_ssl=${fresh} WHERE domain_ssl=${old}`);
    rows += await change(
      tables,
      'ps_configuration',
      `UPDATE ${tableName(tables, 'configuration')} SET value=${fresh} WHERE name IN ('PS_SHOP_DOMAIN','PS_SHOP_DOMAIN_SSL') AND value=${old}`,
    );
    return rows;
  });
}

async function changeHtaccess(host: Host, root: string, change: HtaccessChange): Promise<boolean> {
  const content = await readOwnFile(host, root, HTACCESS);
  if (content === null) return false;
  const text = content.toString('latin1');
  const changed = htaccessWith(text, change);
  if (changed === text) return false;
  await writeLike(host, { tree: root, path: HTACCESS, like: root, content: Buffer.from(changed, 'latin1') });
  return true;
}

export interface HtaccessChange {
  readonly from: string;
  readonly to: string;
  /** Of the folder that the shop lies in, below its domain; null: stays. */
  readonly uri: { readonly from: string; readonly to: string } | null;
}

/** Between these PrestaShop writes anew whenever somebody saves its addresses; what stands outside is somebody's own and stays. */
const OWN_PART = /(#\s*~~start~~)([\s\S]*?)(#\s*~~end~~)/g;

/** Pure. The text with the new address in PrestaShop's own part. */
export function htaccessWith(text: string, { from, to, uri }: HtaccessChange): string {
  return text.replace(OWN_PART, (_, start: string, part: string, end: string) => start + partWith(part, from, to, uri) + end);
}

function partWith(part: string, from: string, to: string, uri: HtaccessChange['uri']): string {
  // plain, or as a pattern with its dots escaped
  const name = from
    .split('.')
    .map((label) => label.replace(/[^\w-]/g, '\\$&'))
    .join('\\\\?\\.');
  const domain = new RegExp(`(?<![\\w.-])${name}(?![\\w-]|\\.\\w)`, 'gi');
  let changed = part.replace(domain, (found) => (found.includes('\\.') ? to.replaceAll('.', '\\.') : to));
  if (uri !== null && uri.from !== uri.to) {
    changed = changed
      .replaceAll(`E=REWRITEBASE:${uri.from}]`, `E=REWRITEBASE:${uri.to}]`)
      .replaceAll(`ErrorDocument 404 ${uri.from}index.php`, `ErrorDocument 404 ${uri.to}index.php`);
  }
  return changed;
}

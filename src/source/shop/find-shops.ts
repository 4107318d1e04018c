// Shops that a machine holds, found before anything is configured: where web servers look, and where their trees usually lie.
import { basename, dirname } from 'node:path';
import type { Host } from '../../host/host.ts';
import { PRESTASHOP_SIGN, WORDPRESS_SIGN } from './detect.ts';
import { outputLines } from './host-file.ts';
import { previewAt, type ShopPreview } from './preview.ts';

export interface FoundShop extends ShopPreview {
  /** For the configuration: a folder of its path that says more than `www` does. */
  readonly name: string;
}

/** Deeper is no web root: /home/martin/domains/example.net/public_html is four below. */
const MOST_DEPTH = 5;
const USUAL_FOLDERS = ['/var/www', '/srv/www', '/srv/http', '/usr/share/nginx', '/home', '/opt'] as const;
/** Where the web servers of Debian and of the others keep their sites. */
const SITES = ['/etc/apache2/sites-enabled', '/etc/nginx/sites-enabled', '/etc/nginx/conf.d', '/etc/httpd/conf.d', '/etc/caddy'] as const;
/** Never shops, and large. */
const NOT_LOOKED_INTO = ['vendor', 'node_modules', 'cache', '.git', 'img', 'proc', 'sys'] as const;
/** Names that every web root has. */
const SAYS_NOTHING =
  /^(html|htdocs|httpdocs|www|public|public-html|web|site|shop|store|boutique|prestashop|wordpress|current|live|prod|app|src|domains|vhosts|home|srv|var|opt)$/i;
/** More than these are a hosting platform's, which declares its shops itself. */
const MOST_SHOPS = 500;

/** Under `folders`, or where shops usually are; by path. What cannot be read is passed over. Throws E_TOOL_MISSING, E_SSH_…. */
export async function findShops(host: Host, folders: readonly string[] | null): Promise<readonly FoundShop[]> {
  const under = folders ?? [...USUAL_FOLDERS, ...(await webRoots(host))];
  const found: FoundShop[] = [];
  const names = new Set<string>();
  for (const root of outermost(await rootsUnder(host, under)).slice(0, MOST_SHOPS)) {
    const preview = (await previewAt(host, root, 'prestashop')) ?? (await previewAt(host, root, 'wordpress'));
    if (preview === null) continue;
    const name = freeName(root, names);
    names.add(name);
    found.push({ ...preview, name });
  }
  return found;
}

/** Folders that web servers serve, by their configuration. */
async function webRoots(host: Host): Promise<string[]> {
  const lines = await outputLines(host, ['grep', '-rhiE', '^\\s*(DocumentRoot|root)\\s', ...SITES]);
  return lines.flatMap((line) => {
    const path = /^\s*(?:DocumentRoot|root)\s+\*?\s*["']?(\/[^"';\s]*)/i.exec(line)?.[1];
    return path === undefined ? [] : [path];
  });
}

async function rootsUnder(host: Host, folders: readonly string[]): Promise<string[]> {
  if (folders.length === 0) return [];
  const skipped = NOT_LOOKED_INTO.flatMap((name, index) => [...(index > 0 ? ['-o'] : []), '-name', name]);
  const signs = [PRESTASHOP_SIGN, WORDPRESS_SIGN];
  const wanted = signs.flatMap((sign, index) => [...(index > 0 ? ['-o'] : []), '-path', `*/${sign}`]);
  // a sign lies two below its root; -H: a folder that was named may be a link, what lies in it is not followed
  const argv = [
    'find',
    '-H',
    ...folders,
    '-maxdepth',
    String(MOST_DEPTH + 2),
    '-mindepth',
    '1',
    '(',
    '-type',
    'd',
    '(',
    ...skipped,
    ')',
    ')',
  ];
  const lines = await outputLines(host, [...argv, '-prune', '-o', '(', ...wanted, ')', '-print']);
  return lines.map((line) => dirname(dirname(line)));
}

/** Without those that lie in another one: copies of a shop that it keeps in itself. */
function outermost(roots: readonly string[]): string[] {
  const sorted = [...new Set(roots)].sort();
  return sorted.filter((root) => !sorted.some((other) => other !== root && root.startsWith(`${other}/`)));
}

/** `/home/martin/www` is martin, `/var/www/html` has nothing to say: shop. */
function freeName(root: string, taken: ReadonlySet<string>): string {
  const folders: string[] = [];
  for (let path = root; path !== dirname(path); path = dirname(path)) folders.push(basename(path));
  const telling = folders.map(nameOf).find((name) => name !== '' && !SAYS_NOTHING.test(name)) ?? 'shop';
  for (let number = 1; ; number++) {
    const name = number === 1 ? telling : `${telling.slice(0, 36)}-${number}`;
    if (!taken.has(name)) return name;
  }
}

/** Of a folder's name what the name of a shop may hold: the layout's pattern. */
function nameOf(folder: string): string {
  return folder
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/^www\./, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 40)
    .replace(/-+$/, '');
}

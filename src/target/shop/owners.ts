// Whose the folders of a shop are: the web server must be able to write where it wrote before.
import type { Host } from '../../host/host.ts';
import type { ShopFinding } from '../shop.ts';
import { fine, red } from './findings.ts';
import { runScript } from './script.ts';

/** Below the root: what PrestaShop and WordPress write into, and what they are started from. */
const PATHS = [
  '.',
  'index.php',
  'cache',
  'config',
  'download',
  'img',
  'img/p',
  'img/tmp',
  'modules',
  'themes',
  'translations',
  'upload',
  'var',
  'var/cache',
  'var/logs',
  'app/config/parameters.php',
  'config/settings.inc.php',
  'wp-content',
  'wp-content/uploads',
] as const;

const STAT = 'for path do stat -c "%u:%g %n" -- "./$path" 2>/dev/null || :; done';

/** `uid:gid` of those that are there. Throws as runScript. */
export async function readOwners(host: Host, root: string): Promise<Readonly<Record<string, string>>> {
  const lines = await runScript(host, root, 'looking at owners', STAT, PATHS);
  return Object.fromEntries(
    lines.flatMap((line) => {
      const found = /^(\d+:\d+) \.\/(.*)$/.exec(line);
      return found ? [[found[2] as string, found[1] as string]] : [];
    }),
  );
}

/** What is there now belongs to whom it belonged before. Throws as runScript. */
export async function checkOwners(host: Host, root: string, before: Readonly<Record<string, string>>): Promise<ShopFinding> {
  const now = await readOwners(host, root);
  const others = Object.keys(now).filter((path) => before[path] !== undefined && before[path] !== now[path]);
  const figures = { looked: Object.keys(now).length, others: others.length };
  if (others.length === 0) return fine('owners', 'files and folders belong to whom they belonged before', figures);
  const named = others.map((path) => `${path} (${now[path]}, before ${before[path]})`).join(', ');
  return red('owners', 'E_SHOP_OWNERS', `another owner than before: ${named}`, figures);
}

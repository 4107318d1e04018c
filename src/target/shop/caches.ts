// Empties what a shop made of its old code and templates: it would be taken for the new ones'.
import { CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import type { Did, ShopKind, ShopTables } from '../shop.ts';
import { runScript } from './script.ts';
import { change, presentTables, tableName } from './tables.ts';

interface Caches {
  /** Below the root, `*` for one name. */
  readonly folders: readonly string[];
  readonly files: readonly string[];
}

const NONE: Caches = { folders: [], files: [] };
/** img/tmp: small images by the numbers of products, which are another product's in another database. */
const OLD: Caches = {
  folders: ['cache/smarty/compile', 'cache/smarty/cache', 'cache/cachefs', 'cache/sandbox', 'img/tmp', 'themes/*/cache'],
  files: ['cache/class_index.php'],
};
const MODERN: Caches = {
  // app/cache: 1.7.0 to 1.7.3
  folders: ['var/cache', 'app/cache', 'themes/*/assets/cache', ...OLD.folders],
  files: OLD.files,
};

export const CACHES: Readonly<Record<ShopKind['layout'], Caches>> = {
  '1.6': OLD,
  '1.7': MODERN,
  '8': MODERN,
  '9': MODERN,
  wordpress: { folders: ['wp-content/cache'], files: [] },
  generic: NONE,
};

/** Where Smarty keeps templates when it is told to keep them in the database. */
const TABLES = ['smarty_cache', 'smarty_lazy_cache'] as const;

/**
 * Folders stay, with the files that keep others from listing them. Thrice, because a page that began before the guard stood may still
 * write; then it says what stays.
 */
const EMPTY = [
  'folders=$1; shift',
  'for pattern do',
  'home',
  'for path in $pattern; do',
  'home',
  '[ -e "./$path" ] && [ ! -L "./$path" ] || continue',
  'if [ "$folders" = 0 ]; then',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell fills this in, not we
  'base=${path##*/}; enter "${path%/*}" || continue',
  'rm -f -- "./$base" || echo "left $path"; echo "emptied $path"; continue',
  'fi',
  'enter "$path" || continue',
  "keep='! -path ./index.php ! -path ./.htaccess ! -path ./.gitkeep'",
  'first=$(find . -xdev -mindepth 1 $keep -print -quit)',
  '[ -n "$first" ] || continue',
  'for round in 1 2 3; do find . -xdev -mindepth 1 -depth $keep -delete && break || :; done',
  'first=$(find . -xdev -mindepth 1 $keep -print -quit)',
  'if [ -n "$first" ]; then echo "left $path"; else echo "emptied $path"; fi',
  'done; done',
].join('\n');

/** Throws E_TARGET_WRITE when something stays, and as runScript. */
export async function emptyCaches(host: Host, root: string, layout: ShopKind['layout'], tables: ShopTables | null): Promise<Did> {
  const { folders, files } = CACHES[layout];
  const lines: string[] = [];
  if (folders.length > 0) lines.push(...(await runScript(host, root, 'emptying caches', EMPTY, ['1', ...folders])));
  if (files.length > 0) lines.push(...(await runScript(host, root, 'emptying caches', EMPTY, ['0', ...files])));
  const left = lines.flatMap((line) => (line.startsWith('left ') ? [line.slice('left '.length)] : []));
  if (left.length > 0) {
    throw new CoffreError('E_TARGET_WRITE', `caches of ${root} that cannot be emptied: ${left.join(', ')}`, {
      hint: 'what lies there belongs to another user (the web server’s): remove it as root, then go on',
    });
  }
  const emptied = lines.flatMap((line) => (line.startsWith('emptied ') ? [line.slice('emptied '.length)] : []));
  if (tables !== null) {
    for (const name of await presentTables(tables, TABLES)) {
      if ((await change(tables, `ps_${name}`, `DELETE FROM ${tableName(tables, name)}`)) > 0) emptied.push(`table ${name}`);
    }
  }
  return { changed: emptied.length > 0, detail: emptied.length > 0 ? `emptied ${emptied.join(', ')}` : 'the caches were empty' };
}

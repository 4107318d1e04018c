// What application a tree holds: its version and layout, its administration's folder, and the files in it that hold secrets.
import { dirname, join } from 'node:path';
import type { FilesConfig } from '../../config/config.ts';
import { CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import type { PathPattern } from '../path-pattern.ts';
import { existing, foldersIn, outputLines, readHostFile } from './host-file.ts';
import { type PhpSettings, phpSettings } from './php-settings.ts';

export interface Application {
  /** Such as `PrestaShop`. */
  readonly name: string;
  /** null: it is there and does not say. */
  readonly version: string | null;
  /** Which of its generations, where folders and files differ. */
  readonly layout: string;
}

export interface ShopTree {
  /** null: none that the profile speaks of. */
  readonly application: Application | null;
  /** Files that hold passwords or keys, relative to the root. */
  readonly secrets: readonly string[];
  /** Left out besides the profile's own patterns: what lies in folders whose names differ from shop to shop. */
  readonly excludes: readonly PathPattern[];
}

/** Of all applications: one shop may hold another's in a corner of its root. */
const SECRET_FILES = [
  'app/config/parameters.php',
  'app/config/parameters.yml',
  'config/settings.inc.php',
  'wp-config.php',
  '.env',
  '.env.local',
  'auth.json',
] as const;

/** Signs of a PrestaShop's root; the first is in every version since 1.4. */
export const PRESTASHOP_SIGN = 'config/defines.inc.php';
export const WORDPRESS_SIGN = 'wp-includes/version.php';

/** Reads what there is of the profile's application at `root`. Throws what reaching the host throws, and E_CONFIG for what cannot be read. */
export async function detectShop(
  host: Host,
  { root, profile }: Pick<FilesConfig, 'root' | 'profile'>,
  signal?: AbortSignal,
): Promise<ShopTree> {
  // Asked at once: on a host that is far each question costs its round trips, not its work.
  const [there, application, excludes] = await Promise.all([
    existing(
      host,
      SECRET_FILES.map((path) => join(root, path)),
    ),
    profile === 'prestashop' ? prestashopAt(host, root, signal) : profile === 'wordpress' ? wordpressAt(host, root, signal) : null,
    foundExcludes(host, { root, profile }),
  ]);
  const secrets = SECRET_FILES.filter((path) => there.has(join(root, path)));
  return { application, secrets, excludes: profile === 'prestashop' && application === null ? [] : excludes };
}

/** 9 and 8: src/Core/Version.php; 1.7: app/AppKernel.php; before: config/settings.inc.php, which upgraded shops may have kept. */
async function prestashopAt(host: Host, root: string, signal?: AbortSignal): Promise<Application | null> {
  const version = (found: PhpSettings | null): string | null => text(found?.classConstants.get('VERSION'));
  const [coreRead, kernelRead, oldRead, signRead] = await Promise.allSettled([
    settingsAt(host, join(root, 'src/Core/Version.php'), signal),
    settingsAt(host, join(root, 'app/AppKernel.php'), signal),
    settingsAt(host, join(root, 'config/settings.inc.php'), signal),
    readHostFile(host, join(root, PRESTASHOP_SIGN), signal),
  ]);
  const [core, kernel] = [settled(coreRead), settled(kernelRead)];
  const modern = version(core) ?? version(kernel);
  // Of the older generations' files, which newer shops may have kept, none need be readable there.
  const isThere = (): boolean => settled(signRead) !== null;
  if (modern !== null || kernel !== null) {
    if (modern === null && !isThere()) return null;
    return {
      name: 'PrestaShop',
      version: modern,
      layout: modern === null || modern.startsWith('1.') ? '1.7' : String(modern.split('.')[0]),
    };
  }
  const old = text(settled(oldRead)?.constants.get('_PS_VERSION_'));
  if (old === null && !isThere()) return null;
  return { name: 'PrestaShop', version: old, layout: '1.6' };
}

function settled<T>(result: PromiseSettledResult<T>): T {
  if (result.status === 'rejected') throw result.reason;
  return result.value;
}

async function wordpressAt(host: Host, root: string, signal?: AbortSignal): Promise<Application | null> {
  const found = await settingsAt(host, join(root, WORDPRESS_SIGN), signal);
  return found && { name: 'WordPress', version: text(found.variables.get('wp_version')), layout: 'wordpress' };
}

/** Only what looks like a version: it goes into manifests and onto screens. */
function text(value: unknown): string | null {
  return typeof value === 'string' && /^[\w.+-]{1,32}$/.test(value) ? value : null;
}

async function settingsAt(host: Host, path: string, signal?: AbortSignal): Promise<PhpSettings | null> {
  const content = await readHostFile(host, path, signal);
  if (content === null) return null;
  try {
    return phpSettings(content.toString('latin1'));
  } catch (error) {
    // What cannot be parsed says nothing of its version; that is no reason not to archive it.
    if (error instanceof CoffreError && error.code === 'E_FORMAT') return phpSettings('');
    throw error;
  }
}

/** Files that every administration folder has: one of them, beside index.php, tells it from the others. */
const ADMINISTRATION_SIGNS = ['ajax-tab.php', 'get-file-admin.php', 'filemanager/dialog.php', 'header.inc.php'] as const;

/** Folders of a root that are looked into. */
const MOST_FOLDERS = 500;

/** What is left out of the tree at `root` because of what was found there; a restore that removes things leaves it alone too. */
export async function foundExcludes(host: Host, { root, profile }: Pick<FilesConfig, 'root' | 'profile'>): Promise<readonly PathPattern[]> {
  return profile === 'prestashop' ? await administrationExcludes(host, root) : [];
}

/** The administration's folder has a name that nobody is to guess: copies of the shop that its own tools leave in there. */
async function administrationExcludes(host: Host, root: string): Promise<readonly PathPattern[]> {
  const names = (await foldersIn(host, root)).slice(0, MOST_FOLDERS);
  const signs = names.flatMap((name) => ADMINISTRATION_SIGNS.map((sign) => join(root, name, sign)));
  const there = signs.length > 0 ? await existing(host, signs) : new Set<string>();
  const found = names.filter((name) => ADMINISTRATION_SIGNS.some((sign) => there.has(join(root, name, sign))));
  return found.flatMap((name) => {
    const folder = literalPattern(name);
    return [`${folder}/autoupgrade/backup/**`, `${folder}/backups/**`];
  });
}

/** A name as a pattern that matches nothing else. */
export function literalPattern(name: string): PathPattern {
  return name.replace(/[\\*?]/g, '\\$&');
}

/** Deeper than any web root below the folder that somebody named instead. */
const SEARCH_DEPTH = 6;

/** Where the application is when it is not at `root`: below it, or above it; null: nowhere near. */
export async function findShopNear(host: Host, { root, profile }: Pick<FilesConfig, 'root' | 'profile'>): Promise<string | null> {
  const sign = profile === 'wordpress' ? WORDPRESS_SIGN : PRESTASHOP_SIGN;
  for (let above = dirname(root); above !== dirname(above); above = dirname(above)) {
    if ((await readHostFile(host, join(above, sign))) !== null) return above;
  }
  const lines = await outputLines(host, ['find', root, '-maxdepth', String(SEARCH_DEPTH), '-path', `*/${sign}`]).catch(() => []);
  const roots = lines.map((line) => line.slice(0, -sign.length - 1)).sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  return roots[0] ?? null;
}

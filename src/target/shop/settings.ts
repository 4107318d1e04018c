// The settings files of a shop that is restored in place: this machine's stay in the new tree, with the keys that its new database was written with.
import { basename, dirname, join } from 'node:path';
import type { Host } from '../../host/host.ts';
import { readOwnFile } from '../../source/shop/host-file.ts';
import type { SettingsChoice, ShopFinding, ShopKind } from '../shop.ts';
import { fine, red, unknown } from './findings.ts';
import { CONSTANTS, differingKeys, mergeSettings, PARAMETERS, type SettingsKind } from './settings-merge.ts';
import { writeLike } from './write-like.ts';

interface SettingsFile {
  readonly path: string;
  /** null: it is this machine's as a whole, nothing in it belongs to the database. */
  readonly kind: SettingsKind | null;
}

/** Below the root. What a version does not have is not there. `.htaccess` and `.user.ini` are part of the tree and come with it. */
export const SETTINGS_FILES: Readonly<Record<ShopKind['application'], readonly SettingsFile[]>> = {
  prestashop: [
    // 1.7, 8, 9
    { path: 'app/config/parameters.php', kind: PARAMETERS },
    // 1.7.0
    { path: 'app/config/parameters.yml', kind: null },
    // 1.6; a shop that was upgraded may have kept it
    { path: 'config/settings.inc.php', kind: CONSTANTS },
    // debugging, folders, proxies: written by whoever runs the machine
    { path: 'config/defines_custom.inc.php', kind: null },
    { path: '.env', kind: null },
    { path: '.env.local', kind: null },
    { path: 'auth.json', kind: null },
  ],
  wordpress: [
    { path: 'wp-config.php', kind: null },
    { path: '.env', kind: null },
  ],
  generic: [
    { path: '.env', kind: null },
    { path: '.env.local', kind: null },
  ],
};

export interface Settling {
  readonly host: Host;
  readonly application: ShopKind['application'];
  /** The running shop's tree. */
  readonly root: string;
  /** What comes into it. */
  readonly staged: string;
  readonly choice: SettingsChoice;
  /** The archive's rows come too. */
  readonly databaseRestored: boolean;
  /** The staged tree takes the place of the root: files of this machine that the archive lacks are brought over. */
  readonly whole: boolean;
}

/** Done again it comes to the same. Throws E_CONFIG for a file that cannot be read, and as runScript. */
export async function settleSettings(settling: Settling): Promise<readonly ShopFinding[]> {
  const findings: ShopFinding[] = [];
  for (const file of SETTINGS_FILES[settling.application]) {
    const [ours, archived] = await Promise.all([
      contentOf(settling.host, settling.root, file),
      contentOf(settling.host, settling.staged, file),
    ]);
    const finding = await settleOne(settling, file, ours, archived);
    if (finding !== null) findings.push(finding);
  }
  return findings;
}

async function contentOf(host: Host, tree: string, { path }: SettingsFile): Promise<Buffer | null> {
  const at = join(tree, path);
  return await readOwnFile(host, dirname(at), basename(at));
}

async function settleOne(
  settling: Settling,
  { path, kind }: SettingsFile,
  ours: Buffer | null,
  archived: Buffer | null,
): Promise<ShopFinding | null> {
  const { choice, databaseRestored, whole } = settling;
  if (ours === null) return archived === null ? null : fine('settings', `${path}: the archive’s, there was none here`);
  if (archived === null) {
    if (!whole) return null;
    if (choice === 'archive') return fine('settings', `${path}: the archive has none`);
    await write(settling, path, ours);
    return fine('settings', `${path}: this machine’s, the archive has none`);
  }
  if (ours.equals(archived)) return fine('settings', `${path}: the same here and in the archive`);
  if (choice === 'archive') {
    const differing = kind === null || databaseRestored ? [] : differingKeys(kind, ours, archived);
    if (differing !== null && differing.length === 0) return fine('settings', `${path}: the archive’s`);
    const names = differing === null ? 'keys that cannot be read' : differing.join(', ');
    return red('settings', 'E_SHOP_SETTINGS', `${path}: the archive’s, whose ${names} the running database was not written with`);
  }
  if (kind === null) {
    await write(settling, path, ours);
    return fine('settings', `${path}: this machine’s`);
  }
  const merged = mergeSettings(kind, ours, archived, { databaseRestored });
  if (merged.is === 'unfit') {
    // the machine's is what leads to its database
    await write(settling, path, ours);
    return merged.differing === null
      ? unknown('settings', 'E_SHOP_SETTINGS', `${path}: this machine’s; whether its keys fit the restored database cannot be read`)
      : red(
          'settings',
          'E_SHOP_SETTINGS',
          `${path}: this machine’s, in which ${merged.differing.join(', ')} could not be set to the archive’s`,
        );
  }
  await write(settling, path, merged.text);
  return fine(
    'settings',
    merged.is === 'kept' ? `${path}: this machine’s` : `${path}: this machine’s, with the archive’s ${merged.taken.join(', ')}`,
  );
}

async function write({ host, root, staged }: Settling, path: string, content: Buffer): Promise<void> {
  await writeLike(host, { tree: staged, path, like: root, content });
}

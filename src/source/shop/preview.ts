// What `coffre init` can say of a folder before anything is configured: the application in it, and its database.
import { CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import { type DatabaseAddress, type DatabaseSettings, readDatabaseSettings } from './database-settings.ts';
import { detectShop, findShopNear } from './detect.ts';
import { titleOf } from './shop-tree.ts';

export interface ShopPreview {
  readonly profile: 'prestashop' | 'wordpress';
  /** Such as `PrestaShop 8.1.2`. */
  readonly application: string;
  /** Where it is: the folder asked about, or one above or below it. */
  readonly root: string;
  /** null: its configuration does not say, or not in a way that can be read. */
  readonly database: { readonly name: string; readonly user: string; readonly address: string; readonly file: string } | null;
}

/** null: no application that coffre knows, in `root` (absolute) or near it. What cannot be read counts as not there. Throws E_SSH_…. */
export async function previewShop(host: Host, root: string): Promise<ShopPreview | null> {
  for (const profile of ['prestashop', 'wordpress'] as const) {
    const found = await previewAt(host, root, profile);
    if (found) return found;
  }
  for (const profile of ['prestashop', 'wordpress'] as const) {
    const near = await unlessUnreadable(findShopNear(host, { root, profile }));
    const found = near === null ? null : await previewAt(host, near, profile);
    if (found) return found;
  }
  return null;
}

export async function previewAt(host: Host, root: string, profile: ShopPreview['profile']): Promise<ShopPreview | null> {
  const shop = await unlessUnreadable(detectShop(host, { root, profile }));
  if (!shop?.application) return null;
  const settings = await unlessUnreadable(readDatabaseSettings(host, { root, profile }));
  return { profile, application: titleOf(shop.application), root, database: settings && databaseOf(settings) };
}

function databaseOf({ name, user, address, file }: DatabaseSettings): ShopPreview['database'] {
  return { name, user, address: addressText(address), file };
}

function addressText(address: DatabaseAddress): string {
  if (address.type === 'local') return 'localhost';
  if (address.type === 'socket') return address.socketPath;
  return address.port === null ? address.host : `${address.host}:${address.port}`;
}

async function unlessUnreadable<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof CoffreError && error.code === 'E_CONFIG') return null;
    throw error;
  }
}

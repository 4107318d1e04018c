// Finding a declared shop by its name, with the nearest one when there is none.
import { undeclaredShops } from '../catalog/live-objects.ts';
import type { Catalog } from '../catalog/open.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import { declaredHint } from '../config/problems.ts';
import { CoffreError } from '../errors.ts';

/** Throws E_UNKNOWN_SHOP. */
export function findShop(config: Config, name: string): ShopConfig {
  const shop = config.shops.get(name);
  if (shop) return shop;
  throw new CoffreError('E_UNKNOWN_SHOP', `no shop ${JSON.stringify(name)} in ${config.file}`, {
    hint: declaredHint(name, config.shops.keys(), 'shops'),
  });
}

/** The shop named, or all of them. Throws E_UNKNOWN_SHOP. */
export function chosenShops(config: Config, name: string | undefined): ShopConfig[] {
  return name === undefined ? [...config.shops.values()] : [findShop(config, name)];
}

/** Throws E_UNKNOWN_SHOP for a name that is neither declared nor held by any vault. */
export async function knownShop(config: Config, catalog: Catalog, name: string): Promise<void> {
  if (config.shops.has(name) || (await undeclaredShops(config, catalog)).includes(name)) return;
  findShop(config, name);
}

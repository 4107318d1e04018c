// What a daemon writes down when it starts or takes another configuration: the terms of each shop's plan, where they are others than before.
import { factsOfBackup } from '../backup/shop-facts.ts';
import type { Catalog } from '../catalog/open.ts';
import { noteFactsOf } from '../catalog/shop-facts.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';

/** At once, and not with the next backup: a report of the month tells when a promise changed. Versions of a shop stay as they are known. */
export async function noteTerms(
  catalog: Catalog,
  clock: Clock,
  { shops }: Pick<Config, 'shops'>,
  tools: Readonly<Record<string, string>>,
): Promise<void> {
  await noteFactsOf(catalog, clock, new Map([...shops].map(([name, shop]) => [name, factsOfBackup(shop, tools, undefined)])));
}

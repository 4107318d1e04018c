// Whether a database's snapshot lacks what no PrestaShop goes without, by the daemon's own copies of indexes: a restore of it would end closed.
import type { SnapshotWithCopies } from '../catalog/snapshots.ts';
import { CoffreError } from '../errors.ts';
import { CORE_TABLES } from '../target/shop/checks.ts';
import { knownTables, type PartsDeps } from './wanted-parts.ts';

/** So many of them make a PrestaShop of a database: others have tables of such names too. */
const LEAST_SHARE = 0.5;

/**
 * Of a whole database. What the newest snapshot of `all` (of the shop, any order) lacks too is no loss: the shop itself goes without. Where no index
 * says it, the restore looks at the shop. Throws E_SHOP_TABLES.
 */
export async function refuseLackingTables(deps: PartsDeps, chosen: SnapshotWithCopies, all: readonly SnapshotWithCopies[]): Promise<void> {
  const there = await knownTables(deps, chosen);
  if (!there.all) return;
  const lacking = lackingTables(there.names);
  const newest = all.filter(({ source }) => source === 'database').reduce((a, b) => (b.asOf > a.asOf ? b : a), chosen);
  if (lacking.length === 0 || newest.id === chosen.id) return;
  const now = (await knownTables(deps, newest)).names;
  const lost = lacking.filter((name) => now.has(name));
  if (lost.length === 0) return;
  throw new CoffreError(
    'E_SHOP_TABLES',
    `snapshot ${chosen.id} lacks ${lost.join(', ')}, which the shop has since and no PrestaShop goes without`,
    {
      hint: 'another time may have it; single tables can be asked for by name',
    },
  );
}

/** With their prefix; none of what is no PrestaShop's database. Pure. */
export function lackingTables(names: ReadonlySet<string>): readonly string[] {
  const prefixes = [...names].filter((name) => name.endsWith('configuration')).map((name) => name.slice(0, -'configuration'.length));
  const lacking = prefixes
    .map((prefix) => CORE_TABLES.map((name) => prefix + name).filter((name) => !names.has(name)))
    .sort((a, b) => a.length - b.length)[0];
  return lacking !== undefined && lacking.length <= CORE_TABLES.length * (1 - LEAST_SHARE) ? lacking : [];
}

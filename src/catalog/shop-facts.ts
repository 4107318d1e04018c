// What a shop runs and what it was promised, noted when it changes: from this a report tells changes of versions and of the plan.
import type { Clock } from '../clock.ts';
import type { Catalog } from './open.ts';
import { IDS_AT_ONCE, slices } from './segments.ts';

export type ShopFacts = Readonly<Record<string, string>>;

/** Writes down those whose value is another one than before. A fact that is not told this time stays as it was. */
export async function noteFacts(catalog: Catalog, clock: Clock, shop: string, facts: ShopFacts): Promise<void> {
  await noteFactsOf(catalog, clock, new Map([[shop, facts]]));
}

/** The same of several shops, by name, in one transaction. */
export async function noteFactsOf(catalog: Catalog, clock: Clock, shops: ReadonlyMap<string, ShopFacts>): Promise<void> {
  await catalog.transaction(async (tx) => {
    const known = new Map<string, string>();
    for (const names of slices([...shops.keys()], IDS_AT_ONCE)) {
      const rows = await tx
        .selectFrom('shopFacts')
        .select(['shop', 'name', 'value'])
        .where('shop', 'in', names)
        .where('id', 'in', (eb) =>
          eb
            .selectFrom('shopFacts')
            .select((max) => max.fn.max('id').as('id'))
            .where('shop', 'in', names)
            .groupBy(['shop', 'name']),
        )
        .execute();
      for (const { name, shop, value } of rows) known.set(`${shop}\0${name}`, value);
    }
    const at = clock.nowMs();
    const changed = [...shops].flatMap(([shop, facts]) =>
      Object.entries(facts)
        .filter(([name, value]) => known.get(`${shop}\0${name}`) !== value)
        .map(([name, value]) => ({ shop, at, name, value })),
    );
    // four values a row
    for (const rows of slices(changed, IDS_AT_ONCE / 4)) await tx.insertInto('shopFacts').values(rows).execute();
  });
}

// What a shop runs and what it was promised, noted when it changes: from this a report tells changes of versions and of the plan.
import type { Clock } from '../clock.ts';
import type { Catalog } from './open.ts';

/** Writes down those whose value is another one than before. A fact that is not told this time stays as it was. */
export async function noteFacts(catalog: Catalog, clock: Clock, shop: string, facts: Readonly<Record<string, string>>): Promise<void> {
  const rows = await catalog.db
    .selectFrom('shopFacts')
    .select(['name', 'value'])
    .where('shop', '=', shop)
    .where('id', 'in', (eb) =>
      eb
        .selectFrom('shopFacts')
        .select((max) => max.fn.max('id').as('id'))
        .where('shop', '=', shop)
        .groupBy('name'),
    )
    .execute();
  const known = new Map(rows.map(({ name, value }) => [name, value]));
  const changed = Object.entries(facts).filter(([name, value]) => known.get(name) !== value);
  if (changed.length === 0) return;
  const at = clock.nowMs();
  await catalog.transaction((tx) =>
    tx
      .insertInto('shopFacts')
      .values(changed.map(([name, value]) => ({ shop, at, name, value })))
      .execute(),
  );
}

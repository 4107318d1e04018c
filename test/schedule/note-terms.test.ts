import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openCatalog } from '../../src/catalog/open.ts';
import { noteFacts } from '../../src/catalog/shop-facts.ts';
import { parseConfig } from '../../src/config/load.ts';
import { noteTerms } from '../../src/schedule/note-terms.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';

test('a configuration is taken - what is another term than before is noted of each shop, what a backup learned stays, the same again is nothing', async () => {
  const dir = await tempDir();
  const clock = new FakeClock('2026-11-23T08:00:00Z');
  const catalog = await openCatalog(join(dir, 'state'));
  onTestFinished(() => catalog.close());
  const take = async (retention: string, coffre = '1.0'): Promise<string[]> => {
    const before = await catalog.db.selectFrom('shopFacts').select('id').orderBy('id', 'desc').limit(1).executeTakeFirst();
    const text = [
      `stateDir: ${dir}/state\nencryption: none\nvaults: { nas: { type: filesystem, path: ${dir}/nas } }`,
      `plans: { small: { retention: ${retention} }, big: { retention: 30d, schedule: { database: "30 2 * * *" } } }\nshops:`,
      `  dupont: { plan: small, vaults: [nas], files: { root: /srv/dupont } }`,
      `  martin: { plan: big, vaults: [nas], files: { root: /srv/martin } }`,
    ].join('\n');
    await noteTerms(catalog, clock, parseConfig(text, join(dir, 'coffre.yaml'), {}), { coffre });
    const rows = await catalog.db
      .selectFrom('shopFacts')
      .selectAll()
      .where('id', '>', before?.id ?? 0)
      .orderBy('id')
      .execute();
    return rows.map(({ name, shop, value }) => `${shop} ${name} ${value}`);
  };
  expect((await take('14d')).filter((row) => row.includes('plan.retention'))).toEqual([
    'dupont plan.retention 14d',
    'martin plan.retention 30d',
  ]);
  await noteFacts(catalog, clock, 'dupont', { application: 'PrestaShop 8.2.0' });
  expect(await take('14d')).toEqual([]);
  expect(await take('7d')).toEqual(['dupont plan.retention 7d']);
  expect(await take('7d', '1.1')).toEqual(['dupont coffre 1.1', 'martin coffre 1.1']);
});

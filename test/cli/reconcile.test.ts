// What an operator sees of an incident, by the real command line.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { backupSource } from '../../src/backup/run.ts';
import { database, MB, never, setting } from '../backup/setting.ts';
import { makeWorld } from '../world/world.ts';

it('a stranger’s file in a folder - 6 and E_INCIDENT, red in status, named by incident list; acknowledged with a reason it is not', async () => {
  await using world = await makeWorld({ vaults: ['nas'], database });
  const { deps, shop, close } = await setting(world, [{ name: 'part', bytes: MB, estimatedBytes: MB }]);
  try {
    await backupSource(deps, { shop, source: 'database', full: false, signal: never });
  } finally {
    await close();
  }
  const stranger = join(world.nasPath, 'dupont/segments/holiday.jpg');
  writeFileSync(stranger, 'x'.repeat(77));

  const found = await world.coffre(['reconcile']);
  expect(found.json.results).toMatchObject([{ shop: 'dupont' }, { shop: '_coffre', vaults: [{ found: [] }, { found: [] }] }]);
  expect(found).toMatchObject({ status: 6, json: { ok: false, error: { code: 'E_INCIDENT' } } });
  expect(found.json.results[0].vaults[0].found).toEqual([
    expect.objectContaining({ kind: 'foreign version', key: 'dupont/segments/holiday.jpg', sizeBytes: 77 }),
  ]);
  const red = async (): Promise<string> => (await world.coffre(['status'])).json.shops[0].red.join('\n');
  expect(await red()).toContain('vault nas: foreign version: dupont/segments/holiday.jpg');
  const [incident] = (await world.ok(['incident', 'list'])).json.incidents;
  expect(incident).toMatchObject({ shop: 'dupont', vault: 'nas', kind: 'foreign version', goneAt: null, acknowledgedAt: null });

  await world.ok(['incident', 'acknowledge', incident.id.slice(0, 20), '--reason', 'Marie’s, on its way out']);
  expect(await red()).not.toContain('holiday');
  rmSync(stranger);
  await world.ok(['reconcile', 'dupont']);
  const [gone] = (await world.ok(['incident', 'list', '--all'])).json.incidents;
  expect(gone).toMatchObject({ id: incident.id, reason: 'Marie’s, on its way out', goneAt: expect.stringContaining('T') });
}, 180_000);

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
  const others = ['a.jpg', 'b.jpg'].map((name) => join(world.nasPath, 'dupont/segments', name));
  for (const path of [stranger, ...others]) writeFileSync(path, 'x'.repeat(77));

  const found = await world.coffre(['reconcile']);
  expect(found.json.results).toMatchObject([{ shop: 'dupont' }, { shop: '_coffre', vaults: [{ found: [] }, { found: [] }] }]);
  expect(found).toMatchObject({ status: 6, json: { ok: false, error: { code: 'E_INCIDENT' } } });
  expect(found.json.results[0].vaults[0].found).toHaveLength(3);
  expect(found.json.results[0].vaults[0].found).toContainEqual(
    expect.objectContaining({ kind: 'foreign version', key: 'dupont/segments/holiday.jpg', sizeBytes: 77 }),
  );
  const red = async (): Promise<string> => (await world.coffre(['status'])).json.shops[0].red.join('\n');
  expect(await red()).toMatch(/vault nas: foreign version: dupont\/segments\/.*, and 2 more/);
  const list = async (...more: string[]) => (await world.ok(['incident', 'list', ...more])).json.incidents as { id: string; key: string }[];
  const incident = (await list()).find(({ key }) => key.endsWith('holiday.jpg')) as { id: string };
  expect(incident).toMatchObject({ shop: 'dupont', vault: 'nas', kind: 'foreign version', goneAt: null, acknowledgedAt: null });

  const acknowledge = ['incident', 'acknowledge', '--reason', 'Marie’s, on its way out'];
  // all of them or none
  const wrong = await world.coffre([...acknowledge, incident.id, 'nonesuch']);
  expect(wrong).toMatchObject({ status: 2, json: { error: { code: 'E_USAGE' } } });
  expect(await list()).toHaveLength(3);
  for (const args of [[], [incident.id, '--shop', 'dupont'], ['--shop', 'dupond']])
    expect((await world.coffre([...acknowledge, ...args])).json.error.code).toBe('E_USAGE');
  // found in the same look: their ids begin alike
  expect((await world.coffre([...acknowledge, incident.id.slice(0, 4)])).json.error.message).toContain('several incidents begin with');
  const ids = (await list()).map(({ id }) => id);
  const beginnings = Array.from(incident.id, (_, at) => incident.id.slice(0, at + 1));
  const beginning = beginnings.find((it) => ids.filter((id) => id.startsWith(it)).length === 1) as string;
  // named twice is once
  const said = await world.ok([...acknowledge, beginning, incident.id]);
  expect(said.json.incidents).toMatchObject([{ id: incident.id }]);
  expect(await red()).not.toContain('holiday');
  expect((await world.ok([...acknowledge, '--shop', 'dupont'])).json.incidents).toHaveLength(2);
  expect(await red()).not.toContain('foreign version');
  for (const path of [stranger, ...others]) rmSync(path);
  await world.ok(['reconcile', 'dupont']);
  const gone = (await list('--all')).find(({ id }) => id === incident.id);
  expect(gone).toMatchObject({ id: incident.id, reason: 'Marie’s, on its way out', goneAt: expect.stringContaining('T') });
}, 180_000);

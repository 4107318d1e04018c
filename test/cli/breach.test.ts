// A case from the command line: of a client who left too, red until it was sent.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { recordLook } from '../../src/catalog/incidents.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { systemClock } from '../../src/clock.ts';
import { tempDir } from '../temp-dir.ts';
import { coffreJson } from './run-coffre.ts';

test('tampering with the objects of a shop that is declared no more - status is red for it, the draft is there, and once it was sent the incident alone is left', async () => {
  const dir = await tempDir();
  const file = join(dir, 'coffre.yaml');
  const vault = `vaults: { nas: { type: filesystem, path: ${dir}/nas } }\nplans: { plan: { retention: 14d } }`;
  const shops = `shops: { dupont: { plan: plan, vaults: [nas], files: { root: ${dir}/dupont } } }`;
  writeFileSync(file, `stateDir: ${dir}/state\nencryption: none\n${vault}\n${shops}\n`, { mode: 0o600 });
  const sighting = { kind: 'missing', key: 'former/x', versionId: 'v', sizeBytes: 5e9 } as const;
  {
    await using catalog = await openCatalog(join(dir, 'state'));
    await recordLook(catalog, systemClock, { vault: 'nas', shop: 'former', kinds: [], sightings: [sighting], who: 'test' });
  }
  const ask = async (...args: string[]) => (await coffreJson(['--config', file, ...args])).json;
  const [row] = (await ask('breach', 'list')).cases;
  expect(row).toMatchObject({ vault: 'nas', shops: ['former'], incidents: 1, state: 'open' });
  expect((await ask('status')).breaches).toMatchObject([{ id: row.id, vault: 'nas', overdue: false }]);
  expect((await ask('breach', 'show', row.id.slice(0, 12), '--lang', 'fr')).drafts).toMatchObject([{ shop: 'former', language: 'fr' }]);
  expect((await ask('breach', 'sent', row.id, '--by', 'Marie', '--at', row.openedAt)).state).toBe('sent');
  const incidents = [{ shop: 'former', vault: 'nas', kind: 'missing', count: 1 }];
  expect(await ask('status')).toMatchObject({ ok: false, breaches: [], incidents });
  await ask('incident', 'acknowledge', '--shop', 'former', '--reason', 'a disk');
  expect(await ask('status')).toMatchObject({ breaches: [], incidents: [] });
});

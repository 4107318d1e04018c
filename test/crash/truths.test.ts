import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { DAY_MS, makePlace, okAt, type Place, restoreTemplate, saveTemplate } from './place.ts';
import { checkTruths, type Moment } from './truths.ts';

let dir: string;
let place: Place;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-truths-'));
  place = await makePlace(dir);
  await okAt(place, 0, ['backup', 'martin']);
  await okAt(place, 0, ['backup', 'dupont']);
  await okAt(place, 20, ['backup', 'dupont', '--full']);
  await okAt(place, 20, ['backup', 'martin']);
  await okAt(place, 40, ['prune']);
  await saveTemplate(place);
});
beforeEach(async () => {
  await restoreTemplate(place);
  rmSync(join(place.tree('dupont'), 'late.txt'), { force: true });
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const path = (vault: string, key: string): string => join(place.vaultPath(vault), key);

/** The only object of dupont of this kind. */
function key(vault: string, folder: string): string {
  const [name] = readdirSync(path(vault, `dupont/${folder}`)).filter((one) => !one.startsWith('.'));
  return `dupont/${folder}/${name}`;
}

function edit(sql: string): void {
  const database = new DatabaseSync(join(place.stateDir, 'catalog.db'));
  // the ledger defends itself
  for (const { name } of database.prepare(`select name from sqlite_schema where type = 'trigger'`).all())
    database.exec(`drop trigger "${name}"`);
  database.exec(sql);
  database.close();
}

async function violated(moment: Partial<Moment> = {}): Promise<string[]> {
  const nowMs = systemClock.nowMs() + 40 * DAY_MS;
  const found = await checkTruths(place, { nowMs, settled: true, over: true, ...moment });
  return [...new Set(found.map(({ truth }) => truth))].sort();
}

/** Other bytes under the same time and length: what only a hash shows. */
function rot(file: string): void {
  const { mtimeNs } = statSync(file, { bigint: true });
  const bytes = readFileSync(file);
  bytes[bytes.length - 1] = (bytes[bytes.length - 1] as number) ^ 1;
  chmodSync(file, 0o600);
  writeFileSync(file, bytes);
  // Node's utimes loses the nanoseconds
  execFileSync('touch', ['-d', `@${mtimeNs / 1_000_000_000n}.${String(mtimeNs % 1_000_000_000n).padStart(9, '0')}`, file]);
}

test('nothing planted - nothing found', async () => {
  expect(await violated()).toEqual([]);
});

test.for([
  ['a segment deleted', () => rmSync(path('far', key('far', 'segments'))), 'no manifest lacks an object'],
  ['an index deleted', () => rmSync(path('nas', key('nas', 'index'))), 'no manifest lacks an object'],
  ['a manifest deleted', () => rmSync(path('far', key('far', 'snapshots'))), 'what is committed is there'],
  ['a manifest overwritten', () => rot(path('far', key('far', 'snapshots'))), 'a manifest opens'],
  ['a segment altered under its time and length', () => rot(path('far', key('far', 'segments'))), 'what is named is unaltered'],
  ['a lock dropped', () => rmSync(path('far', `.locks/${key('far', 'segments')}.json`)), 'locked as promised'],
  [
    'a lock of the newest dropped',
    () => rmSync(path('far', `.locks/${key('far', 'snapshots')}.json`)),
    'the newest good snapshot is locked',
  ],
  [
    'an object that nobody names',
    () => writeFileSync(path('nas', 'dupont/segments/00000000000000000000000000.tar.zst'), 'x'),
    'nothing is leaked',
  ],
  [
    'an object that nobody knows',
    () => writeFileSync(path('nas', 'dupont/segments/00000000000000000000000000.tar.zst'), 'x'),
    'every object is known',
  ],
  ['an unfinished write', () => writeFileSync(path('nas', 'dupont/segments/.tmp-0123456789abcdef-x'), 'x'), 'nothing is leaked'],
  ['a lock of nothing', () => writeFileSync(path('nas', '.locks/dupont/segments/x.json'), '{}'), 'nothing is leaked'],
  ['a run left behind on disk', () => writeFileSync(join(place.stateDir, 'left'), 'x'), 'nothing is leaked'],
  ['the ledger edited', () => edit('update ledger set bytes = bytes + 1 where id = 1'), 'the ledger is exact'],
  [
    'a released row of what is there',
    () => edit(`update objects set state = 'released' where kind = 'segment' and state = 'stored'`),
    'nothing has risen again',
  ],
  [
    'a void row of what is there',
    () => edit(`update objects set state = 'void' where kind = 'index' and state = 'stored'`),
    'nothing has risen again',
  ],
  ['a stored row of what is gone', () => edit(`update objects set state = 'stored' where kind = 'segment'`), 'every row has its object'],
  ['a tombstone', () => edit(`update objects set state = 'tombstone' where kind = 'index' and state = 'stored'`), 'no tombstone stays'],
  ['an intent', () => edit(`update objects set state = 'intent' where kind = 'index' and state = 'released'`), 'no intent stays'],
  ['a copy that is damaged', () => edit(`update snapshotVaults set verifyError = 'E_OBJECT_ALTERED'`), 'no copy stays damaged'],
  ['a run without end', () => edit(`update runs set state = 'running' where shop = 'dupont'`), 'no run goes on for ever'],
  [
    'a pin',
    () => edit(`insert into pins (segmentId, runId) select s.id, r.id from segments s, runs r where r.shop = 'dupont' limit 1`),
    'no pin stays',
  ],
  [
    'no snapshot of a shop',
    () => edit(`update snapshots set state = 'removed' where shop = 'martin'`),
    'the newest good snapshot is there',
  ],
  [
    'a file that came after the backup',
    () => writeFileSync(join(place.tree('dupont'), 'late.txt'), 'x'),
    'the newest good snapshot is what it was made of',
  ],
  ['no catalog', () => rmSync(join(place.stateDir, 'catalog.db')), 'there is a catalog'],
] as const)('%s - named', async ([, plant, truth]) => {
  plant();
  expect(await violated()).toContain(truth);
});

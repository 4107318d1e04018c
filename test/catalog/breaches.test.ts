import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import {
  breachesOfOthers,
  breachesOfPeriod,
  breachState,
  incidentsOfBreach,
  listBreaches,
  openBreachesOf,
  openMissingBreaches,
  SAME_EVENT_MS,
  stepBreach,
  TELL_WITHIN_MS,
} from '../../src/catalog/breaches.ts';
import { acknowledgeIncident, incidentsOfOthers, recordLook, type Sighting } from '../../src/catalog/incidents.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import type { IncidentKind } from '../../src/catalog/tables/incidents.ts';
import type { Alarm } from '../../src/schedule/alarm.ts';
import { checkBreaches, deadlineOf } from '../../src/schedule/status-breach.ts';
import { DAEMON_SHOP } from '../../src/segment/layout.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';

const HOUR = 3_600_000;

async function setting() {
  const clock = new FakeClock('2026-11-23T08:00:00Z');
  const catalog = await openCatalog(join(await tempDir(), 'state'));
  onTestFinished(() => catalog.close());
  const look = async (kind: IncidentKind, { shop = 'dupont', vault = 'offsite', keys = ['k1'] } = {}) => {
    const sightings = keys.map((key): Sighting => ({ kind, key, versionId: 'v1', sizeBytes: 1000 }));
    return await recordLook(catalog, clock, { vault, shop, kinds: [], sightings, who: 'coffre' });
  };
  const open = () => listBreaches(catalog.db, { all: false });
  return { catalog, clock, look, open };
}

test.each<[IncidentKind, boolean]>([
  ...[
    ['missing', true] as const,
    ['altered', true] as const,
    ['lock', true] as const,
    ['delete marker', true] as const,
    ['foreign version', true] as const,
  ].map(([kind, opens]): [IncidentKind, boolean] => [kind, opens]),
  ...(['foreign upload', 'foreign prefix', 'reappeared', 'drift', 'clock'] as const).map((kind): [IncidentKind, boolean] => [kind, false]),
])('an incident of the kind %s - opens a case: %s', async (kind, opens) => {
  const { look, open, clock } = await setting();
  await look(kind);
  const cases = await open();
  expect(cases.map(({ deadline, vault }) => ({ vault, leftMs: deadline - clock.nowMs() }))).toEqual(
    opens ? [{ vault: 'offsite', leftMs: TELL_WITHIN_MS }] : [],
  );
});

test('incidents of one vault within a day of each other are one case, whatever the shop; another vault, or a day later, is another', async () => {
  const { catalog, clock, look, open } = await setting();
  await look('missing', { keys: ['k1', 'k2'] });
  clock.advance(SAME_EVENT_MS);
  await look('lock', { shop: 'martin' });
  expect(await open()).toHaveLength(1);
  const [first] = await open();
  expect((await incidentsOfBreach(catalog.db, first?.id ?? '')).map(({ kind, shop }) => [shop, kind])).toEqual([
    ['dupont', 'missing'],
    ['dupont', 'missing'],
    ['martin', 'lock'],
  ]);
  await look('missing', { vault: 'nas' });
  expect(await open()).toHaveLength(2);
  clock.advance(SAME_EVENT_MS + 1);
  await look('missing', { keys: ['k3'] });
  expect(await open()).toHaveLength(3);
});

test('the same sighting again, and one that was acknowledged - no other case, and the case stays open', async () => {
  const { catalog, clock, look, open } = await setting();
  const { opened } = await look('foreign version');
  await look('foreign version');
  await acknowledgeIncident(catalog, clock, opened[0]?.id ?? '', { who: 'marie', reason: 'mine' });
  expect(await open()).toHaveLength(1);
});

test('red with the time left, redder past the deadline, green once it was sent; what comes later is another case', async () => {
  const { catalog, clock, look } = await setting();
  await look('altered');
  const red = async (): Promise<Alarm[]> => {
    const found: Alarm[] = [];
    const rows = await openBreachesOf(catalog.db, { name: 'dupont', vaults: ['offsite'] }, DAEMON_SHOP);
    checkBreaches(rows, { nowMs: clock.nowMs(), timezone: 'Europe/Paris' }, found);
    return found;
  };
  clock.advance(17 * HOUR);
  expect((await red()).map(({ kind, text }) => [kind, /31 h left/.test(text)])).toEqual([['breach', true]]);
  expect(deadlineOf((await red())[0]?.detail ?? null)).toBe(clock.nowMs() + 31 * HOUR);
  clock.advance(31 * HOUR);
  expect((await red()).map(({ kind }) => kind)).toEqual(['breach']);
  clock.advance(1);
  expect((await red()).map(({ kind }) => kind)).toEqual(['breach', 'breach-overdue']);
  const [row] = await listBreaches(catalog.db, { all: true });
  const id = row?.id ?? '';
  await expect(stepBreach(catalog, clock, id, 'op', { verb: 'sent', by: 'Marie', atMs: clock.nowMs() + 1 })).rejects.toMatchObject({
    code: 'E_USAGE',
  });
  const sent = await stepBreach(catalog, clock, id.slice(0, 20), 'op', { verb: 'sent', by: 'Marie', atMs: clock.nowMs() - HOUR });
  expect(breachState(sent, clock.nowMs())).toBe('sent');
  expect(await red()).toEqual([]);
  await look('altered', { keys: ['k9'] });
  expect(await red()).toHaveLength(1);
  const audit = await catalog.db
    .selectFrom('audit')
    .select(['what', 'shop', 'who'])
    .where('what', 'like', 'breach %')
    .orderBy('id')
    .execute();
  expect(audit).toEqual([
    { what: 'breach open', shop: 'dupont', who: 'coffre' },
    { what: 'breach sent', shop: 'dupont', who: 'op' },
    { what: 'breach open', shop: 'dupont', who: 'coffre' },
  ]);
});

test('a false alarm - closed with its reason, once; of the daemon’s own objects every shop of the vault hears', async () => {
  const { catalog, clock, look, open } = await setting();
  await look('missing', { shop: DAEMON_SHOP });
  const of = (name: string, vaults: string[]) => openBreachesOf(catalog.db, { name, vaults }, DAEMON_SHOP);
  expect([(await of('dupont', ['offsite'])).length, (await of('martin', ['nas'])).length]).toEqual([1, 0]);
  const [row] = await open();
  const close = () => stepBreach(catalog, clock, row?.id ?? '', 'op', { verb: 'close', reason: 'a disk was replaced' });
  expect(await close()).toMatchObject({ closedBy: 'op', reason: 'a disk was replaced' });
  expect(await open()).toEqual([]);
  await expect(close()).rejects.toMatchObject({ code: 'E_USAGE' });
  await expect(stepBreach(catalog, clock, 'nothing', 'op', { verb: 'close', reason: 'x' })).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
});

test('incidents of before there were cases - those that are open and not acknowledged get one, late by their own day, and once', async () => {
  const { catalog, clock, look, open } = await setting();
  const first = clock.nowMs();
  const { opened } = await look('missing', { keys: ['k1', 'k2', 'k3'] });
  await look('clock', { keys: ['k4'] });
  await look('lock', { shop: 'martin', keys: ['k5'] });
  await acknowledgeIncident(catalog, clock, opened[1]?.id ?? '', { who: 'marie', reason: 'mine' });
  await catalog.db.updateTable('incidents').set({ goneAt: first }).where('key', '=', 'k3').execute();
  await catalog.db.deleteFrom('breachIncidents').execute();
  await catalog.db.deleteFrom('breachCases').execute();
  clock.advance(72 * HOUR);
  const adopt = (of?: { vault: string; shop: string }) => catalog.transaction((tx) => openMissingBreaches(tx, clock, 'daemon', of));
  expect([await adopt({ vault: 'offsite', shop: 'martin' }), await adopt(), await adopt()]).toEqual([1, 1, 0]);
  const [row, ...more] = await open();
  expect([row?.openedAt, row?.deadline, more]).toEqual([first, first + TELL_WITHIN_MS, []]);
  expect(row === undefined ? null : breachState(row, clock.nowMs())).toBe('overdue');
  expect((await incidentsOfBreach(catalog.db, row?.id ?? '')).map(({ key }) => key)).toEqual(['k1', 'k5']);
  // a look finds them too, where no daemon runs
  await catalog.db.deleteFrom('breachIncidents').execute();
  await look('missing', { keys: ['k1'] });
  expect((await incidentsOfBreach(catalog.db, row?.id ?? '')).map(({ key }) => key)).toEqual(['k1']);
});

test('a client who left - the case is of no declared shop, and is told of all the same', async () => {
  const { catalog, look } = await setting();
  const others = async (...shops: { name: string; vaults: string[] }[]) => (await breachesOfOthers(catalog.db, shops, DAEMON_SHOP)).length;
  await look('missing', { shop: DAEMON_SHOP, vault: 'nas' });
  expect(await others()).toBe(0);
  await look('missing', { shop: 'former' });
  expect([await others(), await others({ name: 'dupont', vaults: ['offsite'] }), await others({ name: 'former', vaults: [] })]).toEqual([
    1, 1, 0,
  ]);
  // of the same event a declared shop is red, and its case names the other one
  await look('lock', { shop: 'dupont' });
  expect(await others({ name: 'dupont', vaults: ['offsite'] })).toBe(0);
});

test('cases of a period - those that waited in it, not those that were sent before it or opened after it', async () => {
  const { catalog, clock, look } = await setting();
  const first = clock.nowMs();
  await look('missing');
  const [row] = await listBreaches(catalog.db, { all: true });
  clock.advance(10 * HOUR);
  const of = async (fromMs: number, toMs: number, shop = 'dupont') =>
    (await breachesOfPeriod(catalog.db, { name: shop, vaults: [shop === 'zoe' ? 'offsite' : 'nas'] }, DAEMON_SHOP, { fromMs, toMs }))
      .length;
  expect([await of(first, first + 1), await of(first - HOUR, first), await of(first + HOUR, first + 2 * HOUR)]).toEqual([1, 0, 1]);
  await stepBreach(catalog, clock, row?.id ?? '', 'op', { verb: 'sent', by: 'Marie', atMs: first + 5 * HOUR });
  expect([await of(first + HOUR, first + 9 * HOUR), await of(first + 6 * HOUR, first + 9 * HOUR)]).toEqual([1, 0]);
  expect(await of(first, first + HOUR, 'martin')).toBe(0);
  // of the daemon's own objects whoever uses the vault is told
  await look('altered', { shop: DAEMON_SHOP, keys: ['k7'] });
  const now = clock.nowMs();
  expect([await of(now, now + 1, 'martin'), await of(now, now + 1, 'zoe')]).toEqual([0, 1]);
});

test('incidents that no status of a declared shop shows - of a former shop, and of the daemon’s own in a vault that nobody uses', async () => {
  const { catalog, clock, look } = await setting();
  await look('reappeared', { shop: 'dupont' });
  await look('foreign prefix', { shop: DAEMON_SHOP, vault: 'offsite' });
  await look('foreign prefix', { shop: DAEMON_SHOP, vault: 'nas' });
  const { opened } = await look('foreign upload', { shop: 'former', keys: ['k1', 'k2'] });
  const others = () => incidentsOfOthers(catalog.db, [{ name: 'dupont', vaults: ['offsite'] }], DAEMON_SHOP);
  const own = { shop: DAEMON_SHOP, vault: 'nas', kind: 'foreign prefix', count: 1 };
  expect(await others()).toEqual([own, { shop: 'former', vault: 'offsite', kind: 'foreign upload', count: 2 }]);
  for (const { id } of opened) await acknowledgeIncident(catalog, clock, id, { who: 'marie', reason: 'ours' });
  expect(await others()).toEqual([own]);
});

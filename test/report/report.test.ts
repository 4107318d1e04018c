import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Temporal } from 'temporal-polyfill';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { openCatalog } from '../../src/catalog/open.ts';
import { parseConfig } from '../../src/config/load.ts';
import { ERRORS } from '../../src/errors.ts';
import { causeIn } from '../../src/report/causes.ts';
import { readReport, requirePeriod } from '../../src/report/read-report.ts';
import { reportCsv } from '../../src/report/report-csv.ts';
import { reportPage } from '../../src/report/report-page.ts';
import { type Report, reportSchema } from '../../src/report/report-schema.ts';
import { tempDir } from '../temp-dir.ts';
import { dayMs, october, ZONE } from './history.ts';

const plain = (day: string) => Temporal.PlainDate.from(day);

interface Asked {
  readonly now?: string;
  readonly isTold?: boolean;
}

async function setting(dir: string) {
  const config = parseConfig(
    [
      `timezone: ${ZONE}`,
      `stateDir: ${dir}/state`,
      'encryption: none',
      `vaults: { nas: { type: filesystem, path: ${dir}/nas }, offsite: { type: filesystem, path: ${dir}/offsite } }`,
      "plans: { boutique: { retention: 30d, schedule: { files: '15 2 * * *', increments: 'off' } } }",
      `shops: { dupont: { plan: boutique, vaults: [nas, offsite], files: { root: ${dir}/a } } }`,
    ].join('\n'),
    join(dir, 'coffre.yaml'),
    {},
  );
  const catalog = await openCatalog(config.stateDir);
  await october(catalog);
  const make = async (from: string, to: string, { now = '2026-11-02T08:00:00Z', isTold = true }: Asked = {}): Promise<Report> =>
    await readReport(config, catalog, {
      ...{ shop: 'dupont', from: plain(from), to: plain(to), isTold },
      nowMs: Temporal.Instant.from(now).epochMilliseconds,
    });
  return { catalog, make };
}

async function report(from: string, to: string, asked: Asked = {}): Promise<Report> {
  const { catalog, make } = await setting(await tempDir());
  onTestFinished(() => catalog.close());
  return await make(from, to, asked);
}

test('a month - everything in it is told, counted, and nothing of the days beside it', async () => {
  const made = await report('2026-10-01', '2026-10-31');
  expect(reportSchema.parse(made)).toEqual(made);
  expect(made.totals).toEqual({
    backups: { done: 59, failed: 2, other: 0 },
    planned: { expected: 30, done: 30, missed: 0 },
    ...{ storedBytes: 29 * 210e6 + 4 * 6.2e9 + 26 * 12e6, verifiedBytes: 31 * 1.3e9, verifiedObjects: 31 * 34, damaged: 1 },
    ...{ drills: { passed: 1, failed: 0 }, restores: { done: 1, failed: 0 }, requests: { kept: 1, broken: 0, open: 0 } },
    incidents: { found: 1, open: 0 },
  });
  expect(made.changes.map(({ what, from, to }) => [what, from, to])).toEqual([
    ['shop pause', null, '2026-10-13T22:00:00Z'],
    ['shop unpause', null, null],
    ['application', 'PrestaShop 8.1.5', 'PrestaShop 8.2.0'],
    ['plan.retention', '14d', '30d'],
  ]);
  expect(made.versions).toMatchObject({ application: 'PrestaShop 8.2.0', coffre: '0.9.0', 'plan.retention': '30d' });
  expect(made.holds).toMatchObject([{ reason: 'litige 2026-113', releasedAt: null }]);
  expect(made.complete).toEqual({ runs: null, changes: null, volume: null });
});

test('levels and peak of each day - as a sum over every instant says', async () => {
  const made = await report('2026-10-01', '2026-10-31');
  const each = 40e9 + 38e9;
  expect(made.days[0]).toEqual({ day: '2026-10-01', done: 2, failed: 0, peakBytes: each + 420e6, endBytes: each + 420e6 });
  // 25 October has 25 hours; what is put at night is of its own day
  expect(made.days).toHaveLength(31);
  expect(made.days[8]).toMatchObject({ day: '2026-10-09', done: 1, failed: 1 });
  const last = each + 29 * 420e6 + 4 * 12.4e9 - 3 * 15e9;
  expect(made.volume.levelBytes).toBe(last);
  expect(made.volume.peakBytes).toBe(Math.max(...made.days.map(({ peakBytes }) => peakBytes ?? 0)));
  expect(made.volume.vaults.map(({ levelBytes, vault }) => [vault, levelBytes])).toEqual([
    ['nas', last / 2 - 1e9],
    ['offsite', last / 2 + 1e9],
  ]);
  const peakDay = made.days.find(({ peakBytes }) => peakBytes === made.volume.peakBytes);
  expect(
    Temporal.Instant.from(made.volume.peakAt ?? '')
      .toZonedDateTimeISO(ZONE)
      .toPlainDate()
      .toString(),
  ).toBe(peakDay?.day);
});

test('a period that goes on - days to come have no volume; one of long ago - from when on it is complete', async () => {
  const going = await report('2026-10-20', '2026-10-31', { now: '2026-10-25T12:00:00Z' });
  expect(going.days.map(({ peakBytes }) => peakBytes !== null)).toEqual([...Array(6).fill(true), ...Array(6).fill(false)]);
  const late = await report('2026-10-01', '2026-10-31', { now: '2027-11-20T00:00:00Z' });
  expect(late.complete.runs).toBe('2026-10-16T00:00:00Z');
  expect(reportPage(late, 'fr')).toContain('n’est complet qu’à partir du 16 octobre 2026');
  const older = await report('2026-10-01', '2026-10-31', { now: '2028-01-01T00:00:00Z' });
  expect(Temporal.Instant.from(older.complete.runs ?? '').epochMilliseconds).toBe(dayMs('2026-11-01'));
});

test.each<[string, string, string | null]>([
  ['2026-10-31', '2026-10-01', 'ends before'],
  ['2026-11-03', '2026-11-04', 'has not begun'],
  ['2020-01-01', '2026-11-01', 'at most'],
  ['2026-11-02', '2026-11-02', null],
])('a period from %s to %s - %s', (from, to, refused) => {
  const require = () => requirePeriod({ from: plain(from), to: plain(to) }, plain('2026-11-02'));
  if (refused === null) expect(require()).toBeDefined();
  else expect(require).toThrow(refused);
});

describe('documents of a month', () => {
  let told: Report;
  let client: Report;
  const dirs: string[] = [];
  beforeAll(async () => {
    for (const isTold of [true, false]) {
      const dir = await mkdtemp(join(tmpdir(), 'coffre-test-'));
      dirs.push(dir);
      const { catalog, make } = await setting(dir);
      const made = await make('2026-10-01', '2026-10-31', { isTold });
      await catalog.close();
      if (isTold) told = made;
      else client = made;
    }
    const pages = process.env.COFFRE_REPORT_PAGES;
    if (pages === undefined) return;
    // to be looked at
    await mkdir(pages, { recursive: true });
    for (const lang of ['fr', 'en'] as const)
      await writeFile(join(pages, `report-${lang}.html`), reportPage(lang === 'fr' ? client : told, lang));
  });
  afterAll(async () => {
    for (const dir of dirs) await rm(dir, { recursive: true, force: true });
  });

  test('csv - one row each, in the order of time, with decimals of the language; no cell is a formula', () => {
    const rows = reportCsv(told, 'en').split('\r\n');
    expect(rows[0]).toBe('shop,row,id,at,ended_at,source,vault,outcome,code,gigabytes,hours,target_hours,deadline,from,to,note');
    // runs without the drill's own, drill, request, incident, hold, changes, days
    expect(rows.slice(1, -1)).toHaveLength(told.runs.length - 1 + 1 + 1 + 1 + 1 + 4 + 31);
    expect(rows.find((row) => row.includes(',drill,'))).toMatch(/,offsite,passed,,,1.4667,4,/);
    expect(rows.find((row) => row.includes(',request,'))).toMatch(/,kept,,,2,4,2026-10-21T16:15:00Z/);
    expect(rows.find((row) => row.includes(',incident,'))).toMatch(/,'=test of Marie$/);
    const french = reportCsv(told, 'fr', ';').split('\r\n');
    expect(french.find((row) => row.includes(';backup;'))).toMatch(/;done;;0,21;/);
    expect(french.every((row) => row === '' || row.split(';').length === 16)).toBe(true);
  });

  test.each(['fr', 'en'] as const)('html (%s) - needs nothing else, runs nothing, and tells a client nothing of operators', (lang) => {
    const page = reportPage(client, lang);
    expect(page).not.toMatch(/<script|<link|<img|src=|href=|https?:/);
    for (const word of ['marie', 'Marie', 'litige', 'migration', 'dupont/x']) expect(page).not.toContain(word);
    expect(reportPage(told, lang)).toContain('litige 2026-113');
    expect(page.match(/<svg /g)).toHaveLength(2);
    expect(page).not.toMatch(/NaN|undefined|\[object/);
  });

  test('a year - its calendar is a figure for each row of months, and a count of one is no plural; what vaults hold together is said beside the figure', () => {
    const [day] = client.days;
    if (!day) throw new Error('no day');
    const days = Array.from({ length: 365 }, (_, at) => ({ ...day, day: plain('2026-01-01').add({ days: at }).toString() }));
    const totals = { ...client.totals, backups: { done: 1, failed: 0, other: 0 } };
    const volume = { ...client.volume, vaults: ['v1', 'v2', 'v3'].map((vault) => ({ vault, levelBytes: 1, peakBytes: 1 })) };
    const page = reportPage({ ...client, days, totals, volume }, 'fr');
    expect(page.match(/<figure><svg /g)).toHaveLength(1 + 3);
    expect(page.match(/toutes en échec<\/text>/g)).toHaveLength(1);
    expect(page).toContain('<b>1</b><span>Sauvegarde réussie</span>');
    expect(page).toMatch(/Pic de stockage<\/span><small>total des 3 espaces de stockage, atteint le /);
  });

  test('schedules, terms, what failed and what was found - in words of the client; codes stand behind them alone', () => {
    const changes = [
      ['plan.database', '30 2 * * *', '0 3 * * 1-6'],
      ['plan.rto', '4h (business)', '1d12h (24x7)'],
      ['plan.drill', 'off', '0 11 1 */3 *'],
    ].map(([what = '', from = '', to = '']) => ({ at: client.madeAt, what, from, to, reason: null }));
    const drills = client.drills.map((drill) => ({ ...drill, outcome: 'failed' as const, code: 'E_SHOP_HTTP' }));
    const page = reportPage({ ...client, changes, drills, versions: { 'plan.files': '0 3 * * 0', 'plan.retention': '14d' } }, 'fr');
    const bare = page.replaceAll(/<small class="code">[^<]*<\/small>|<style>[\s\S]*<\/style>/g, '');
    expect(bare).not.toMatch(/\bE_[A-Z]|\* \*|foreign|\b\d+[dh]\b/);
    for (const said of [
      ...['tous les jours à 02:30', 'du lundi au samedi à 03:00', '4\u00a0heures (heures ouvrées)', 'non planifié', 'le dimanche à 03:00'],
      ...[
        'le 1er du mois à 11:00, en janvier, avril, juillet et octobre',
        '1\u00a0jour 12\u00a0heures (24\u00a0h/24, 7\u00a0j/7)',
        '14\u00a0jours',
      ],
      ...['la base de données de la boutique ne répondait pas', 'échec\u00a0: la boutique restaurée n’a pas passé tous les contrôles'],
      'un contenu qui n’est pas le nôtre a été déposé à la place d’un objet sauvegardé',
    ])
      expect(bare).toContain(said);
    expect(page).toContain('<small class="code">E_DB_CONNECT</small>');
    const failed = reportCsv(client, 'fr')
      .split('\r\n')
      .filter((row) => row.includes('E_DB_CONNECT'));
    expect(failed.every((row) => row.endsWith('la base de données de la boutique ne répondait pas'))).toBe(failed.length === 2);
  });

  test('every code of the error table - has a cause in both languages, which tells no code', () => {
    for (const code of Object.keys(ERRORS))
      for (const language of ['fr', 'en'] as const) expect(causeIn(language, code)).toMatch(/^[a-zà-ü][^A-Z_]{8,}[^.]$/);
  });

  test('an end at midnight - is told as the end of the day before', () => {
    expect(reportPage(client, 'fr')).toContain('jusqu’au 13 octobre 2026 inclus');
    expect(reportPage(client, 'en')).toContain('until the end of 13 October 2026');
  });

  test('French - spaces that do not break before double signs', () => {
    const text = reportPage(client, 'fr')
      .replace(/<style>[\s\S]*<\/style>/, '')
      .replace(/<[^>]+>/g, ' ');
    expect(text).not.toMatch(/[a-zé] [;!?%]/);
    expect(text).not.toMatch(/[a-zé] :/);
  });
});

import { Temporal } from 'temporal-polyfill';
import { describe, expect, test } from 'vitest';
import { changeLife, type ShopLife } from '../../src/catalog/shop-life.ts';
import { clientLetter, lifeNotice } from '../../src/notify/life-letters.ts';
import type { Message } from '../../src/notify/message.ts';
import { monthToReport } from '../../src/notify/month-reports.ts';
import { Notifier } from '../../src/notify/notifier.ts';
import { FakeClock } from '../fake-clock.ts';
import { october } from '../report/history.ts';
import { tempDir } from '../temp-dir.ts';
import { startMailServer } from './receivers.ts';
import { notifiedService } from './service.ts';

const DAY = 86_400_000;
const ms = (text: string): number => Temporal.Instant.from(text).epochMilliseconds;

const END = '2026-12-31T23:00:00Z';
const closing = (since: string): ShopLife => ({ state: 'closing', since: ms(since), endsAt: ms(END), who: 'marie', reason: null });
const suspended = (since: string): ShopLife => ({ state: 'suspended', since: ms(since), endsAt: null, who: 'marie', reason: null });

describe('which reminder is due', () => {
  test.each<[string, ShopLife, string, number | 'ordered' | null]>([
    ['closing, ordered now', closing('2026-11-01T10:00:00Z'), '2026-11-01T10:00:00Z', 'ordered'],
    ['closing, ordered long ago and not near', closing('2026-09-01T10:00:00Z'), '2026-11-20T10:00:00Z', null],
    ['the instant of the 30 days', closing('2026-09-01T10:00:00Z'), '2026-12-01T23:00:00Z', 30],
    ['a millisecond before it', closing('2026-09-01T10:00:00Z'), '2026-12-01T22:59:59.999Z', null],
    ['14 days', closing('2026-09-01T10:00:00Z'), '2026-12-20T00:00:00Z', 14],
    ['7 days', closing('2026-09-01T10:00:00Z'), '2026-12-24T23:00:00Z', 7],
    ['1 day', closing('2026-09-01T10:00:00Z'), '2026-12-31T22:00:00Z', 1],
    ['it has ended', closing('2026-09-01T10:00:00Z'), END, null],
    ['ordered between the 14 and the 7 days: no 14', closing('2026-12-20T10:00:00Z'), '2026-12-21T10:00:00Z', 'ordered'],
    ['off from day 20 to day 5: the last that is due alone', closing('2026-09-01T10:00:00Z'), '2026-12-26T23:00:00Z', 7],
    ['suspended now', suspended('2026-12-01T10:00:00Z'), '2026-12-01T10:00:01Z', 'ordered'],
    ['suspended, 7 days of the 30 left', suspended('2026-12-01T10:00:00Z'), '2026-12-24T10:00:00Z', 7],
    ['a clock that was set back behind the order', closing('2026-11-01T10:00:00Z'), '2026-10-01T10:00:00Z', null],
    ['active', { state: 'active', since: 0, endsAt: null, who: 'coffre', reason: null }, '2026-12-24T10:00:00Z', null],
    ['erased', { state: 'erased', since: 0, endsAt: null, who: 'marie', reason: null }, '2026-12-24T10:00:00Z', null],
  ])('%s', (_, life, now, expected) => {
    const notice = lifeNotice('dupont', life, ms(now));
    expect(notice === null ? null : (notice.days ?? 'ordered')).toBe(expected);
  });

  test('the end is moved - other reminders than before', () => {
    const moved = { ...closing('2026-09-01T10:00:00Z'), endsAt: ms(END) + 3 * DAY };
    const ids = [closing('2026-09-01T10:00:00Z'), moved].map((life) => lifeNotice('dupont', life, ms('2026-12-20T00:00:00Z'))?.id);
    expect(new Set(ids).size).toBe(2);
  });
});

test('the letter in French - the day, what is left, how to have the data', () => {
  const notice = lifeNotice('dupont', closing('2026-09-01T10:00:00Z'), ms('2026-12-24T23:00:00Z'));
  if (notice === null) throw new Error('none is due');
  const { subject, text } = clientLetter(notice, 'fr', { name: 'Marie Dupont', host: 'backup1', timezone: 'Europe/Paris' });
  expect(subject).toBe('dupont\u00a0: fin des sauvegardes le 1er janvier 2027 à 00:00');
  expect(text).toContain('Bonjour Marie Dupont,');
  expect(text).toContain('il reste 7 jours');
  expect(text).toContain('export dupont --to dupont.tar');
  expect(text).not.toMatch(/[a-zé] [:;!?]/);
});

test.each<[string, string | null]>([
  ['2026-11-01T06:59:59Z', null],
  ['2026-11-01T07:00:00Z', '2026-10-01'],
  ['2026-11-10T22:59:59Z', '2026-10-01'],
  ['2026-11-10T23:00:00Z', null],
  ['2027-01-02T00:00:00Z', '2026-12-01'],
])('at %s the month whose reports are sent is %s', (now, month) => {
  expect(monthToReport(Temporal.Instant.from(now), 'Europe/Paris')?.toString() ?? null).toBe(month);
});

async function setting(now: string, keys: string, port = 9) {
  const dir = await tempDir();
  const clock = new FakeClock(now);
  const service = await notifiedService(clock, dir, [
    'timezone: Europe/Paris',
    `vaults: { nas: { type: filesystem, path: ${dir}/nas }, offsite: { type: filesystem, path: ${dir}/offsite } }`,
    'plans: { boutique: { retention: 14d, report: { monthly: true } } }',
    'shops:',
    `  dupont: { plan: boutique, vaults: [nas, offsite], files: { root: ${dir}/a }, contact: { email: marie@dupont.example, language: fr }${keys} }`,
    `  martin: { plan: boutique, vaults: [nas], files: { root: ${dir}/b } }`,
    `notify: { mail: { host: 127.0.0.1, port: ${port}, security: none, from: coffre@host.example, to: [ops@host.example] } }`,
  ]);
  const { catalog } = service;
  /** Nobody takes mail there: it waits, and what waits can be counted. */
  const messages = async (): Promise<readonly Message[]> => {
    for (let look = 0; look < 2; look++) await (await Notifier.open(service, 'backup1')).tick();
    const rows = await catalog.db.selectFrom('messages').selectAll().orderBy('at').orderBy('id').execute();
    return rows.map(({ content }) => JSON.parse(content) as Message);
  };
  return { catalog, clock, messages };
}

test('a month is over - its report is mailed to the contact once, in their language, over restarts too', async () => {
  const { catalog, clock, messages } = await setting('2026-11-01T06:00:00Z', '');
  await october(catalog);
  expect(await messages()).toEqual([]);
  clock.advance(2 * 3_600_000);
  const [message, ...others] = await messages();
  expect(others).toEqual([]);
  expect(message).toMatchObject({
    kind: 'report',
    to: ['marie@dupont.example'],
    subject: 'dupont\u00a0: rapport de sauvegarde, octobre 2026',
  });
  expect(message?.text).toContain('sauvegardes réussies\u00a0: 59, en échec\u00a0: 2');
  expect(message?.attachments).toMatchObject([{ name: 'rapport-dupont-2026-10.html' }]);
  expect(message?.attachments?.[0]?.content).not.toContain('litige');
  clock.advance(4 * DAY);
  expect((await messages()).filter(({ kind }) => kind === 'report')).toHaveLength(1);
});

test('a server takes the report - the page is attached, and is not kept once it was sent', async () => {
  const server = await startMailServer('none');
  const { messages } = await setting('2026-11-01T09:00:00Z', '', server.port);
  const [message] = await messages();
  expect(server.mails).toHaveLength(1);
  const [mail] = server.mails;
  expect(mail?.to).toEqual(['marie@dupont.example']);
  expect(mail?.text).toMatch(/Content-Type: text\/html; charset=utf-8/);
  expect(mail?.text).toMatch(/filename="?rapport-dupont-2026-10\.html/);
  expect(message).not.toHaveProperty('attachments');
});

test('a shop that says no - no report', async () => {
  const { messages } = await setting('2026-11-01T09:00:00Z', ', report: { monthly: false }');
  expect(await messages()).toEqual([]);
});

test('a shop that closes - the owner and the operators are reminded, once for each step', async () => {
  const { catalog, clock, messages } = await setting('2026-11-15T10:00:00Z', '');
  await changeLife(catalog, clock, 'dupont', { verb: 'close', endsAt: clock.nowMs() + 40 * DAY }, { who: 'marie', reason: 'contract' });
  const told = async () => (await messages()).map(({ life, to }) => [life?.days, to === undefined ? 'operators' : 'owner']);
  expect(await told()).toEqual([
    [null, 'operators'],
    [null, 'owner'],
  ]);
  clock.advance(10 * DAY);
  expect((await told()).slice(2)).toEqual([
    [30, 'operators'],
    [30, 'owner'],
  ]);
  clock.advance(DAY);
  expect(await told()).toHaveLength(4);
});

// What people are told of a restore request, in French and English: golden files, every word of them.
import { describe, expect, test } from 'vitest';
import type { RequestEventRow, RequestRow } from '../../src/catalog/requests.ts';
import { durationIn, instantIn } from '../../src/notify/request-facts.ts';
import { type RequestContext, requestMessages } from '../../src/notify/request-message.ts';
import { REQUEST_VERBS, type RequestState } from '../../src/restore/request-life.ts';

const at = (text: string): number => new Date(text).getTime();
const ID = '01k9v3n0t3f8z6j2q4h5y7w1cd';
const PROMISE = {
  ...{ targetMs: 4 * 3_600_000, calendar: 'business', country: 'FR', region: null, zone: 'Europe/Paris' },
  hours: { fromMinute: 540, toMinute: 1080, days: [1, 2, 3, 4, 5] },
};
const preview = (part: boolean) => ({
  ...{ shop: 'dupont', at: null, tables: part ? ['ps_cart_rule'] : [], paths: [], gapMs: 1, lost: [], estimate: null },
  snapshots: [
    { id: 'd', source: 'database', asOf: '2026-11-01T01:30:00Z' },
    ...(part ? [] : [{ id: 'f', source: 'files', asOf: '2026-10-31T23:05:00Z' }]),
  ],
});

const request = (more: Partial<RequestRow> = {}): RequestRow => ({
  ...{ id: ID, shop: 'dupont', state: 'approved', wanted: '{}', preview: JSON.stringify(preview(false)), toldEvent: 0 },
  ...{ createdAt: at('2026-11-01T10:00:00Z'), createdBy: 'token:dupont', createdRole: 'client' },
  ...{ approvedAt: at('2026-11-01T10:00:00Z'), approvedBy: 'token:dupont', approvedRole: 'client', promise: JSON.stringify(PROMISE) },
  ...{ deadline: at('2026-11-02T12:00:00Z'), startedAt: null, verifyingAt: null, endedAt: null, runId: null },
  ...{ errorCode: null, errorMessage: null, outcome: null, countedMs: null, leftMs: null },
  ...more,
});
const NOT_APPROVED = { state: 'requested', approvedAt: null, approvedBy: null, approvedRole: null, promise: null, deadline: null } as const;
const DONE = { state: 'done', endedAt: at('2026-11-02T10:12:30Z') } as const;

interface Case {
  readonly verb: RequestEventRow['verb'];
  readonly state: RequestState;
  readonly role: RequestEventRow['role'];
  readonly who: string;
  readonly reason?: string | null;
  readonly row?: Partial<RequestRow>;
  readonly unattended?: boolean;
  readonly isOpen?: boolean;
}

const CLIENT = { role: 'client', who: 'token:dupont' } as const;
const OPERATOR = { role: 'operator', who: 'marc' } as const;
const DAEMON = { role: 'daemon', who: 'coffre' } as const;

const CASES: Readonly<Record<string, Case>> = {
  'asked for by its owner': { verb: 'request', state: 'requested', ...CLIENT, row: NOT_APPROVED },
  'asked for by an operator, in part': {
    ...{ verb: 'request', state: 'requested', ...OPERATOR },
    row: { ...NOT_APPROVED, createdRole: 'operator', createdBy: 'marc', preview: JSON.stringify(preview(true)) },
  },
  'approved by its owner': { verb: 'approve', state: 'approved', ...CLIENT },
  'approved by its owner, and nothing begins by itself': { verb: 'approve', state: 'approved', ...CLIENT, unattended: false },
  'approved in its owner’s name': { verb: 'approve', state: 'approved', ...OPERATOR, reason: 'accord donné par téléphone, 10 h 42' },
  'held before its approval': { verb: 'hold', state: 'held', ...OPERATOR, reason: 'le disque est remplacé', row: NOT_APPROVED },
  'held after its approval': { verb: 'hold', state: 'held', ...OPERATOR, reason: 'le disque est remplacé' },
  'released, not approved': { verb: 'release', state: 'requested', ...OPERATOR, row: NOT_APPROVED },
  'released, approved': { verb: 'release', state: 'approved', ...OPERATOR },
  refused: { verb: 'refuse', state: 'refused', ...OPERATOR, reason: 'la boutique a déménagé', row: NOT_APPROVED },
  'called off by its owner': { verb: 'cancel', state: 'cancelled', ...CLIENT, row: NOT_APPROVED },
  'called off by an operator': { verb: 'cancel', state: 'cancelled', ...OPERATOR, reason: 'double', row: NOT_APPROVED },
  lapsed: { verb: 'cancel', state: 'cancelled', ...DAEMON, reason: 'nobody approved it', row: NOT_APPROVED },
  'tried again': { verb: 'retry', state: 'approved', ...OPERATOR },
  begun: { verb: 'start', state: 'running', ...DAEMON },
  verified: { verb: 'verify', state: 'verifying', ...DAEMON },
  'done in time': { verb: 'finish', state: 'done', ...DAEMON, row: { ...DONE, outcome: 'kept', leftMs: 107 * 60_000 + 30_000 } },
  'done too late': { verb: 'finish', state: 'done', ...DAEMON, row: { ...DONE, outcome: 'broken', leftMs: -26 * 3_600_000 } },
  failed: { verb: 'fail', state: 'failed', ...DAEMON, row: { errorCode: 'E_TARGET_SPACE', errorMessage: '/var/www/dupont: hunter2' } },
  'failed, and the shop is closed': { verb: 'fail', state: 'failed', ...DAEMON, row: { errorCode: 'E_SHOP_CLOSED', errorMessage: 'x' } },
  'failed, and nobody knows how the shop stands': {
    ...{ verb: 'fail', state: 'failed', ...DAEMON, isOpen: true },
    row: { errorCode: 'E_RESTORE_UNIT', errorMessage: 'x' },
  },
  'gone back from': { verb: 'rollback', state: 'rolled-back', role: 'operator', who: 'root' },
  late: { verb: 'late', state: 'running', ...DAEMON, row: { outcome: 'broken' } },
};

const context = (language: 'fr' | 'en', more: Partial<RequestContext> = {}): RequestContext => ({
  ...{ nowMs: 0, host: 'backup1', timezone: 'Europe/Paris', unattended: true, isOpen: false, newId: () => 'm1' },
  contact: { emails: ['marie@dupont.example'], language, name: 'Marie Dupont' },
  ...more,
});

function messagesOf({ verb, state, role, who, reason = null, row = {}, unattended = true, isOpen = false }: Case, language: 'fr' | 'en') {
  const event: RequestEventRow = {
    ...{ id: 1, requestId: ID, shop: 'dupont', at: at('2026-11-01T10:00:00Z'), verb, state, role, who, reason, detail: null },
  };
  return requestMessages(event, request(row), context(language, { unattended, isOpen }));
}

const page = (name: string, { subject, text }: { readonly subject: string; readonly text: string }): string =>
  `=== ${name}\nSubject: ${subject}\n\n${text}\n`;

describe('notices', () => {
  test('every verb has a case', () => {
    expect(new Set(Object.values(CASES).map(({ verb }) => verb))).toEqual(new Set(REQUEST_VERBS));
  });

  test.each(['fr', 'en'] as const)('to the owner, in %s', async (language) => {
    const pages = Object.entries(CASES).map(([name, one]) => {
      const [client] = messagesOf(one, language);
      expect(client).toMatchObject({ channel: 'mail', message: { to: ['marie@dupont.example'], kind: 'request' } });
      return page(name, client?.message as { subject: string; text: string });
    });
    await expect(pages.join('\n')).toMatchFileSnapshot(`golden/request.${language}.txt`);
  });

  test('to the operators, by mail and webhook', async () => {
    const pages = Object.entries(CASES).map(([name, one]) => {
      const [, mail, hook] = messagesOf(one, 'fr');
      expect(mail?.message).toEqual(hook?.message);
      expect(mail?.message.to).toBeUndefined();
      return page(name, mail?.message as { subject: string; text: string });
    });
    await expect(pages.join('\n')).toMatchFileSnapshot('golden/request.operator.txt');
  });

  test('a webhook - the same as data, with the owner’s words in their language', () => {
    const [, , hook] = messagesOf(CASES['done too late'] as Case, 'fr');
    expect(hook?.message.request).toEqual({
      ...{ id: ID, shop: 'dupont', verb: 'finish', state: 'done', by: 'daemon', reason: null, deadline: '2026-11-02T12:00:00Z' },
      ...{ outcome: 'broken', leftMs: -26 * 3_600_000, code: null, shopState: null },
      client: { language: 'fr', subject: expect.stringContaining('hors délai'), text: expect.stringContaining('Bonjour Marie Dupont') },
    });
  });

  test('a failure as data - closed, open, or nobody knows', () => {
    const names = ['failed, and the shop is closed', 'failed', 'failed, and nobody knows how the shop stands'];
    const states = names.map((name) => messagesOf(CASES[name] as Case, 'fr')[2]?.message.request?.shopState);
    expect(states).toEqual(['closed', 'open', 'unknown']);
  });

  test('no word of an error’s own text, no name of an operator - to the owner', () => {
    for (const language of ['fr', 'en'] as const) {
      for (const one of Object.values(CASES)) {
        const [client] = messagesOf(one, language);
        expect(JSON.stringify(client?.message.text)).not.toMatch(/hunter2|marc\b|var\/www/);
      }
    }
  });

  test('without an address - the operators alone', () => {
    const event = {
      id: 1,
      requestId: ID,
      shop: 'dupont',
      at: 0,
      verb: 'start',
      state: 'running',
      detail: null,
      reason: null,
      ...DAEMON,
    } as const;
    const told = requestMessages(event, request(), context('fr', { contact: null }));
    expect(told.map(({ channel, message }) => [channel, message.to])).toEqual([
      ['mail', undefined],
      ['webhook', undefined],
    ]);
  });

  test('French typography - no plain space before a double sign', () => {
    for (const one of Object.values(CASES)) {
      const [client] = messagesOf(one, 'fr');
      expect(`${client?.message.subject}\n${client?.message.text}`).not.toMatch(/ [:;!?%»]|« /);
    }
  });

  test.each([
    ['fr', '2026-03-29T00:59:59Z', 'dimanche 29 mars 2026 à 01:59 (Europe/Paris)'],
    ['fr', '2026-03-29T01:00:00Z', 'dimanche 29 mars 2026 à 03:00 (Europe/Paris)'],
    ['fr', '2026-12-31T23:30:00Z', 'vendredi 1er janvier 2027 à 00:30 (Europe/Paris)'],
    ['en', '2026-12-31T23:30:00Z', 'Friday 1 January 2027 at 00:30 (Europe/Paris)'],
  ] as const)('an instant in %s, %s', (language, instant, said) => expect(instantIn(language, at(instant), 'Europe/Paris')).toBe(said));

  test.each([
    ['fr', 59_999, '0 min'],
    ['fr', 3_600_000, '1 h'],
    ['fr', -11_520_000, '3 h 12 min'],
    ['fr', 187_200_000, '2 j 4 h'],
    ['en', 187_260_000, '2 d 4 h'],
  ] as const)('a duration in %s, %d ms', (language, ms, said) => expect(durationIn(language, ms).replaceAll('\u00a0', ' ')).toBe(said));
});

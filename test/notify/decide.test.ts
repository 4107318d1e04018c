import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { currentNotices, type Notice, noticeOf } from '../../src/notify/alarms.ts';
import { decide, GROUP_REST_MS, type Known } from '../../src/notify/decide.ts';
import { composeMessage } from '../../src/notify/message.ts';
import type { Alarm } from '../../src/schedule/alarm.ts';
import type { SourceStatus } from '../../src/schedule/status-source.ts';
import type { ShopSurvey } from '../../src/schedule/survey.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DELAY = 2 * MINUTE;
const DAY = 24 * HOUR;

const lacking = (shop: string, vault = 'offsite'): Notice =>
  noticeOf(shop, { kind: 'lacking', source: null, vault, code: 'E_VAULT_UNREACHABLE' });
const failed = (shop: string): Notice => noticeOf(shop, { kind: 'run', source: 'database', vault: null, code: 'E_DB_CONNECT' });

/** What is told as time goes by, minute after minute. */
class Story {
  known: readonly Known[] = [];
  nowMs = Date.parse('2026-03-02T02:30:00Z');
  readonly declared = new Set(['a', 'b', 'c', '_coffre', ...Array.from({ length: 300 }, (_, i) => `shop${i}`)]);

  look(red: readonly Notice[], { unknown = new Set<string>(), unseen = new Set<string>(), early = new Set<string>() } = {}) {
    const { declared, nowMs } = this;
    const decision = decide(this.known, red, { nowMs, delayMs: DELAY, reminderMs: DAY, unknown, declared, unseen, early });
    this.known = decision.known;
    return decision;
  }

  /** All that is told in `ms`, a look each minute. */
  pass(ms: number, red: readonly Notice[], options = {}) {
    const told = { raised: [] as string[], recovered: [] as string[], reminded: [] as string[], messages: 0 };
    for (let passed = 0; passed < ms; passed += MINUTE) {
      this.nowMs += MINUTE;
      const { raised, recovered, reminded } = this.look(red, options);
      told.raised.push(...raised.map((row) => row.shop));
      told.recovered.push(...recovered.map((row) => row.shop));
      told.reminded.push(...reminded.map((row) => row.shop));
      told.messages += Number(raised.length + recovered.length + reminded.length > 0);
    }
    return told;
  }
}

describe('currentNotices', () => {
  const alarm = (kind: Alarm['kind'], source: Alarm['source'] = null): Alarm => ({
    ...{ kind, source, vault: null, detail: null, code: null, text: '' },
  });
  const early = (source: Partial<SourceStatus>): string[] => {
    const files = { source: 'files', newestGood: null, lastRun: null, nextRun: '2026-03-03T02:00:00Z', dueSince: null, ...source };
    const alarms = [alarm('snapshot', 'files'), alarm('copies'), alarm('probe'), alarm('run', 'files')];
    const status = { shop: 'a', ok: false, sources: [files], alarms } as unknown as ShopSurvey['status'];
    const survey: ShopSurvey = { shop: 'a', at: 0, status, error: null, snapshots: new Map(), levels: new Map() };
    return [...currentNotices([survey], { configProblem: null, running: [] }).early].map((id) => id.split(' ')[1] ?? '');
  };
  const lastRun = (state: string): Partial<SourceStatus> => ({ lastRun: { state, startedAt: '2026-03-02T02:00:00Z', error: null } });

  it.each([
    ['its first backup waits', {}, ['snapshot', 'copies']],
    ['it runs', lastRun('running'), ['snapshot', 'copies']],
    ['the daemon was stopped in it', lastRun('interrupted'), ['snapshot', 'copies']],
    ['it failed', lastRun('failed'), []],
    ['nothing is scheduled: none waits', { nextRun: null }, []],
    ['it has a snapshot', { newestGood: {} as SourceStatus['newestGood'] }, []],
  ])('%s - what is told only later', (_, source, expected) => {
    expect(early(source)).toEqual(expected);
  });
});

test('a case of a shop that is declared no more - the daemon is red for it, and redder past the deadline', () => {
  const row = { id: '01kcase', vault: 'nas', deadline: 1000, sentAt: null, closedAt: null, openedAt: 0, lastIncidentAt: 0 };
  const breaches = [{ ...row, sentBy: null, closedBy: null, reason: null }];
  const kinds = (nowMs: number) =>
    currentNotices([], { configProblem: null, running: [] }, { breaches, nowMs }).red.map(({ kind, vault }) => [kind, vault]);
  expect([kinds(1000), kinds(1001)]).toEqual([
    [['breach', 'nas']],
    [
      ['breach', 'nas'],
      ['breach-overdue', 'nas'],
    ],
  ]);
});

describe('decide', () => {
  it('red for less than the delay - nothing is told, nor that it is green again', () => {
    const story = new Story();
    expect(story.look([failed('a')])).toMatchObject({ raised: [], isRed: false });
    expect(story.pass(MINUTE, [failed('a')])).toMatchObject({ messages: 0 });
    expect(story.pass(HOUR, [])).toMatchObject({ messages: 0 });
    expect(story.known).toEqual([]);
  });

  it('red for longer - told once, and no more while it stays so', () => {
    const story = new Story();
    expect(story.pass(23 * HOUR, [failed('a')])).toEqual({ raised: ['a'], recovered: [], reminded: [], messages: 1 });
    expect(story.look([failed('a')]).isRed).toBe(true);
  });

  it('red for days - told again each day, everything in one message', () => {
    const story = new Story();
    story.pass(HOUR, [failed('a')]);
    story.pass(HOUR, [failed('a'), lacking('b')]);
    const told = story.pass(3 * DAY, [failed('a'), lacking('b')]);
    expect(told.messages).toBe(3);
    expect(told.reminded).toEqual(['a', 'b', 'a', 'b', 'a', 'b']);
  });

  it('green again - told once, after the delay', () => {
    const story = new Story();
    story.pass(HOUR, [failed('a')]);
    expect(story.pass(DELAY, [])).toMatchObject({ messages: 0 });
    expect(story.pass(DAY, [])).toEqual({ raised: [], recovered: ['a'], reminded: [], messages: 1 });
  });

  it('red until its first backup has ended - not told, nor is the ping red; it failed - told at once; nothing for a day - told all the same', () => {
    const story = new Story();
    const early = new Set([failed('a').id, failed('b').id]);
    expect(story.pass(3 * HOUR, [failed('a'), failed('b')], { early })).toMatchObject({ messages: 0 });
    expect(story.look([failed('a'), failed('b')], { early }).isRed).toBe(false);
    // of the same group: the one that still waits is not told with it
    const ended = { early: new Set([failed('b').id]) };
    expect(story.look([failed('a'), failed('b')], ended)).toMatchObject({ raised: [{ shop: 'a' }], isRed: true });
    // tried again: what was told is not taken back
    expect(story.pass(HOUR, [failed('a'), failed('b')], { early })).toMatchObject({ messages: 0 });
    const told = story.pass(21 * HOUR, [failed('a'), failed('b')], { early });
    expect(told).toMatchObject({ raised: ['b'], recovered: [] });
    const good = new Story();
    good.pass(HOUR, [failed('a')], { early });
    expect(good.pass(DAY, [])).toMatchObject({ messages: 0 });
  });

  it('red again before it was told to be green - neither is told', () => {
    const story = new Story();
    story.pass(HOUR, [failed('a')]);
    story.pass(MINUTE, []);
    expect(story.pass(20 * HOUR, [failed('a')])).toMatchObject({ messages: 0 });
  });

  it('twenty shops that fail of one vault at once - one message', () => {
    const story = new Story();
    const red = Array.from({ length: 20 }, (_, i) => lacking(`shop${i}`));
    expect(story.pass(HOUR, red)).toMatchObject({ messages: 1 });
  });

  it('three hundred shops that fail of one vault one after the other, and come back so - a few messages, each shop in one', () => {
    const story = new Story();
    const shops = Array.from({ length: 300 }, (_, i) => `shop${i}`);
    const told: string[] = [];
    let messages = 0;
    for (let at = 0; at < 300; at += 2) {
      const now = story.pass(
        MINUTE,
        shops.slice(0, at + 2).map((shop) => lacking(shop)),
      );
      told.push(...now.raised);
      messages += now.messages;
    }
    const rest = story.pass(
      HOUR,
      shops.map((shop) => lacking(shop)),
    );
    expect([...told, ...rest.raised].sort()).toEqual([...shops].sort());
    expect(messages + rest.messages).toBeLessThanOrEqual(5);
    const green = { messages: 0, recovered: [] as string[] };
    for (let at = 0; at < 300; at += 2) {
      const now = story.pass(
        MINUTE,
        shops.slice(at + 2).map((shop) => lacking(shop)),
      );
      green.messages += now.messages;
      green.recovered.push(...now.recovered);
    }
    const end = story.pass(HOUR, []);
    expect([...green.recovered, ...end.recovered].sort()).toEqual([...shops].sort());
    expect(green.messages + end.messages).toBeLessThanOrEqual(5);
  });

  it('another vault, or another error - told at once, whatever was told before', () => {
    const story = new Story();
    story.pass(10 * MINUTE, [lacking('a')]);
    expect(story.pass(10 * MINUTE, [lacking('a'), lacking('b', 'nas'), failed('c')])).toMatchObject({ raised: ['b', 'c'], messages: 1 });
    expect(story.pass(10 * MINUTE, [lacking('a'), lacking('b', 'nas'), lacking('b'), failed('c')])).toMatchObject({ messages: 0 });
    expect(story.pass(GROUP_REST_MS, [lacking('a'), lacking('b', 'nas'), lacking('b'), failed('c')])).toMatchObject({ raised: ['b'] });
  });

  it('the same trouble under another error - the same alarm, told no more', () => {
    const story = new Story();
    story.pass(HOUR, [lacking('a')]);
    const other = noticeOf('a', { kind: 'lacking', source: null, vault: 'offsite', code: 'E_VAULT_TIMEOUT' });
    expect(story.pass(3 * HOUR, [other])).toMatchObject({ messages: 0 });
  });

  it('a shop that cannot be looked at, or was not since the start - not said to be green', () => {
    const story = new Story();
    story.pass(HOUR, [failed('a'), failed('b')]);
    expect(story.pass(2 * HOUR, [], { unknown: new Set(['a']), unseen: new Set(['b']) })).toMatchObject({ messages: 0 });
    expect(story.look([], { unknown: new Set(['a']), unseen: new Set(['b']) }).isRed).toBe(true);
    expect(story.pass(HOUR, [])).toMatchObject({ recovered: ['a', 'b'] });
  });

  it('a shop that is declared no more - forgotten without a word', () => {
    const story = new Story();
    story.pass(HOUR, [failed('a')]);
    story.declared.delete('a');
    expect(story.pass(DAY, [])).toMatchObject({ messages: 0 });
    expect(story.known).toEqual([]);
  });

  it('the clock is set back a year - nothing told twice, the reminder a day later', () => {
    const story = new Story();
    story.pass(HOUR, [failed('a')]);
    story.nowMs -= 365 * DAY;
    expect(story.pass(20 * HOUR, [failed('a')])).toMatchObject({ messages: 0 });
    expect(story.pass(5 * HOUR, [failed('a')])).toMatchObject({ reminded: ['a'], messages: 1 });
  });

  it('whatever happens - what is told to be green was told to be red, and nothing is told red twice', () => {
    const steps = fc.array(fc.record({ minutes: fc.integer({ min: 1, max: 300 }), red: fc.subarray(['a', 'b', 'c']) }), { maxLength: 30 });
    fc.assert(
      fc.property(steps, (all) => {
        const story = new Story();
        const red = new Set<string>();
        for (const step of all) {
          for (let minute = 0; minute < step.minutes; minute += 5) {
            story.nowMs += 5 * MINUTE;
            const { raised, recovered, reminded } = story.look(step.red.map((shop) => lacking(shop)));
            for (const { shop } of recovered) expect(red.delete(shop)).toBe(true);
            for (const { shop } of reminded) expect(red.has(shop)).toBe(true);
            for (const { shop } of raised) {
              expect(red.has(shop)).toBe(false);
              red.add(shop);
            }
          }
        }
        // and in the end the word is the last one
        story.pass(2 * HOUR, []);
        expect(story.known).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});

describe('composeMessage', () => {
  const options = { id: 'm1', nowMs: Date.parse('2026-03-02T03:00:00Z'), host: 'backup1', timezone: 'Europe/Paris' };
  const known = (notice: Notice): Known => ({ ...notice, since: Date.parse('2026-03-02T02:30:00Z'), toldAt: null, goneAt: null });

  it('what is red - what, since when, what to do', () => {
    const message = composeMessage({ raised: [known(failed('dupont'))], recovered: [], reminded: [] }, options);
    expect(message?.subject).toBe(
      'coffre on backup1: RED: dupont: database: the last backup failed: the database server does not answer [E_DB_CONNECT]',
    );
    expect(message?.text).toContain('since 2026-03-02 03:30:00+01:00');
    expect(message?.text).toContain('what to do: check host, port or socketPath');
    expect(message).toMatchObject({ version: 1, kind: 'alarm', raised: [{ kind: 'run', shops: ['dupont'], code: 'E_DB_CONNECT' }] });
  });

  it('many shops of one vault - one paragraph that names some of them', () => {
    const rows = Array.from({ length: 25 }, (_, i) => known(lacking(`shop${String(i).padStart(2, '0')}`)));
    const message = composeMessage({ raised: rows, recovered: [], reminded: [] }, options);
    expect(message?.raised).toHaveLength(1);
    expect(message?.subject).toContain('25 shops: vault offsite lacks snapshots');
    expect(message?.text).toContain('shop19 and 5 more');
    expect(message?.text.match(/since/g)).toHaveLength(1);
  });

  it('nothing to tell - no message', () => {
    expect(composeMessage({ raised: [], recovered: [], reminded: [] }, options)).toBeNull();
  });

  it('something is green again while other things stay red - told as both', () => {
    const message = composeMessage({ raised: [], recovered: [known(lacking('a'))], reminded: [known(failed('b'))] }, options);
    expect(message?.kind).toBe('reminder');
    expect(message?.text).toMatch(/green again\n=+\n- a: vault offsite lacks snapshots/);
    expect(message?.text).toMatch(/still RED, told before\n=+\n- b: database/);
  });
});

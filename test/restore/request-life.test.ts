// Which state of a request follows from which, for everybody and everything they may do.
import { describe, expect, test } from 'vitest';
import type { CoffreError } from '../../src/errors.ts';
import {
  follow,
  REQUEST_ROLES,
  REQUEST_STATES,
  REQUEST_VERBS,
  type RequestState,
  type RequestVerb,
} from '../../src/restore/request-life.ts';

type Verb = Exclude<RequestVerb, 'request'>;
const VERBS = REQUEST_VERBS.filter((verb): verb is Verb => verb !== 'request');

/** All that may happen; whatever is not in here may not. c: client, o: operator, d: daemon; !: with a reason. */
const TABLE: Readonly<Record<Verb, Partial<Record<RequestState, readonly [who: string, to: RequestState]>>>> = {
  approve: { requested: ['c o!', 'approved'], held: ['c', 'held'] },
  hold: { requested: ['o!', 'held'], approved: ['o!', 'held'] },
  release: { held: ['o', 'requested'] },
  refuse: { requested: ['o!', 'refused'], approved: ['o!', 'refused'], held: ['o!', 'refused'] },
  cancel: {
    requested: ['c o d', 'cancelled'],
    approved: ['c o d', 'cancelled'],
    held: ['c o d', 'cancelled'],
    failed: ['c o d', 'cancelled'],
  },
  retry: { failed: ['o d', 'approved'] },
  start: { approved: ['d', 'running'], running: ['d', 'running'], verifying: ['d', 'running'] },
  verify: { running: ['d', 'verifying'], verifying: ['d', 'verifying'] },
  finish: {
    ...{ approved: ['d', 'done'], held: ['d', 'done'], failed: ['d', 'done'] },
    ...{ running: ['d', 'done'], verifying: ['d', 'done'] },
  },
  rollback: {
    ...{ approved: ['o', 'rolled-back'], held: ['o', 'rolled-back'], failed: ['o', 'rolled-back'] },
    ...{ running: ['o', 'rolled-back'], verifying: ['o', 'rolled-back'] },
  },
  fail: { approved: ['d', 'failed'], running: ['d', 'failed'], verifying: ['d', 'failed'] },
  late: {
    ...{ approved: ['d', 'approved'], held: ['d', 'held'], running: ['d', 'running'] },
    ...{ verifying: ['d', 'verifying'], failed: ['d', 'failed'] },
  },
};

const outcome = (...args: Parameters<typeof follow>): string => {
  try {
    return follow(...args);
  } catch (error) {
    return (error as CoffreError).code;
  }
};

describe('a restore request', () => {
  const cases = VERBS.flatMap((verb) => REQUEST_STATES.flatMap((state) => REQUEST_ROLES.map((by) => [verb, state, by] as const)));
  test.each(cases)('%s while %s, by the %s', (verb, state, by) => {
    const letter = by[0] as string;
    const [who = '', to] = TABLE[verb][state] ?? [];
    const words = who.split(' ');
    const mayEver = Object.values(TABLE[verb]).some(([some]) => some.split(/[ !]+/).includes(letter));
    const asked = words.includes(`${letter}!`);
    const may = asked || words.includes(letter);
    const standing = { state, approvedAt: null };
    expect(outcome(standing, verb, by, 'because')).toBe(!mayEver ? 'E_FORBIDDEN' : may ? to : 'E_REQUEST_STATE');
    if (may) expect(outcome(standing, verb, by, null)).toBe(asked ? 'E_USAGE' : to);
  });

  test('released after it was approved - approved again', () => {
    expect(follow({ state: 'held', approvedAt: 1 }, 'release', 'operator', null)).toBe('approved');
  });

  test('approved twice - not again, whoever says so', () => {
    expect(outcome({ state: 'held', approvedAt: 1 }, 'approve', 'client', null)).toBe('E_REQUEST_STATE');
    expect(outcome({ state: 'approved', approvedAt: 1 }, 'approve', 'client', null)).toBe('E_REQUEST_STATE');
  });

  test('an end - nothing follows from it', () => {
    for (const state of ['done', 'refused', 'cancelled', 'rolled-back'] as const)
      for (const verb of VERBS)
        for (const by of REQUEST_ROLES) expect(outcome({ state, approvedAt: 1 }, verb, by, 'x')).toMatch(/^E_(FORBIDDEN|REQUEST_STATE)$/);
  });
});

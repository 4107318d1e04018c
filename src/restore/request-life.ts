// The life of a restore request: which state follows from which, on whose word, and what must be said with it. Pure.
import { CoffreError } from '../errors.ts';

/**
 * requested: waits for its owner's approval. approved: it is to be done, and the clock runs. held: an operator wants it to wait. running,
 * verifying: the daemon is at it. failed: nothing is under way, and an operator may have it tried again. rolled-back: it had begun, and root
 * went back to the shop as it was. The others are the end.
 */
export const REQUEST_STATES = [
  'requested',
  'approved',
  'held',
  'refused',
  'running',
  'verifying',
  'done',
  'failed',
  'cancelled',
  'rolled-back',
] as const;
export type RequestState = (typeof REQUEST_STATES)[number];

/** client: the shop's owner, by a token of theirs. operator: whoever administers. daemon: coffre itself. */
export const REQUEST_ROLES = ['client', 'operator', 'daemon'] as const;
export type RequestRole = (typeof REQUEST_ROLES)[number];

/** What people and the daemon do to it. `late`: its target is used up; it changes no state. */
export const REQUEST_VERBS = [
  'request',
  'approve',
  'hold',
  'release',
  'refuse',
  'cancel',
  'retry',
  'start',
  'verify',
  'finish',
  'fail',
  'rollback',
  'late',
] as const;
export type RequestVerb = (typeof REQUEST_VERBS)[number];

/** Something is still to come of it. */
export const OPEN_STATES = ['requested', 'approved', 'held', 'running', 'verifying'] as const satisfies RequestState[];

export const isOpen = (state: RequestState): boolean => (OPEN_STATES as readonly RequestState[]).includes(state);

/** What counts of a request for what may follow. */
export interface RequestStanding {
  /** To name it where it is refused. */
  readonly id?: string;
  readonly state: RequestState;
  /** Its clock runs since; null: nobody approved it. */
  readonly approvedAt: number | null;
}

interface Rule {
  readonly from: readonly RequestState[];
  readonly by: readonly RequestRole[];
  /** Of these a reason is asked for: it is told to the other side, and kept. */
  readonly reasonOf: readonly RequestRole[];
  readonly to: (standing: RequestStanding) => RequestState;
}

const BY_PEOPLE = ['client', 'operator'] as const;
const NOT_BEGUN = ['requested', 'held', 'approved'] as const;
const MAY_HAVE_BEGUN = ['approved', 'held', 'running', 'verifying', 'failed'] as const;

const RULES: Readonly<Record<Exclude<RequestVerb, 'request'>, Rule>> = {
  // an owner's approval of a held one starts the clock and not the work; an operator's is in the owner's name, for an emergency
  approve: {
    from: ['requested', 'held'],
    by: BY_PEOPLE,
    reasonOf: ['operator'],
    to: ({ state }) => (state === 'held' ? 'held' : 'approved'),
  },
  hold: { from: ['requested', 'approved'], by: ['operator'], reasonOf: ['operator'], to: () => 'held' },
  release: { from: ['held'], by: ['operator'], reasonOf: [], to: ({ approvedAt }) => (approvedAt === null ? 'requested' : 'approved') },
  refuse: { from: NOT_BEGUN, by: ['operator'], reasonOf: ['operator'], to: () => 'refused' },
  // also by the daemon, of one that nobody approved for weeks; of one that failed it says that nobody wants it any more
  cancel: { from: [...NOT_BEGUN, 'failed'], by: ['client', 'operator', 'daemon'], reasonOf: [], to: () => 'cancelled' },
  // by the daemon where time may help
  retry: { from: ['failed'], by: ['operator', 'daemon'], reasonOf: [], to: () => 'approved' },
  // running already: one that was cut off is taken up
  start: { from: ['approved', 'running', 'verifying'], by: ['daemon'], reasonOf: [], to: () => 'running' },
  verify: { from: ['running', 'verifying'], by: ['daemon'], reasonOf: [], to: () => 'verifying' },
  // also of one that failed, and that root's `restore --in-place` went on with
  finish: { from: MAY_HAVE_BEGUN, by: ['daemon'], reasonOf: [], to: () => 'done' },
  fail: { from: ['approved', 'running', 'verifying'], by: ['daemon'], reasonOf: [], to: () => 'failed' },
  rollback: { from: MAY_HAVE_BEGUN, by: ['operator'], reasonOf: [], to: () => 'rolled-back' },
  late: { from: MAY_HAVE_BEGUN, by: ['daemon'], reasonOf: [], to: ({ state }) => state },
};

/**
 * The state after `verb`. Throws E_FORBIDDEN (not theirs to do), E_REQUEST_STATE (not now), E_USAGE (a reason is missing): in that order, so
 * that whoever may not do it learns nothing of how it stands.
 */
export function follow(
  standing: RequestStanding,
  verb: Exclude<RequestVerb, 'request'>,
  by: RequestRole,
  reason: string | null,
): RequestState {
  const rule = RULES[verb];
  if (!rule.by.includes(by)) throw new CoffreError('E_FORBIDDEN', `only ${rule.by.join(' or ')} may ${verb} a restore request`);
  const { id = 'ID', state } = standing;
  const approvedTwice = verb === 'approve' && standing.approvedAt !== null;
  if (approvedTwice && isOpen(state)) {
    throw new CoffreError('E_REQUEST_STATE', `request ${id} is approved already, and its clock runs`, {
      hint: `coffre request show ${id} --follow shows how it goes`,
    });
  }
  if (!rule.from.includes(state) || approvedTwice) {
    throw new CoffreError('E_REQUEST_STATE', `request ${id} is ${state}: it cannot be ${DONE[verb]} now`, { hint: hintOf(id, state, by) });
  }
  if (verb === 'approve' && by === 'operator' && state === 'held') {
    throw new CoffreError('E_REQUEST_STATE', `request ${id} is held: release it first`, { hint: `coffre request release ${id}` });
  }
  if (rule.reasonOf.includes(by) && reason === null) {
    throw new CoffreError('E_USAGE', `a reason is needed to ${verb} it: it is told to the shop’s owner, and kept`, {
      hint: '--reason TEXT',
    });
  }
  return rule.to(standing);
}

/** What can be done instead. */
function hintOf(id: string, state: RequestState, by: RequestRole): string {
  if (state === 'running' || state === 'verifying') return `it has begun: coffre request show ${id} --follow shows how it goes`;
  if (state === 'failed') {
    return by === 'client'
      ? 'those who look after the backups try it again; or call it off'
      : `coffre request retry ${id} tries it again, coffre request cancel ${id} ends it`;
  }
  if (!isOpen(state)) return 'it is over: coffre request restore asks for another';
  return `coffre request show ${id} says how it stands`;
}

const DONE: Readonly<Record<Exclude<RequestVerb, 'request'>, string>> = {
  ...{ approve: 'approved', hold: 'held', release: 'released', refuse: 'refused', cancel: 'cancelled', retry: 'tried again' },
  ...{ start: 'begun', verify: 'verified', finish: 'finished', fail: 'failed', rollback: 'gone back from', late: 'late' },
};

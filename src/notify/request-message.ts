// Messages about a restore request: to the shop's owner in their language, to the operators with what they are to do. Pure.
import { Temporal } from 'temporal-polyfill';
import type { RequestEventRow, RequestRow } from '../catalog/requests.ts';
import type { ContactConfig } from '../config/config.ts';
import type { RequestPreview } from '../restore/request-preview.ts';
import { parsePromise } from '../restore/rto-calendar.ts';
import { meaningOf } from './alarms.ts';
import type { Message } from './message.ts';
import { writeEnglish } from './request-en.ts';
import { durationIn, instantIn, type RequestFacts, type Written } from './request-facts.ts';
import { writeFrench } from './request-fr.ts';
import type { RequestSummary } from './request-summary.ts';

export interface RequestContext {
  readonly nowMs: number;
  readonly host: string;
  /** Of the configuration: where a request has no promise yet. */
  readonly timezone: string;
  /** null: the shop says nobody. */
  readonly contact: ContactConfig | null;
  /** The daemon begins what is approved. */
  readonly unattended: boolean;
  /** A restore in place of the shop has begun, and nobody knows it to be over. */
  readonly isOpen: boolean;
  /** For each message one. */
  readonly newId: () => string;
}

/** `mail` without `to`: to the operators, as configured. */
export interface Addressed {
  readonly channel: 'mail' | 'webhook';
  readonly message: Message;
}

/** One mail to the owner, where there is an address; one to the operators, by mail and webhook. */
export function requestMessages(event: RequestEventRow, request: RequestRow, context: RequestContext): readonly Addressed[] {
  const { contact } = context;
  const facts = factsOf(event, request, context);
  const language = contact?.language ?? 'en';
  const client = (language === 'fr' ? writeFrench : writeEnglish)(event.verb, facts);
  const operator = writeOperator(event, request, facts, context);
  const summary: RequestSummary = {
    ...{ id: request.id, shop: request.shop, verb: event.verb, state: event.state, by: event.role, reason: event.reason },
    deadline: request.deadline === null ? null : Temporal.Instant.fromEpochMilliseconds(request.deadline).toString(),
    ...{ outcome: request.outcome, leftMs: request.leftMs, code: request.errorCode },
    shopState: event.verb === 'fail' ? shopState(facts) : null,
    client: { language, ...client },
  };
  const at = Temporal.Instant.fromEpochMilliseconds(event.at)
    .toZonedDateTimeISO(context.timezone)
    .toString({ smallestUnit: 'second', timeZoneName: 'never' });
  const message = (written: Written): Message => ({
    ...{ version: 1, id: context.newId(), at, host: context.host, kind: 'request', ...written },
    ...{ raised: [], reminded: [], recovered: [], request: summary },
  });
  const emails = contact?.emails ?? [];
  return [
    ...(emails.length > 0 ? [{ channel: 'mail', message: { ...message(client), to: emails } } as const] : []),
    { channel: 'mail', message: message(operator) },
    { channel: 'webhook', message: message(operator) },
  ];
}

function factsOf(event: RequestEventRow, request: RequestRow, { contact, host, isOpen, timezone }: RequestContext): RequestFacts {
  const { paths, snapshots, tables } = JSON.parse(request.preview) as RequestPreview;
  return {
    ...{ id: request.id, shop: request.shop, name: contact?.name ?? null, host },
    sources: snapshots.map(({ asOf, source }) => ({ source, asOf: Temporal.Instant.from(asOf).epochMilliseconds })),
    isPart: paths.length > 0 || tables.length > 0,
    ...{ askedBy: request.createdRole, doneBy: event.role, reason: event.reason },
    ...{ deadline: request.deadline, endedAt: request.endedAt, outcome: request.outcome, leftMs: request.leftMs },
    // the sequence in place leaves a shop as it was, and open, unless it says so, or came to no end
    isClosed: request.errorCode === 'E_SHOP_CLOSED' ? true : isOpen ? null : false,
    wasBegun: request.startedAt !== null,
    isApproved: request.approvedAt !== null,
    zone: request.promise === null ? timezone : parsePromise(request.promise).zone,
  };
}

const shopState = ({ isClosed }: RequestFacts): 'closed' | 'open' | 'unknown' =>
  isClosed === null ? 'unknown' : isClosed ? 'closed' : 'open';

const SHOP_STATES = {
  closed: 'closed: it keeps its maintenance page',
  open: 'open, and as it was before',
  unknown: 'perhaps closed: the restore came to no end, its maintenance page may be on',
} as const;

/** In the words of all that is for operators, with who, which and the command that is next. */
function writeOperator(
  event: RequestEventRow,
  { errorCode, id, shop, createdBy }: RequestRow,
  facts: RequestFacts,
  { host, unattended }: RequestContext,
): Written {
  const { deadline, leftMs, outcome, zone } = facts;
  const due = deadline === null ? [] : [`due       ${instantIn('en', deadline, zone)}`];
  const lines = [
    `request   ${id}`,
    `shop      ${shop}`,
    `asked by  ${createdBy}`,
    `${event.verb.padEnd(9)} by ${event.who}${event.reason === null ? '' : `: ${event.reason}`}`,
    ...facts.sources.map(({ asOf, source }) => `${source.padEnd(9)} as of ${instantIn('en', asOf, zone)}`),
    ...due,
    ...(outcome === null || leftMs === null
      ? []
      : [`promise   ${outcome}, ${outcome === 'kept' ? `${durationIn('en', leftMs)} to spare` : `by ${durationIn('en', leftMs)}`}`]),
    ...(event.verb === 'fail' && errorCode !== null ? [`error     ${meaningOf(errorCode) ?? 'it failed'} [${errorCode}]`] : []),
    ...(event.verb === 'fail' ? [`now       ${SHOP_STATES[shopState(facts)]}`] : []),
    ...nextSteps(event, facts, unattended).map((step) => `next      ${step}`),
  ];
  return { subject: `coffre on ${host}: ${shop}: ${HEADLINES[event.verb]}`, text: `${lines.join('\n')}\n` };
}

const HEADLINES: Readonly<Record<RequestEventRow['verb'], string>> = {
  ...{ request: 'a restore was asked for', approve: 'a restore was approved', hold: 'a restore is held', release: 'a restore is released' },
  ...{ refuse: 'a restore was refused', cancel: 'a restore was called off', retry: 'a restore is tried again', start: 'a restore began' },
  ...{
    rollback: 'a restore was gone back from',
    verify: 'the restored shop is checked',
    finish: 'the shop is restored',
    fail: 'RED: a restore failed',
  },
  late: 'RED: a restore is later than promised',
};

function nextSteps({ state, verb }: RequestEventRow, { id, isClosed, shop }: RequestFacts, unattended: boolean): string[] {
  if (verb === 'request')
    return ['its owner has to approve it', `coffre request hold ${id} --reason TEXT, or refuse, keeps it from beginning`];
  if (state === 'approved' && !unattended) return [`nothing begins by itself, and the clock runs; as root: coffre request run ${id}`];
  if (verb === 'hold') return [`coffre request release ${id}; the clock of what is approved goes on`];
  if (verb === 'fail') {
    const back = `or back to the shop as it was, as root: coffre restore ${shop} --in-place --rollback`;
    const again = unattended ? `coffre request retry ${id}` : `coffre request run ${id}, as root`;
    return [
      `coffre request show ${id} says why; once that is mended: ${again}`,
      isClosed === false ? `or, if it is not wanted any more: coffre request cancel ${id}` : back,
    ];
  }
  if (verb === 'late') return [`coffre request show ${id} --follow`];
  return [];
}

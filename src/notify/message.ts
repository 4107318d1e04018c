// What a message says: one document for programs, and the same in words. Pure.

import { Temporal } from 'temporal-polyfill';
import type { ForecastNotice } from '../billing/read-forecast.ts';
import type { Statement } from '../billing/statement-schema.ts';
import { deadlineOf, timeLeft } from '../schedule/status-breach.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { describeNotice, groupOf, meaningOf, remedyOf } from './alarms.ts';
import type { Decision, Known } from './decide.ts';
import type { RequestSummary } from './request-summary.ts';

/** The same trouble of one shop, or of several. Instants are RFC 3339 text. */
export interface MessageGroup {
  readonly kind: string;
  /** null: the daemon itself. */
  readonly shops: readonly string[] | null;
  readonly source: string | null;
  readonly vault: string | null;
  readonly code: string | null;
  readonly what: string;
  /** Of those that began first. */
  readonly since: string;
  readonly hint: string;
}

/** The body of a webhook; mail says the same in words. */
export interface Message {
  readonly version: 1;
  readonly id: string;
  readonly at: string;
  readonly host: string;
  readonly kind: 'alarm' | 'recovery' | 'reminder' | 'test' | 'request' | 'statement' | 'forecast' | 'life' | 'report';
  readonly subject: string;
  readonly raised: readonly MessageGroup[];
  readonly reminded: readonly MessageGroup[];
  readonly recovered: readonly MessageGroup[];
  /** Of `statement` alone: which one was issued; amounts are decimal text. */
  readonly statement?: IssuedStatement;
  /** Of `forecast` alone: a step or a quota, and when it is expected. */
  readonly forecast?: ForecastNotice;
  /** Of `life` alone: a shop that ends. */
  readonly life?: LifeSummary;
  readonly text: string;
  /** Of mails: gone from what is kept once it was sent. */
  readonly attachments?: readonly Attachment[];
  /** Of a mail to others than the operators. */
  readonly to?: readonly string[];
  /** Of a restore request. */
  readonly request?: RequestSummary;
}

/** A text. */
export interface Attachment {
  readonly name: string;
  /** With its charset. */
  readonly type: string;
  readonly content: string;
}

export interface LifeSummary {
  readonly shop: string;
  readonly state: 'closing' | 'suspended';
  /** Which reminder it is, in days before the end; null: it was ordered now. */
  readonly days: number | null;
  /** RFC 3339. */
  readonly endsAt: string;
}

export interface IssuedStatement {
  readonly number: string;
  readonly contract: string;
  /** First and last day of its period. */
  readonly from: string | null;
  readonly to: string | null;
  readonly net: string;
  readonly total: string;
  readonly currency: string;
  readonly hash: string;
}

export interface MessageOptions {
  readonly id: string;
  readonly nowMs: number;
  readonly host: string;
  readonly timezone: string;
}

/** More names than this are no help: `coffre status` has them all. */
const NAMED_SHOPS = 20;

/** null: there is nothing to tell. */
export function composeMessage(told: Pick<Decision, 'raised' | 'recovered' | 'reminded'>, options: MessageOptions): Message | null {
  const raised = groupsOf(told.raised, options);
  const reminded = groupsOf(told.reminded, options);
  const recovered = groupsOf(told.recovered, options);
  if (raised.length + reminded.length + recovered.length === 0) return null;
  const kind = raised.length > 0 ? 'alarm' : reminded.length > 0 ? 'reminder' : 'recovery';
  const leading = raised.length > 0 ? raised : reminded.length > 0 ? reminded : recovered;
  const [first] = leading;
  const more = leading.length > 1 ? ` and ${leading.length - 1} more` : '';
  const word = { alarm: 'RED', reminder: 'still RED', recovery: 'green again' }[kind];
  const subject = `coffre on ${options.host}: ${word}: ${first === undefined ? '' : headline(first)}${more}`;
  const sections = [
    section('RED', raised, true),
    section('green again', recovered, false),
    section('still RED, told before', reminded, true),
  ].filter((text) => text !== '');
  const text = `${sections.join('\n')}\ncoffre status on ${options.host} shows how everything stands.\n`;
  return { ...head(options), kind, subject, raised, reminded, recovered, text };
}

export function testMessage(options: MessageOptions): Message {
  const subject = `coffre on ${options.host}: test`;
  const text = `A test: messages from coffre on ${options.host} arrive here.\n`;
  return { ...head(options), kind: 'test', subject, raised: [], reminded: [], recovered: [], text };
}

/** Before a step of a contract, or a quota, is reached: nothing is red, and nothing is kept from running. */
export function forecastMessage(notice: ForecastNotice, options: MessageOptions): Message {
  const { at, bytes, kind, name } = notice;
  const when = instantText(Temporal.Instant.from(at).epochMilliseconds, options.timezone).slice(0, 16).replace('T', ' ');
  const size = `${(bytes / 1e9).toFixed(bytes < 1e11 ? 1 : 0)} GB`;
  const isOver = Temporal.Instant.from(at).epochMilliseconds <= options.nowMs;
  const what =
    kind === 'step'
      ? `contract ${name} is expected to pass ${size} about ${when}: the next step is billed from there on`
      : isOver
        ? `the data of shop ${name} is over its quota of ${size}`
        : `the data of shop ${name} is expected to reach its quota of ${size} about ${when}`;
  const text = `${what[0]?.toUpperCase()}${what.slice(1)}.\nBackups go on as planned. coffre billing forecast on ${options.host} shows how this was worked out.\n`;
  const subject = `coffre on ${options.host}: ${what.split(':')[0]}`;
  return { ...head(options), kind: 'forecast', subject, raised: [], reminded: [], recovered: [], forecast: notice, text };
}

/** It is fetched at `/v1/billing/statements/NUMBER`. */
export function statementMessage(statement: Statement, options: MessageOptions): Message {
  const { contract, currency, hash, net, number, period, total } = statement;
  const told = {
    contract,
    from: period?.from ?? null,
    to: period?.to ?? null,
    net,
    total,
    currency,
    number: number ?? '',
    hash: hash ?? '',
  };
  const subject = `coffre on ${options.host}: statement ${number} of ${contract}: ${net} ${currency} before tax`;
  const text = `Statement ${number} of contract ${contract} was issued on ${options.host}: ${period === null ? 'corrections' : `${period.from} to ${period.to}`}, ${net} ${currency} before tax, ${total} ${currency} with it.\ncoffre billing statement --number ${number} shows it.\n`;
  return { ...head(options), kind: 'statement', subject, raised: [], reminded: [], recovered: [], statement: told, text };
}

const head = ({ host, id, nowMs, timezone }: MessageOptions) => ({ version: 1 as const, id, at: instantText(nowMs, timezone), host });

const instantText = (atMs: number, timezone: string): string =>
  Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(timezone).toString({ smallestUnit: 'second', timeZoneName: 'never' });

function groupsOf(rows: readonly Known[], { nowMs, timezone }: MessageOptions): MessageGroup[] {
  return [...Map.groupBy(rows, groupOf).values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const { code, kind, shop, source, vault } = first;
    const meaning = meaningOf(code);
    return {
      ...{ kind, source, vault, code },
      shops: shop === DAEMON_SHOP ? null : group.map((row) => row.shop).sort(),
      what: `${meaning === null ? describeNotice(first) : `${describeNotice(first)}: ${meaning} [${code}]`}${left(first, nowMs)}`,
      since: instantText(Math.min(...group.map((row) => row.since)), timezone),
      hint: remedyOf(first),
    };
  });
}

/** Of what has a deadline: how long is left of it. */
function left({ goneAt, source }: Known, nowMs: number): string {
  const deadline = deadlineOf(source);
  if (deadline === null || goneAt !== null) return '';
  return deadline >= nowMs ? ` (${timeLeft(deadline - nowMs)} left)` : ` (${timeLeft(deadline - nowMs)} too late)`;
}

/** `dupont: database: the last backup failed`, `20 shops: vault offsite lacks snapshots`. */
function headline({ shops, what }: MessageGroup): string {
  if (shops === null) return what;
  return `${shops.length === 1 ? shops[0] : `${shops.length} shops`}: ${what}`;
}

function section(title: string, groups: readonly MessageGroup[], isRed: boolean): string {
  if (groups.length === 0) return '';
  const lines = [title, '='.repeat(title.length)];
  for (const group of groups) {
    const { hint, shops, since } = group;
    lines.push(`- ${headline(group)}`);
    if (shops !== null && shops.length > 1) {
      const others = shops.length - NAMED_SHOPS;
      lines.push(`  shops: ${shops.slice(0, NAMED_SHOPS).join(', ')}${others > 0 ? ` and ${others} more` : ''}`);
    }
    lines.push(`  since ${since.replace('T', ' ')}`);
    if (isRed) lines.push(`  what to do: ${shops?.length === 1 ? hint.replaceAll('SHOP', shops[0] ?? 'SHOP') : hint}`);
  }
  return `${lines.join('\n')}\n`;
}

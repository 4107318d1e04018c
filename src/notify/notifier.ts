// Tells people: looks at what is red, decides what is new, and hands messages over, again and again until they are taken.

import { hostname } from 'node:os';
import { Temporal } from 'temporal-polyfill';
import { overdueContracts } from '../billing/due-statements.ts';
import { breachesOfOthers } from '../catalog/breaches.ts';
import {
  forgetMessages,
  type MessageRow,
  type PingFailure,
  pingFailure,
  readAlarms,
  saveNotices,
  waitingMessages,
} from '../catalog/messages.ts';
import { asCoffreError, type CoffreError } from '../errors.ts';
import type { EventFields } from '../events.ts';
import { newId } from '../segment/id.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { currentNotices, type OfNoShop } from './alarms.ts';
import { type Channel, channelsOf, send } from './channels.ts';
import { decide, type Known, toKnown } from './decide.ts';
import { untoldForecasts } from './forecasts.ts';
import { untoldLives } from './lives.ts';
import { composeMessage, type Message } from './message.ts';
import { MonthReports } from './month-reports.ts';
import type { NotifierService } from './notifier-service.ts';
import { sendPing } from './ping.ts';
import { RequestTeller } from './request-teller.ts';
import { untoldStatements } from './statements.ts';

const LOOK_EVERY_MS = 5_000;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const FORECAST_EVERY_MS = 6 * 60 * MINUTE_MS;
/** A daemon that starts has better to do. */
const FIRST_FORECAST_MS = 10 * MINUTE_MS;
/** After each try that failed; the last one goes on. */
const AGAIN_MS = [1, 5, 15, 60].map((minutes) => minutes * MINUTE_MS);
/** What nobody took for this long is old news. */
const GIVE_UP_MS = 3 * DAY_MS;
const KEPT_MS = 30 * DAY_MS;

export const retryAfter = (tries: number): number => AGAIN_MS[Math.min(tries, AGAIN_MS.length) - 1] ?? MINUTE_MS;

export class Notifier {
  readonly #service: NotifierService;
  readonly #host: string;
  /** Memory is what counts: a state directory without space must not keep people from being told so. */
  #known = new Map<string, Known>();
  readonly #messages = new Map<string, MessageRow>();
  readonly #requests: RequestTeller;
  readonly #reports = new MonthReports();
  #ownersFailed = false;
  /** What is not written down yet. */
  readonly #changed = new Set<string>();
  readonly #over = new Set<string>();
  readonly #unsaved = new Map<string, MessageRow>();
  /** null: the ping gets through. For whoever looks at the status. */
  #pingFailure: PingFailure | null = null;
  #pingUnsaved = false;
  #saveFailed = false;
  #ping: { readonly atMs: number; readonly isRed: boolean; readonly failed: boolean } | null = null;
  #forgotAtMs = Number.NEGATIVE_INFINITY;
  #forecastAtMs: number;
  #others: (OfNoShop & { readonly atMs: number }) | null = null;

  /** Goes on from what was told before. Throws E_CATALOG. */
  static async open(service: NotifierService, host: string = hostname()): Promise<Notifier> {
    const notifier = new Notifier(service, host);
    for (const row of await readAlarms(service.catalog.db)) notifier.#known.set(row.id, toKnown(row));
    for (const row of await waitingMessages(service.catalog.db)) notifier.#messages.set(row.id, row);
    notifier.#pingFailure = await pingFailure(service.catalog.db);
    return notifier;
  }

  private constructor(service: NotifierService, host: string) {
    this.#service = service;
    this.#host = host;
    this.#forecastAtMs = service.clock.monotonicMs() + FIRST_FORECAST_MS;
    this.#requests = new RequestTeller(service, host);
  }

  /** Until the signal. Never throws: what goes wrong is logged, and tried again. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.tick(signal);
      } catch (error) {
        // a defect here must not end the daemon; that nobody is pinged either tells whoever watches it
        const { code, hint, message } = asCoffreError(error);
        this.#service.log.error({ event: 'notify.broken', code, hint }, message);
      }
      await this.#service.clock.sleep(LOOK_EVERY_MS, signal).catch(() => {});
    }
  }

  /** One look, and whatever follows from it. */
  async tick(signal?: AbortSignal): Promise<void> {
    const isRed = this.#look(await this.#ofNoShop());
    await this.#save();
    const channels = channelsOf(this.#service.config.notify);
    await this.#collectRequests(channels);
    await this.#tellStatements(channels);
    await this.#tellForecast(channels);
    await this.#tellOwners(channels);
    await Promise.all([...channels.map((channel) => this.#deliver(channel, signal)), this.#beat(isRed, signal)]);
    this.#dropUnconfigured(channels);
    await this.#save();
  }

  /** What happened to restore requests: of alarms people are told all the same. */
  async #collectRequests(channels: readonly Channel[]): Promise<void> {
    try {
      for (const row of await this.#requests.collect(channels)) this.#messages.set(row.id, row);
    } catch (error) {
      const { code, hint, message } = asCoffreError(error, 'E_CATALOG');
      if (!this.#saveFailed) this.#service.log.error({ event: 'notify.unsaved', code, hint }, message);
      this.#saveFailed = true;
    }
  }

  /** Whether anything is red for longer than the delay. */
  #look(ofNoShop: OfNoShop): boolean {
    const { clock, config, state, survey } = this.#service;
    const nowMs = clock.nowMs();
    const surveys = survey.shops();
    const { early, red, unknown } = currentNotices(surveys, state, { ...ofNoShop, nowMs });
    const looked = new Set(surveys.map(({ shop }) => shop));
    const { delayMs, reminderMs } = config.notify;
    const decision = decide([...this.#known.values()], red, {
      ...{ nowMs, delayMs, reminderMs, unknown, early },
      declared: new Set([...config.shops.keys(), DAEMON_SHOP]),
      unseen: new Set([...config.shops.keys()].filter((shop) => !looked.has(shop))),
    });
    this.#learn(decision.known);
    const options = { id: newId(clock), nowMs, host: this.#host, timezone: config.timezone };
    const message = composeMessage(decision, options);
    if (message !== null) this.#queue(message, nowMs);
    return decision.isRed;
  }

  /** Takes over what is known now, and logs what began and ended. */
  #learn(known: readonly Known[]): void {
    const before = this.#known;
    this.#known = new Map(known.map((row) => [row.id, row]));
    const { log } = this.#service;
    for (const row of known) {
      const old = before.get(row.id);
      if (old === undefined) log.warn({ event: 'alarm.raised', ...fieldsOf(row) }, `${row.shop}: ${row.kind} is red`);
      else if (old.goneAt === null && row.goneAt !== null) this.#logCleared(row);
      if (old === undefined || old.toldAt !== row.toldAt || old.goneAt !== row.goneAt || old.code !== row.code) this.#changed.add(row.id);
      this.#over.delete(row.id);
    }
    for (const row of before.values()) {
      if (this.#known.has(row.id)) continue;
      if (row.goneAt === null) this.#logCleared(row);
      this.#over.add(row.id);
      this.#changed.delete(row.id);
    }
  }

  #logCleared(row: Known): void {
    this.#service.log.info({ event: 'alarm.cleared', ...fieldsOf(row) }, `${row.shop}: ${row.kind} is green again`);
  }

  /** One row for each channel: each is tried until it took the message. */
  #queue(message: Message, nowMs: number): void {
    for (const channel of channelsOf(this.#service.config.notify)) {
      const row: MessageRow = {
        ...{ id: `${message.id}-${channel}`, at: nowMs, channel, content: JSON.stringify(message), tries: 0, nextAt: nowMs },
        ...{ sentAt: null, givenUpAt: null, code: null, error: null },
      };
      this.#keep(row);
    }
  }

  /** Contracts that the daemon should have billed by now, and cases of shops that left; as they were while that cannot be read. */
  async #ofNoShop(): Promise<OfNoShop> {
    const { catalog, clock, config } = this.#service;
    const atMs = clock.monotonicMs();
    const known = this.#others;
    if (known !== null && atMs - known.atMs < MINUTE_MS) return known;
    const unbilled = await overdueContracts(catalog.db, config.contracts.values(), clock.now()).catch(() => known?.unbilled ?? []);
    const breaches = await breachesOfOthers(catalog.db, config.shops.values(), DAEMON_SHOP).catch(() => known?.breaches ?? []);
    this.#others = { atMs, unbilled, breaches };
    return this.#others;
  }

  /** What cannot be read now is told by a later look. */
  async #tellStatements(channels: readonly Channel[]): Promise<void> {
    const { catalog, clock, config } = this.#service;
    const options = { nowMs: clock.nowMs(), host: this.#host, timezone: config.timezone };
    const isKnown = (id: string): boolean => this.#messages.has(id) || this.#unsaved.has(id);
    for (const row of await untoldStatements(catalog.db, channels, options, isKnown).catch(() => [])) this.#keep(row);
  }

  /** Now and then: the next step of a contract, and quotas, once each. */
  async #tellForecast(channels: readonly Channel[]): Promise<void> {
    const { billing, catalog, clock, config } = this.#service;
    const atMs = clock.monotonicMs();
    if (billing === undefined || channels.length === 0 || atMs < this.#forecastAtMs) return;
    this.#forecastAtMs = atMs + FORECAST_EVERY_MS;
    const options = { nowMs: clock.nowMs(), host: this.#host, timezone: config.timezone };
    const isKnown = (id: string): boolean => this.#messages.has(id) || this.#unsaved.has(id);
    try {
      const { notices } = await billing.forecast();
      for (const row of await untoldForecasts(catalog.db, notices, channels, options, isKnown)) this.#keep(row);
    } catch (error) {
      const { code, hint, message } = asCoffreError(error);
      this.#service.log.error({ event: 'notify.broken', code, hint }, `no forecast: ${message}`);
    }
  }

  /** Reminders of shops that end, and reports of the month before. */
  async #tellOwners(channels: readonly Channel[]): Promise<void> {
    const { catalog, clock, config } = this.#service;
    const options = { nowMs: clock.nowMs(), host: this.#host, timezone: config.timezone };
    const isKnown = (id: string): boolean => this.#messages.has(id) || this.#unsaved.has(id);
    try {
      for (const row of await untoldLives(catalog.db, config, channels, options, isKnown)) this.#keep(row);
      const report = await this.#reports.next(catalog, config, channels, options, isKnown);
      if (report !== null) this.#keep(report);
      this.#ownersFailed = false;
    } catch (error) {
      const { code, hint, message } = asCoffreError(error, 'E_CATALOG');
      // once for each time that it stops working: it is tried with each look
      if (!this.#ownersFailed) this.#service.log.error({ event: 'notify.broken', code, hint }, `no reminder, no report: ${message}`);
      this.#ownersFailed = true;
    }
  }

  /** In order. One that fails holds the others of its channel back: they would fail too. */
  async #deliver(channel: Channel, signal: AbortSignal | undefined): Promise<void> {
    const { clock, config, log } = this.#service;
    for (const row of [...this.#messages.values()].filter((one) => one.channel === channel)) {
      const nowMs = clock.nowMs();
      // a clock that was set back must not make it wait for longer than one pause
      if (row.nextAt > nowMs && row.nextAt - nowMs <= retryAfter(row.tries)) return;
      const message = JSON.parse(row.content) as Message;
      try {
        await send(clock, config.notify, channel, message, signal);
        log.info({ event: 'notify.sent', channel, message: message.id }, message.subject);
        this.#keep({ ...row, content: withoutAttachments(row, message), sentAt: clock.nowMs(), code: null, error: null });
      } catch (error) {
        if (signal?.aborted) return;
        this.#failed(row, asCoffreError(error, 'E_NOTIFY'));
        return;
      }
    }
  }

  #failed(row: MessageRow, error: CoffreError): void {
    const { clock, log } = this.#service;
    const nowMs = clock.nowMs();
    const { channel, id: message } = row;
    const tries = row.tries + 1;
    const said = { tries, code: error.code, error: error.message };
    if (nowMs - row.at >= GIVE_UP_MS) {
      log.error({ event: 'notify.givenUp', channel, message, code: error.code }, error.message);
      this.#keep({ ...row, ...said, givenUpAt: nowMs });
      return;
    }
    const nextAt = nowMs + retryAfter(tries);
    const retryAt = Temporal.Instant.fromEpochMilliseconds(nextAt).toString();
    log.error({ event: 'notify.failed', channel, message, code: error.code, hint: error.hint, retryAt }, error.message);
    this.#keep({ ...row, ...said, nextAt });
  }

  /** Messages to a channel that was taken out of the configuration. */
  #dropUnconfigured(channels: readonly Channel[]): void {
    for (const row of this.#messages.values()) {
      if (!channels.includes(row.channel)) this.#keep({ ...row, givenUpAt: this.#service.clock.nowMs() });
    }
  }

  #keep(row: MessageRow): void {
    if (row.sentAt === null && row.givenUpAt === null) this.#messages.set(row.id, row);
    else this.#messages.delete(row.id);
    this.#unsaved.set(row.id, row);
  }

  /** While not every shop was looked at nothing is said: that all is well is not known. */
  async #beat(isRed: boolean, signal: AbortSignal | undefined): Promise<void> {
    const { clock, config, log, survey } = this.#service;
    const { ping } = config.notify;
    // one that was taken out of the configuration, or that is to be silent now, fails no more
    if (ping === null || (isRed && !ping.fail)) this.#pinged(null);
    if (ping === null || (!isRed && !survey.isComplete)) return;
    const nowMs = clock.monotonicMs();
    const last = this.#ping;
    const waitMs = last?.failed ? Math.min(MINUTE_MS, ping.everyMs) : ping.everyMs;
    if (last !== null && last.isRed === isRed && nowMs - last.atMs < waitMs) return;
    let failed = false;
    if (!isRed || ping.fail) {
      try {
        await sendPing(clock, ping, isRed, signal);
        this.#pinged(null);
      } catch (error) {
        if (signal?.aborted) return;
        failed = true;
        const { code, hint, message } = asCoffreError(error, 'E_NOTIFY');
        this.#pinged({ since: this.#pingFailure?.since ?? clock.nowMs(), code, error: message });
        // once for each time that it stops working: it is tried every minute
        if (!last?.failed) log.error({ event: 'notify.failed', channel: 'ping', code, hint, retryAt: null }, message);
      }
    }
    this.#ping = { atMs: nowMs, isRed, failed };
  }

  /** How the last ping went. */
  #pinged(failure: PingFailure | null): void {
    const { code, error } = this.#pingFailure ?? {};
    if (code === failure?.code && error === failure?.error) return;
    this.#pingFailure = failure;
    this.#pingUnsaved = true;
  }

  /** What cannot be written down stays in memory, and is tried with the next look. */
  async #save(): Promise<void> {
    const { catalog, clock, log } = this.#service;
    const alarms = [...this.#changed].flatMap((id) => this.#known.get(id) ?? []);
    const over = [...this.#over];
    const messages = [...this.#unsaved.values()];
    try {
      if (alarms.length + over.length + messages.length > 0 || this.#pingUnsaved) {
        const ping = this.#pingUnsaved ? { ping: this.#pingFailure } : {};
        await saveNotices(catalog, { alarms, over, messages, ...ping });
      }
      this.#changed.clear();
      this.#over.clear();
      this.#unsaved.clear();
      this.#pingUnsaved = false;
      this.#saveFailed = false;
      if (clock.monotonicMs() - this.#forgotAtMs >= DAY_MS) {
        await forgetMessages(catalog.db, clock.nowMs() - KEPT_MS);
        this.#forgotAtMs = clock.monotonicMs();
      }
    } catch (error) {
      const { code, hint, message } = asCoffreError(error, 'E_CATALOG');
      if (!this.#saveFailed) log.error({ event: 'notify.unsaved', code, hint }, message);
      this.#saveFailed = true;
    }
  }
}

/** What was sent is kept for some weeks to know that it was; what was attached can be made again. */
function withoutAttachments({ content }: MessageRow, { attachments, ...message }: Message): string {
  return attachments === undefined ? content : JSON.stringify(message);
}

/** What is not known stays out: a field of an event is never null for that. */
function fieldsOf({ code, kind, shop, source, vault }: Known): Omit<EventFields<'alarm.raised'>, never> {
  return {
    ...{ shop, kind },
    ...(source === null ? {} : { source }),
    ...(vault === null ? {} : { vault }),
    ...(code === null ? {} : { code }),
  };
}

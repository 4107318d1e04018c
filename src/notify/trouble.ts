// Tells that the daemon cannot work with its state, while there is no catalog in which anything could be written down.

import { hostname } from 'node:os';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { asCoffreError, type CoffreError } from '../errors.ts';
import type { EventLog } from '../events.ts';
import { newId } from '../segment/id.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { noticeOf } from './alarms.ts';
import { type Channel, channelsOf, send } from './channels.ts';
import type { Known } from './decide.ts';
import { composeMessage } from './message.ts';
import { sendPing } from './ping.ts';

export interface TroubleOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: EventLog;
  readonly host?: string;
}

export class TroubleNotifier {
  readonly #options: TroubleOptions;
  readonly #told = new Map<Channel, Known>();
  #since = 0;
  #pingedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: TroubleOptions) {
    this.#options = options;
  }

  /** Called each time that it is found so: each channel is told once, and tried again until it took it. Never throws. */
  async red(error: CoffreError, signal?: AbortSignal): Promise<void> {
    const { clock, config } = this.#options;
    const nowMs = clock.nowMs();
    if (this.#since === 0) this.#since = nowMs;
    const notice = noticeOf(DAEMON_SHOP, { kind: 'state', source: null, vault: null, code: error.code });
    const known: Known = { ...notice, since: this.#since, toldAt: nowMs, goneAt: null };
    for (const channel of channelsOf(config.notify)) {
      if (!this.#told.has(channel) && (await this.#send(channel, { raised: [known] }, signal))) this.#told.set(channel, known);
    }
    const { ping } = config.notify;
    if (!ping?.fail || clock.monotonicMs() - this.#pingedAtMs < ping.everyMs) return;
    this.#pingedAtMs = clock.monotonicMs();
    await sendPing(clock, ping, true, signal).catch((failure: unknown) => this.#failed('ping', failure));
  }

  /** It works again. Never throws. */
  async green(signal?: AbortSignal): Promise<void> {
    for (const [channel, known] of this.#told) await this.#send(channel, { recovered: [known] }, signal);
    this.#told.clear();
    this.#since = 0;
  }

  async #send(
    channel: Channel,
    told: { readonly raised?: readonly Known[]; readonly recovered?: readonly Known[] },
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const { clock, config, host = hostname() } = this.#options;
    const options = { id: newId(clock), nowMs: clock.nowMs(), host, timezone: config.timezone };
    const message = composeMessage({ raised: [], recovered: [], reminded: [], ...told }, options);
    if (message === null) return true;
    try {
      await send(clock, config.notify, channel, message, signal);
      this.#options.log.info({ event: 'notify.sent', channel, message: message.id }, message.subject);
      return true;
    } catch (error) {
      this.#failed(channel, error);
      return false;
    }
  }

  #failed(channel: Channel | 'ping', error: unknown): void {
    const { code, hint, message } = asCoffreError(error, 'E_NOTIFY');
    this.#options.log.error({ event: 'notify.failed', channel, code, hint, retryAt: null }, message);
  }
}

// Server-sent events as the daemon sends them: parsed, and followed across cuts of the connection.
import type { Clock } from '../../clock.ts';
import { CoffreError } from '../../errors.ts';
import type { DaemonHttp } from './client-http.ts';

export interface ServerEvent {
  /** Of this event, or the last one that came with one; empty: none did. */
  readonly id: string;
  /** `message` when it has no name. */
  readonly name: string;
  readonly data: string;
}

/** Events are short: a longer line is not one of ours. */
const LONGEST_LINE = 4 * 1024 * 1024;

/** The events of a stream (WHATWG HTML 9.2.6): comments and what an unfinished last block holds are left out. Throws E_DAEMON_VERSION. */
export async function* parseEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let rest = '';
  let id = '';
  let name = '';
  let data: string[] = [];
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    // a CR at the end may be half of a CRLF
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    if (rest.length > LONGEST_LINE) throw new CoffreError('E_DAEMON_VERSION', 'the daemon sends a line that has no end');
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield { id, name: name === '' ? 'message' : name, data: data.join('\n') };
        name = '';
        data = [];
        continue;
      }
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'data') data.push(value);
      else if (field === 'event') name = value;
      else if (field === 'id' && !value.includes('\0')) id = value;
    }
  }
}

/** The daemon says something at least this often (a comment): silence means that nobody is there any more. */
const LONGEST_SILENCE_MS = 60_000;
/** What ends sooner is no connection but somebody who lets nobody through. */
const LASTED_MS = 2_000;
/** A restart by hand takes less; a supervisor that waits longer starts a daemon that goes on without us. */
const RETURNS_WITHIN_MS = 8_000;
const RETRY_EVERY_MS = 250;

/** How long a daemon that was cut off is waited for: as long as it is there, and eight seconds more. */
export class Patience {
  readonly #clock: Clock;
  readonly #where: string;
  readonly #isThere: () => Promise<boolean>;
  #lostAtMs: number | null = null;

  /** `isThere`: whether a daemon that does not answer still runs. */
  constructor(clock: Clock, where: string, isThere: () => Promise<boolean>) {
    this.#clock = clock;
    this.#where = where;
    this.#isThere = isThere;
  }

  /** It is there again. */
  answered(): void {
    this.#lostAtMs = null;
  }

  /** Before the next try. Throws E_DAEMON_LOST when there were enough, and the signal's reason. */
  async wait(signal: AbortSignal): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#lostAtMs === null || (await this.#isThere())) this.#lostAtMs = nowMs;
    if (nowMs - this.#lostAtMs > RETURNS_WITHIN_MS) {
      throw new CoffreError('E_DAEMON_LOST', `the daemon at ${this.#where} ended, or was cut off`);
    }
    await this.#clock.sleep(RETRY_EVERY_MS, signal);
  }
}

/**
 * Follows the events at `path`, and takes them up again after the last one when the connection is cut or the daemon is started again. Ends
 * when the consumer leaves. Throws E_DAEMON_LOST, the daemon's own refusals, and the signal's reason.
 */
export async function* followEvents(
  http: DaemonHttp,
  clock: Clock,
  path: string,
  signal: AbortSignal,
  patience = new Patience(clock, http.where, async () => false),
): AsyncGenerator<ServerEvent> {
  let lastId = '';
  for (;;) {
    let openMs: number | null = null;
    try {
      const response = await http.stream({ path, signal, headers: lastId === '' ? {} : { 'last-event-id': lastId } });
      openMs = clock.monotonicMs();
      const stop = (): void => void response.destroy(signal.reason);
      signal.addEventListener('abort', stop, { once: true });
      try {
        for await (const event of parseEvents(heard(response, clock))) {
          patience.answered();
          lastId = event.id;
          yield event;
        }
      } finally {
        signal.removeEventListener('abort', stop);
        response.destroy();
      }
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof CoffreError && error.code !== 'E_DAEMON_UNREACHABLE') throw error;
    }
    // ended or cut; a connection that lasted was one, though nothing was said on it
    if (openMs !== null && clock.monotonicMs() - openMs > LASTED_MS) patience.answered();
    await patience.wait(signal);
  }
}

/** The chunks, until there is none for too long: then the response ends as if it had been cut. */
async function* heard(response: AsyncIterable<Uint8Array> & { destroy(error?: Error): unknown }, clock: Clock): AsyncGenerator<Uint8Array> {
  const silent = (): void => void response.destroy(new Error('silent'));
  let timer = clock.after(LONGEST_SILENCE_MS, silent, { unref: true });
  try {
    for await (const chunk of response) {
      timer.cancel();
      timer = clock.after(LONGEST_SILENCE_MS, silent, { unref: true });
      yield chunk;
    }
  } finally {
    timer.cancel();
  }
}

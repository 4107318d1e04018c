// Live progress as server-sent events: of one run until it ends, or of everything that the caller may see.
import type { FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { asItIs } from '../catalog/run-document.ts';
import { CoffreError } from '../errors.ts';
import type { RunEvent, Subscription } from '../schedule/feed.ts';
import type { Service } from '../schedule/service.ts';
import { isStillIn, principalOf } from './auth.ts';
import type { EventIds } from './event-ids.ts';
import { idField, instantOf } from './fields.ts';
import { maySee, OWNER, type Principal } from './principal.ts';
import type { Api } from './routes.ts';
import { errorFor, progressOf, visibleRun } from './runs.ts';

/** So that neither side takes a silent connection for a dead one. */
const BEAT_MS = 15_000;
/** How often a run of another process is looked up: it tells this daemon nothing. */
const LOOK_MS = 2000;
/** Streams open at one time, of one caller and of all. */
const STREAMS = { each: 20, all: 200 } as const;
/** What a browser waits before it comes back. */
const RETRY_MS = 2000;

/** Marks the id of an event after which nothing comes of its run. */
const END = '-end';

const stream = {
  200: {
    description:
      'events `queued`, `started`, `step`, `progress` and `ended`, each with a JSON document and an id: a client that comes back with Last-Event-ID misses nothing that is still kept',
    content: { 'text/event-stream': { schema: z.string() } },
  },
};
const nothingMore = { 204: z.undefined().describe('it ended, and the event with Last-Event-ID said so') };
const lastEvent = z.object({ 'last-event-id': z.string().max(60).optional().describe('id of the last event that was seen') });

export function registerRunEvents(api: Api, service: Service, ids: EventIds): void {
  const open = new Map<string, number>();
  let all = 0;
  const closing = new AbortController();
  api.addHook('preClose', async () => closing.abort());

  /** Counts the stream as long as it is open. Throws E_RATE. */
  async function counted(principal: Principal, work: () => Promise<void>): Promise<void> {
    const own = open.get(principal.who) ?? 0;
    if (own >= STREAMS.each || all >= STREAMS.all) throw new CoffreError('E_RATE', 'too many streams are open');
    open.set(principal.who, own + 1);
    all += 1;
    try {
      await work();
    } finally {
      all -= 1;
      const left = (open.get(principal.who) ?? 1) - 1;
      if (left > 0) open.set(principal.who, left);
      else open.delete(principal.who);
    }
  }

  api.get(
    '/v1/runs/:run/events',
    {
      config: { access: OWNER },
      schema: {
        tags: ['runs'],
        summary: 'live progress of a run, as server-sent events, until it ends',
        params: z.object({ run: idField }),
        headers: lastEvent,
        response: { ...stream, ...nothingMore },
      },
    },
    async (request, reply) => {
      const principal = principalOf(request);
      const { run } = request.params;
      const row = await asItIs(service.catalog, await visibleRun(service, principal, run));
      const isOver = row.state !== 'queued' && row.state !== 'running';
      // whoever has seen the end and comes back is to stay away: that is what 204 says to an EventSource
      if (isOver && request.headers['last-event-id']?.endsWith(END)) return reply.code(204).send(undefined);
      await counted(principal, async () => {
        const after = afterOf(ids, request.headers['last-event-id']);
        // nothing is awaited between the two: no event is missed, and none told twice
        using events = service.feed.subscribe({ run, ...(after === null ? {} : { after }) });
        const latest = service.feed.latest(run);
        using out = new EventStream({ service, principal, ids, request, reply, closing: closing.signal });
        if (isOver) return void (await out.send(endedEvent(row)));
        if (latest !== null && after === null && !(await out.send(latest))) return;
        await out.follow(events, async () => {
          const now = await asItIs(service.catalog, await visibleRun(service, principal, run));
          return now.state === 'queued' || now.state === 'running' ? null : endedEvent(now);
        });
      });
      return reply;
    },
  );
  api.get(
    '/v1/events',
    {
      config: { access: OWNER },
      schema: {
        tags: ['runs'],
        summary:
          'live progress of all runs that the caller may see, as server-sent events; first how each stands that waits or is under way',
        headers: lastEvent,
        response: stream,
      },
    },
    async (request, reply) => {
      const principal = principalOf(request);
      await counted(principal, async () => {
        const after = afterOf(ids, request.headers['last-event-id']);
        const filter = (event: RunEvent): boolean => maySee(principal, event.shop);
        using events = service.feed.subscribe({ filter, ...(after === null ? {} : { after }) });
        const current = after === null ? service.feed.current().filter(filter) : [];
        using out = new EventStream({ service, principal, ids, request, reply, closing: closing.signal });
        for (const event of current) if (!(await out.send(event))) return;
        await out.follow(events, null);
      });
      return reply;
    },
  );
}

interface StreamOptions {
  readonly service: Service;
  readonly principal: Principal;
  readonly ids: EventIds;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  /** Aborts when the server closes. */
  readonly closing: AbortSignal;
}

/** One open response. Waits for whoever reads slowly: what comes meanwhile waits in the subscription, which forgets old progress. */
class EventStream implements Disposable {
  readonly #service: Service;
  readonly #principal: Principal;
  readonly #ids: EventIds;
  readonly #raw: FastifyReply['raw'];
  /** Aborts when either side is done. */
  readonly #over = new AbortController();
  readonly #forget: () => void;

  constructor({ service, principal, ids, request, reply, closing }: StreamOptions) {
    this.#service = service;
    this.#principal = principal;
    this.#ids = ids;
    this.#raw = reply.raw;
    reply.hijack();
    const finish = (): void => this.#over.abort();
    closing.addEventListener('abort', finish, { once: true });
    request.raw.once('close', finish);
    this.#raw.once('close', finish);
    this.#raw.on('error', finish);
    this.#forget = () => closing.removeEventListener('abort', finish);
    if (closing.aborted) finish();
    const headers = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store', 'x-accel-buffering': 'no' };
    // nothing else comes on this connection: a daemon that stops need not wait for it
    this.#raw.writeHead(200, { ...headers, 'x-content-type-options': 'nosniff', connection: 'close' });
    this.#raw.write(`retry: ${RETRY_MS}\n\n`);
  }

  /** false: nobody listens any more. */
  async send(event: RunEvent): Promise<boolean> {
    const id = `${this.#ids.encode(event.seq)}${event.type === 'ended' ? END : ''}`;
    return await this.#write(`id: ${id}\nevent: ${event.type}\ndata: ${JSON.stringify(this.#document(event))}\n\n`);
  }

  /** Until the events end, or nobody listens. `look`: how the run ended, asked now and then where nobody may tell; null: it goes on. */
  async follow(events: Subscription, look: (() => Promise<RunEvent | null>) | null): Promise<void> {
    const { clock } = this.#service;
    const signal = this.#over.signal;
    const close = (): void => events.close();
    signal.addEventListener('abort', close, { once: true });
    let silentMs = 0;
    let ended: RunEvent | null = null;
    const beat = async (): Promise<void> => {
      for (;;) {
        await clock.sleep(LOOK_MS, signal);
        silentMs += LOOK_MS;
        if (!(await isStillIn(this.#service, this.#principal))) return events.close();
        ended = look === null ? null : await look();
        if (ended !== null) return events.close();
        if (silentMs < BEAT_MS) continue;
        silentMs = 0;
        // what was written and is not taken yet is a sign of life of ours already
        if (!this.#raw.writableNeedDrain) this.#raw.write(':\n\n');
      }
    };
    const beating = beat().catch(() => events.close());
    let last: RunEvent | null = null;
    for await (const event of events) {
      last = event;
      silentMs = 0;
      if (!(await this.send(event))) break;
    }
    if (ended !== null && last?.type !== 'ended') await this.send(ended);
    this.#over.abort();
    await beating;
  }

  async #write(text: string): Promise<boolean> {
    const signal = this.#over.signal;
    if (signal.aborted) return false;
    if (this.#raw.write(text)) return true;
    await new Promise<void>((resolve) => {
      this.#raw.once('drain', resolve);
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    return !signal.aborted;
  }

  #document(event: RunEvent) {
    const { at, run, kind, shop, source, type, state, step, progress, error } = event;
    return {
      ...{ at: instantOf(at), run, kind, shop, source, type, state, step },
      progress: progress && progressOf(progress),
      error: error && errorFor(this.#principal, error),
    };
  }

  [Symbol.dispose](): void {
    this.#forget();
    this.#over.abort();
    this.#raw.end();
  }
}

/** null: begin with how things stand now. */
function afterOf(ids: EventIds, lastEventId: string | undefined): number | null {
  return lastEventId === undefined ? null : ids.decode(lastEventId.replace(END, ''));
}

/** The last word on a run that this daemon's feed does not know, or has forgotten. */
function endedEvent(row: Awaited<ReturnType<typeof asItIs>>): RunEvent {
  const { id, kind, shop, source, state, errorCode, errorMessage } = row;
  return {
    ...{ seq: 0, at: row.endedAt ?? row.startedAt, run: id, kind, shop, source, who: row.who ?? '', type: 'ended', state, step: null },
    ...{ progress: null, error: errorCode === null ? null : { code: errorCode, message: errorMessage ?? '' } },
  };
}

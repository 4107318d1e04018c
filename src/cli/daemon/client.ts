// The daemon as commands see it: where it is, whether it is one that this coffre understands, and what can be asked of it.
import type { IncomingMessage } from 'node:http';
import type { runDetailDocument, runDocument } from '../../catalog/run-document.ts';
import { daemonRunning } from '../../catalog/shop-lock.ts';
import type { Clock } from '../../clock.ts';
import type { Config } from '../../config/config.ts';
import { CoffreError } from '../../errors.ts';
import type { RunProgress } from '../../schedule/feed.ts';
import type { TaskRequest } from '../../schedule/task.ts';
import { isId } from '../../segment/id.ts';
import { followEvents, Patience } from './client-events.ts';
import { type DaemonAddress, DaemonHttp } from './client-http.ts';

/** Part of the path of every route: another number is an API that this client does not know. */
const API = '/v1';
/** A daemon that starts holds its lock before it listens. */
const LISTENS_WITHIN_MS = 10_000;
const ASK_EVERY_MS = 200;

/** A run in full, as the daemon tells it; `detail` to administrators alone. */
export type RunInFull = ReturnType<typeof runDetailDocument>;
export type RunSummary = ReturnType<typeof runDocument>;

/** How far a run is, as the daemon tells it. */
export interface RunNews {
  readonly run: string;
  readonly kind: RunSummary['kind'];
  readonly shop: string;
  readonly source: RunSummary['source'];
  readonly type: 'queued' | 'started' | 'step' | 'progress' | 'ended';
  readonly state: RunSummary['state'];
  /** What it does now; null: it has not said. */
  readonly step: string | null;
  readonly progress: RunProgress | null;
}

export interface RunQuery {
  readonly shop?: string | undefined;
  readonly kind?: string | undefined;
  readonly state?: string | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

/** A daemon that answers. What its methods throw beside what is said: E_DAEMON_UNREACHABLE, E_DAEMON_VERSION, E_FORBIDDEN, E_RATE. */
export class DaemonClient {
  readonly #http: DaemonHttp;
  readonly #clock: Clock;
  readonly #isThere: () => Promise<boolean>;
  /** On another machine: its configuration and catalog are not here. */
  readonly isRemote: boolean;

  /** `isThere`: whether a daemon that does not answer still runs; null: it is on another machine, and nobody can tell. */
  constructor(http: DaemonHttp, clock: Clock, isThere: (() => Promise<boolean>) | null) {
    this.#http = http;
    this.#clock = clock;
    this.#isThere = isThere ?? (async () => false);
    this.isRemote = isThere === null;
  }

  get where(): string {
    return this.#http.where;
  }

  /** Any document of the API, for reading: `/shops/dupont`. */
  async read(path: string, signal: AbortSignal): Promise<unknown> {
    return await this.#http.json({ path: `${API}${path}`, signal });
  }

  /** All rows of a list of the API, which comes in pages: `/snapshots`, its `snapshots`. */
  async readAll(path: string, name: string, signal: AbortSignal): Promise<unknown[]> {
    const rows: unknown[] = [];
    let cursor: string | null = null;
    do {
      const asked = new URLSearchParams({ limit: '500', ...(cursor === null ? {} : { cursor }) });
      const page = (await this.read(`${path}${path.includes('?') ? '&' : '?'}${asked}`, signal)) as Record<string, unknown>;
      rows.push(...(page[name] as unknown[]));
      cursor = page.next as string | null;
    } while (cursor !== null);
    return rows;
  }

  /** Any order of the API: what it answers. */
  async order(path: string, body: object, signal: AbortSignal): Promise<unknown> {
    return await this.#http.json({ method: 'POST', path: `${API}${path}`, body, signal });
  }

  /** Bytes of the API as they come, from `from` on; `etag` of what was begun before. Statuses 200 and 206 differ in what comes. */
  async download(
    path: string,
    part: { readonly from: number; readonly etag: string | null },
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const range = part.from > 0 ? { range: `bytes=${part.from}-`, ...(part.etag === null ? {} : { 'if-range': part.etag }) } : {};
    return await this.#http.stream({ path: `${API}${path}`, headers: { accept: 'application/octet-stream', ...range }, signal });
  }

  /** Id of the queued run. Throws what the daemon has against it: E_UNKNOWN_SHOP, E_CONFIG, E_SHOP_STATE, E_INTERRUPTED while it stops. */
  async submit(task: TaskRequest, signal: AbortSignal): Promise<string> {
    const { run } = (await this.order('/runs', task, signal)) as { readonly run: string };
    return run;
  }

  /** Throws E_UNKNOWN_RUN. */
  async run(id: string, signal: AbortSignal): Promise<RunInFull> {
    try {
      return (await this.read(pathOf(id), signal)) as RunInFull;
    } catch (error) {
      throw unknownRun(error, id);
    }
  }

  /** Newest first; `next` is the cursor of the next page. */
  async runs(query: RunQuery, signal: AbortSignal): Promise<{ readonly runs: readonly RunSummary[]; readonly next: string | null }> {
    const asked = new URLSearchParams();
    for (const [key, value] of Object.entries(query)) if (value !== undefined) asked.set(key, String(value));
    return (await this.read(`/runs?${asked}`, signal)) as { runs: RunSummary[]; next: string | null };
  }

  /** false: it had ended already. Throws E_UNKNOWN_RUN, E_USAGE for a run of another process. */
  async cancel(id: string, signal: AbortSignal): Promise<boolean> {
    try {
      const { cancelled } = (await this.order(`${pathOf(id)}/cancel`, {}, signal)) as { readonly cancelled: boolean };
      return cancelled;
    } catch (error) {
      throw unknownRun(error, id);
    }
  }

  /** Asks again while the daemon is started anew. Throws E_DAEMON_LOST when it does not come back. */
  async untilAnswered<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const patience = this.#patience();
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof CoffreError) || error.code !== 'E_DAEMON_UNREACHABLE') throw error;
      }
      await patience.wait(signal);
    }
  }

  #patience(): Patience {
    return new Patience(this.#clock, this.where, this.#isThere);
  }

  /** How the run goes, from how it stands now to its end; cuts of the connection are mended. Throws E_UNKNOWN_RUN, E_DAEMON_LOST. */
  async *follow(id: string, signal: AbortSignal): AsyncGenerator<RunNews> {
    const path = `${API}${pathOf(id)}/events`;
    try {
      for await (const { data } of followEvents(this.#http, this.#clock, path, signal, this.#patience())) {
        let news: RunNews;
        try {
          news = JSON.parse(data) as RunNews;
        } catch {
          throw new CoffreError('E_DAEMON_VERSION', `${this.where} sends events that are no JSON`);
        }
        yield news;
        if (news.type === 'ended') return;
      }
    } catch (error) {
      throw unknownRun(error, id);
    }
  }
}

/** Throws E_UNKNOWN_RUN for what cannot be the id of a run. */
function pathOf(run: string): string {
  if (!isId(run)) throw new CoffreError('E_UNKNOWN_RUN', `no run ${JSON.stringify(run)}`);
  return `/runs/${run}`;
}

/** A route about a run finds no such thing: the same error as without a daemon. */
function unknownRun(error: unknown, run: string): unknown {
  if (!(error instanceof CoffreError) || error.code !== 'E_NOT_FOUND') return error;
  return new CoffreError('E_UNKNOWN_RUN', `no run ${JSON.stringify(run)}`, { cause: error });
}

/**
 * The daemon that holds this state, once it answers at `listen.socket`; null: none runs, or it listens at no socket, and the caller works
 * alone (the locks of catalog/shop-lock.ts keep both from writing the same). Throws E_DAEMON_UNREACHABLE when one runs and does not answer,
 * E_DAEMON_RUNNING while the catalog is rebuilt, E_DAEMON_VERSION, and the signal's reason.
 */
export async function localDaemon(config: Config, clock: Clock, operator: string, signal: AbortSignal): Promise<DaemonClient | null> {
  const { socket } = config.listen;
  if (socket === null) return null;
  const http = new DaemonHttp({ socketPath: socket }, clock, { 'coffre-operator': operator.replaceAll(/[^\w.@\\$ -]/g, '_') });
  const isThere = async (): Promise<boolean> => (await daemonRunning(config.stateDir)) !== null;
  const giveUpAtMs = clock.monotonicMs() + LISTENS_WITHIN_MS;
  for (;;) {
    let failure: CoffreError;
    try {
      return await greeted(new DaemonClient(http, clock, isThere), signal);
    } catch (error) {
      if (!(error instanceof CoffreError) || error.code !== 'E_DAEMON_UNREACHABLE') throw error;
      failure = error;
    }
    const code = (failure.cause as NodeJS.ErrnoException | undefined)?.code;
    if (code === 'EACCES' || code === 'EPERM') {
      throw new CoffreError('E_DAEMON_UNREACHABLE', `${socket} may not be opened by this user`, {
        hint: 'administrators are root and the members of its group: ls -l shows it',
        cause: failure,
      });
    }
    const holder = await daemonRunning(config.stateDir);
    if (holder === null) return null;
    if (holder.doing !== 'the daemon') throw new CoffreError('E_DAEMON_RUNNING', `${holder.doing} is under way (process ${holder.pid})`);
    if (clock.monotonicMs() >= giveUpAtMs) {
      throw new CoffreError(
        'E_DAEMON_UNREACHABLE',
        `the daemon (process ${holder.pid}) does not answer at ${socket}: ${code ?? failure.message}`,
        {
          hint: 'systemctl status coffre says how it stands; --alone works beside it, on shops that it is not busy with',
          cause: failure,
        },
      );
    }
    await clock.sleep(ASK_EVERY_MS, signal);
  }
}

/** The daemon of another machine. Throws E_DAEMON_UNREACHABLE, E_DAEMON_VERSION, E_TOKEN. */
export async function remoteDaemon(address: DaemonAddress, clock: Clock, signal: AbortSignal): Promise<DaemonClient> {
  return await greeted(new DaemonClient(new DaemonHttp(address, clock), clock, null), signal);
}

/** What answers must know this version of the API. */
async function greeted(daemon: DaemonClient, signal: AbortSignal): Promise<DaemonClient> {
  try {
    await daemon.read('/me', signal);
    return daemon;
  } catch (error) {
    if (error instanceof CoffreError && error.code === 'E_NOT_FOUND') {
      throw new CoffreError('E_DAEMON_VERSION', `the daemon at ${daemon.where} does not speak version ${API.slice(2)} of the API`);
    }
    throw error;
  }
}

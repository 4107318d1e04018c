// Where commands ask for restores: at the daemon, or without one over the catalog itself.
import { type Catalog, openCatalog } from '../../catalog/open.ts';
import { pageOfRequests, readRequest } from '../../catalog/requests.ts';
import type { Clock } from '../../clock.ts';
import type { Config } from '../../config/config.ts';
import { CoffreError } from '../../errors.ts';
import type { RequestState } from '../../restore/request-life.ts';
import type { Wanted } from '../../restore/request-preview.ts';
import type { RunProgress } from '../../schedule/feed.ts';
import { actOnRequest, beginsByItself, type DeskVerb, openRequest, type PreviewNow, previewNow } from '../../schedule/request-desk.ts';
import {
  fullRequestDocument,
  PromiseCalendars,
  type RequestDocument,
  type RequestStory,
  requestDocument,
} from '../../schedule/request-document.ts';
import { isId } from '../../segment/id.ts';
import type { CliContext, Invocation } from '../context.ts';
import type { DaemonClient } from '../daemon/client.ts';
import { operatorName } from '../operator.ts';

/** Of a daemon of an older version nobody knows; as of one that begins by itself. */
interface Begun {
  /** false: once it is approved, somebody with root's rights has to begin it. */
  readonly unattended?: boolean;
}

export type RequestInList = RequestDocument & Begun;

/** A daemon of an older version says less of what came of it. */
export interface RequestInFull
  extends RequestDocument,
    Begun,
    Pick<RequestStory, 'heldMs' | 'history'>,
    Partial<Omit<RequestStory, 'heldMs' | 'history'>> {
  /** What is done now; null: nobody says, or nothing is. */
  readonly step: string | null;
  readonly progress: RunProgress | null;
}

export interface RequestQuery {
  readonly shop: string | undefined;
  readonly state: RequestState | undefined;
  readonly limit: number;
}

export interface RequestOrder {
  readonly shop: string;
  readonly wanted: Wanted;
  readonly approve: boolean;
  readonly reason: string | null;
}

/** What all of them throw beside what is said where the work is done: E_UNKNOWN_REQUEST, E_DAEMON_…. */
export interface Desk extends AsyncDisposable {
  /** client: by a token of the shop's owner. */
  readonly role: 'client' | 'operator';
  /** A daemon does what is approved. */
  readonly hasDaemon: boolean;
  preview(shop: string, wanted: Wanted): Promise<PreviewNow>;
  open(order: RequestOrder): Promise<RequestInFull>;
  act(id: string, verb: DeskVerb, reason: string | null): Promise<RequestInFull>;
  show(id: string): Promise<RequestInFull>;
  list(query: RequestQuery): Promise<readonly RequestInList[]>;
}

export async function openDesk(context: CliContext, invocation: Invocation): Promise<Desk> {
  const daemon = await invocation.daemon();
  return daemon === null ? await deskHere(context, invocation) : await deskOfDaemon(daemon, invocation.signal);
}

async function deskOfDaemon(daemon: DaemonClient, signal: AbortSignal): Promise<Desk> {
  const { role } = (await daemon.read('/me', signal)) as { readonly role: string };
  const one = async (id: string, ask: (path: string) => Promise<unknown>): Promise<RequestInFull> => {
    if (!isId(id)) throw unknownRequest(id);
    try {
      return (await ask(`/requests/${id}`)) as RequestInFull;
    } catch (error) {
      if (error instanceof CoffreError && error.code === 'E_NOT_FOUND') throw unknownRequest(id, error);
      throw error;
    }
  };
  return {
    role: role === 'client' ? 'client' : 'operator',
    hasDaemon: true,
    preview: async (shop, wanted) => (await daemon.order('/requests/preview', { shop, ...wanted }, signal)) as PreviewNow,
    open: async ({ wanted, ...order }) => (await daemon.order('/requests', { ...order, ...wanted }, signal)) as RequestInFull,
    act: (id, verb, reason) => one(id, (path) => daemon.order(`${path}/${verb}`, { reason }, signal)),
    show: (id) => daemon.untilAnswered(() => one(id, (path) => daemon.read(path, signal)), signal),
    async list(query) {
      const asked = new URLSearchParams();
      for (const [key, value] of Object.entries(query)) if (value !== undefined) asked.set(key, String(value));
      return ((await daemon.read(`/requests?${asked}`, signal)) as { requests: RequestInList[] }).requests;
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

const unknownRequest = (id: string, cause?: unknown): CoffreError =>
  new CoffreError('E_UNKNOWN_REQUEST', `no request ${JSON.stringify(id)}`, { cause });

/** From the catalog: what nobody tells how far it is. Throws E_UNKNOWN_REQUEST. */
export async function requestInFull(catalog: Catalog, clock: Clock, config: Config, id: string): Promise<RequestInFull> {
  const row = await readRequest(catalog, id);
  const full = await fullRequestDocument(catalog, row, clock.nowMs(), new PromiseCalendars());
  return { ...full, unattended: beginsByItself(config), step: null, progress: null };
}

async function deskHere(context: CliContext, invocation: Invocation): Promise<Desk> {
  const { clock } = context;
  const config = invocation.config();
  const catalog = await openCatalog(config.stateDir);
  const deps = { config, catalog, clock };
  const by = { who: operatorName(context.io), role: 'operator' } as const;
  const inFull = (id: string): Promise<RequestInFull> => requestInFull(catalog, clock, config, id);
  return {
    ...{ role: 'operator', hasDaemon: false },
    preview: (shop, wanted) => previewNow(deps, shop, wanted),
    open: async (order) => await inFull((await openRequest(deps, order, by)).id),
    act: async (id, verb, reason) => await inFull((await actOnRequest(deps, id, verb, by, reason)).id),
    show: inFull,
    async list({ limit, shop, state }) {
      const calendars = new PromiseCalendars();
      const rows = await pageOfRequests(catalog, {
        ...(shop === undefined ? {} : { shops: [shop] }),
        ...(state === undefined ? {} : { states: [state] }),
        limit,
      });
      const unattended = beginsByItself(config);
      return await Promise.all(rows.map(async (row) => ({ ...(await requestDocument(row, clock.nowMs(), calendars)), unattended })));
    },
    [Symbol.asyncDispose]: () => catalog.close(),
  };
}

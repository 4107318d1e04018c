// Opens the doors of the daemon's API: the administrators' socket, and a port for whoever has a token.
import type { Server } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { settledWithin } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import type { Service } from '../schedule/service.ts';
import { buildApi, type Timeouts } from './api.ts';
import type { Api } from './routes.ts';
import { bindSocket } from './socket.ts';
import { readTls, renewTls } from './tls.ts';

export interface StartedHttp {
  /** Stops listening, lets what is being answered be answered for a moment, and ends what is left. Idempotent. */
  close(): Promise<void>;
  /** The socket's path, `http://127.0.0.1:8321`. */
  readonly addresses: readonly string[];
}

export interface HttpOptions {
  readonly timeouts?: Timeouts;
}

/** Connections at one time, of all and of one address: who has more than this is no client of ours. */
const CONNECTIONS = { all: 1000, each: 256 } as const;
const CLOSE_WITHIN_MS = 3000;

/**
 * Listens where `listen` of the configuration says; nothing of it is read again until the next start. Throws E_DAEMON_RUNNING, E_CONFIG,
 * E_STATE, E_SECRET_….
 */
export async function startHttp(service: Service, { timeouts = {} }: HttpOptions = {}): Promise<StartedHttp> {
  const { socket, http, tls, proxies } = service.config.listen;
  const opened: Opened[] = [];
  try {
    if (socket !== null) opened.push(await openSocket(service, socket, timeouts));
    if (http !== null) opened.push(await openPort(service, { http, tls, proxies }, timeouts));
  } catch (error) {
    for (const one of opened) await one.close();
    throw error;
  }
  for (const { address } of opened) service.log.info({ event: 'http.started', address }, `listening at ${address}`);
  let closed: Promise<void> | null = null;
  return {
    addresses: opened.map(({ address }) => address),
    close() {
      closed ??= closeAll(service, opened);
      return closed;
    },
  };
}

interface Opened {
  readonly address: string;
  close(): Promise<void>;
}

async function closeAll(service: Service, opened: readonly Opened[]): Promise<void> {
  await Promise.all(opened.map((one) => one.close()));
  for (const { address } of opened) service.log.info({ event: 'http.stopped', address }, `not listening at ${address} any more`);
}

async function openSocket(service: Service, path: string, timeouts: Timeouts): Promise<Opened> {
  const api = await buildApi(service, { kind: 'socket' }, timeouts);
  api.server.maxConnections = CONNECTIONS.all;
  const bound = await bindSocket(path, async (at) => void (await api.listen({ path: at }))).catch(async (error: unknown) => {
    await api.close();
    throw error;
  });
  return {
    address: path,
    async close() {
      // first its name: who comes now is told that there is no daemon, not that one is going
      await bound.remove();
      await closeApi(service, api);
    },
  };
}

async function openPort(
  service: Service,
  { http, tls, proxies }: Pick<Service['config']['listen'], 'tls' | 'proxies'> & { readonly http: string },
  timeouts: Timeouts,
): Promise<Opened> {
  const api = await buildApi(service, { kind: 'network', proxies, tls: tls && readTls(tls) }, timeouts);
  api.server.maxConnections = CONNECTIONS.all;
  if (proxies.length === 0) limitEach(service, api.server);
  if (tls !== null) renewTls(api.server as Server as unknown as TlsServer, tls, service);
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(http) ?? [];
  try {
    // one address, not both that a name may have
    await api.listen({ host: host === 'localhost' ? '127.0.0.1' : host.replace(/^\[|\]$/g, ''), port: Number(port) });
  } catch (cause) {
    await api.close();
    const { code } = cause as NodeJS.ErrnoException;
    throw new CoffreError('E_CONFIG', `cannot listen at listen.http ${http}: ${code}`, {
      hint: code === 'EADDRINUSE' ? 'another program listens there' : 'an address of this machine and a free port are expected',
      cause,
    });
  }
  const { address, family, port: taken } = api.server.address() as AddressInfo;
  return {
    address: `${tls === null ? 'http' : 'https'}://${family === 'IPv6' ? `[${address}]` : address}:${taken}`,
    close: () => closeApi(service, api),
  };
}

/** An address with too many connections gets no more; behind a proxy all of them are the proxy's. */
function limitEach(service: Service, server: Server): void {
  const open = new Map<string, number>();
  const told = new Set<string>();
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    const count = (open.get(address) ?? 0) + 1;
    if (count > CONNECTIONS.each) {
      if (!told.has(address)) service.log.warn({ event: 'http.crowded', address }, 'too many connections from one address');
      told.add(address);
      socket.destroy();
      return;
    }
    open.set(address, count);
    socket.once('close', () => {
      const left = (open.get(address) ?? 1) - 1;
      if (left > 0) open.set(address, left);
      else {
        open.delete(address);
        told.delete(address);
      }
    });
  });
}

async function closeApi(service: Service, api: Api): Promise<void> {
  const closing = api.close();
  if (await settledWithin(closing, CLOSE_WITHIN_MS, service.clock)) return;
  api.server.closeAllConnections();
  await closing;
}

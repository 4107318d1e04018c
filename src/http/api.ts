// One server of the API, not listening yet (what only a daemon loads): its limits, who may do what, its errors, its routes. Each door has one of its own.
import type { Socket } from 'node:net';
import rateLimit from '@fastify/rate-limit';
import { type FastifyError, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { CoffreError } from '../errors.ts';
import type { Service } from '../schedule/service.ts';
import { registerAudit } from './audit.ts';
import { type Authenticate, atSocket, byToken, GUESSES, requireAccess, tooMany } from './auth.ts';
import { registerBilling } from './billing.ts';
import { registerProof } from './billing-proof.ts';
import { registerBreaches } from './breaches.ts';
import { registerDrills } from './drills.ts';
import { registerEstimate } from './estimate.ts';
import { EventIds } from './event-ids.ts';
import { registerExports } from './exports.ts';
import { logRequest, refuseConnection, sendError } from './failures.ts';
import { registerHolds } from './holds.ts';
import { registerIncidents } from './incidents.ts';
import { registerLogLevel } from './log-level.ts';
import { registerMetrics } from './metrics.ts';
import { openapi } from './openapi.ts';
import { PROBLEM_TYPE, problemSchema } from './problem.ts';
import { registerReport } from './report.ts';
import { registerRequests } from './requests.ts';
import type { Api, RouteAccess } from './routes.ts';
import { registerRunEvents } from './run-events.ts';
import { registerRuns } from './runs.ts';
import { registerService } from './service.ts';
import { registerShopLife } from './shop-life.ts';
import { registerShops } from './shops.ts';
import { registerSnapshots } from './snapshots.ts';
import { registerStatements } from './statements.ts';
import { registerStatus } from './status.ts';
import { registerTokens } from './tokens.ts';
import { registerVaults } from './vaults.ts';

/** The socket, where administrators are; or the network, where tokens are asked for. */
export type Door =
  | { readonly kind: 'socket' }
  | {
      readonly kind: 'network';
      /** Addresses that may say, by X-Forwarded-For, for whom they ask. */
      readonly proxies: readonly string[];
      /** PEM; null: not encrypted. */
      readonly tls: { readonly cert: string; readonly key: string } | null;
    };

/** No document that anybody sends is larger. */
export const BODY_BYTES = 64 * 1024;
const HEADER_BYTES = 8 * 1024;
const HEADERS_WITHIN_MS = 10_000;
const REQUEST_WITHIN_MS = 20_000;
/** A connection on which nothing moves: live progress has a beat every 15 s. */
const IDLE_MS = 60_000;
const KEEP_ALIVE_MS = 10_000;
/** From one token, or one address where none is needed, in a minute. */
const REQUESTS = { max: 600, windowMs: 60_000 } as const;

/** What a door may be given that tests need to see happen soon. */
export interface Timeouts {
  readonly headersMs?: number;
  readonly requestMs?: number;
}

/** Everything is registered when this returns. Throws E_INTERNAL for a route that does not say who may use it. */
export async function buildApi(service: Service, door: Door, timeouts: Timeouts = {}): Promise<Api> {
  const headersMs = timeouts.headersMs ?? HEADERS_WITHIN_MS;
  const requestMs = timeouts.requestMs ?? REQUEST_WITHIN_MS;
  const node = { maxHeaderSize: HEADER_BYTES, headersTimeout: headersMs, connectionsCheckingInterval: Math.min(2000, headersMs) };
  const options = {
    logger: false,
    bodyLimit: BODY_BYTES,
    requestTimeout: requestMs,
    connectionTimeout: IDLE_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    exposeHeadRoutes: false,
    // its answer would be no problem document; what comes while the daemon stops is answered, then its connection closed
    return503OnClosing: false,
    routerOptions: { maxParamLength: 200 },
    trustProxy: door.kind === 'network' && door.proxies.length > 0 ? [...door.proxies] : false,
    clientErrorHandler: (error: NodeJS.ErrnoException, socket: Socket) => refuseConnection(service, error, socket),
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => sendError(service, error, request, reply),
  } as const;
  const made =
    door.kind === 'network' && door.tls !== null
      ? fastify({ ...options, https: { ...node, ...door.tls, minVersion: 'TLSv1.2' } })
      : fastify({ ...options, http: node });
  const api = made as unknown as Api;
  api.setValidatorCompiler(validatorCompiler);
  api.setSerializerCompiler(serializerCompiler);
  api.removeContentTypeParser('text/plain');
  api.decorateRequest('principal', null);
  const table: RouteAccess[] = [];
  api.decorate('routeTable', table);

  const authenticate = door.kind === 'socket' ? atSocket(service) : await guarded(api, service);
  api.addHook('onRoute', ({ config, method, schema, url }) => {
    if (config?.access === undefined) throw new CoffreError('E_INTERNAL', `${method} ${url} does not say who may use it`);
    for (const one of [method].flat()) table.push({ method: one, url, access: config.access });
    const response = (schema?.response ?? {}) as Record<string, unknown>;
    if (schema !== undefined) schema.response = { ...response, default: PROBLEM_RESPONSE };
  });
  api.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    const { access } = request.routeOptions.config;
    if (access === 'anyone') return;
    request.principal = await authenticate(request, reply);
    requireAccess(access, request.principal);
  });
  api.addHook('onSend', async ({ method }) => {
    // before whoever ordered something hears that it is done, and asks how things stand
    if (method !== 'GET') service.board.changed();
  });
  api.addHook('onResponse', async (request, reply) => logRequest(service, request, reply));
  api.setErrorHandler((error, request, reply) => sendError(service, error, request, reply));
  api.setNotFoundHandler((request, reply) => sendError(service, new CoffreError('E_NOT_FOUND', 'no such route'), request, reply));

  if (door.kind === 'network') await limitRequests(api);
  await openapi(api, service);
  registerService(api, service);
  registerShops(api, service);
  registerStatus(api, service);
  registerEstimate(api, service);
  registerReport(api, service);
  registerDrills(api, service);
  registerExports(api, service);
  registerShopLife(api, service);
  registerRuns(api, service);
  registerRunEvents(api, service, new EventIds());
  registerRequests(api, service);
  registerSnapshots(api, service);
  registerVaults(api, service);
  registerBilling(api, service);
  registerProof(api, service);
  registerStatements(api, service);
  registerIncidents(api, service);
  registerBreaches(api, service);
  registerHolds(api, service);
  registerTokens(api, service);
  registerAudit(api, service);
  registerLogLevel(api, service);
  registerMetrics(api, service);
  await api.ready();
  return api;
}

const PROBLEM_RESPONSE = { description: 'what went wrong', content: { [PROBLEM_TYPE]: { schema: problemSchema } } };

/** Tokens, with guessing limited by address. */
async function guarded(api: Api, service: Service): Promise<Authenticate> {
  await api.register(rateLimit, { global: false });
  const wrong = api.createRateLimit({ max: GUESSES.max, timeWindow: GUESSES.windowMs });
  return byToken(service, async (request, count) => {
    const found = await wrong(request as never, { increment: count });
    // `count` makes the tenth wrong one the last that is looked at
    if (found.isAllowed) return { exceeded: false, retryAfterS: 0 };
    return { exceeded: found.remaining === 0, retryAfterS: Math.max(1, found.ttlInSeconds) };
  });
}

/** Of requests that were let in: by token, or by address on routes for anyone. */
async function limitRequests(api: Api): Promise<void> {
  const limited = api.createRateLimit({
    max: REQUESTS.max,
    timeWindow: REQUESTS.windowMs,
    keyGenerator: (request) => request.principal?.who ?? request.ip,
  });
  api.addHook('onRequest', async (request, reply) => {
    const found = await limited(request as never);
    if (found.isAllowed || !found.isExceeded) return;
    throw tooMany(reply, Math.max(1, found.ttlInSeconds));
  });
}

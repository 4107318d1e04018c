// What goes wrong on the way: told to the caller as a problem document, and to the log.
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { asCoffreError, CoffreError } from '../errors.ts';
import type { Service } from '../schedule/service.ts';
import { isTold } from './principal.ts';
import { PROBLEM_TYPE, type Problem, problemOf, rawProblem, statusOf } from './problem.ts';

/** Answers with the problem document of whatever was thrown. */
export function sendError(service: Service, thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { error, status, errors } = understood(thrown);
  const { method } = request;
  if (status >= 500) {
    const route = request.routeOptions.url ?? 'none';
    service.log.error({ event: 'http.failed', method, route, code: error.code, err: error }, error.message);
  }
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  // a request whose path cannot be taken apart comes here as fastify made it, without what we gave to others
  const principal = request.principal ?? null;
  const problem = problemOf(error, principal !== null && isTold(principal), status);
  const body: Problem = errors === undefined ? problem : { ...problem, errors };
  // as text: the route's own schema is not this one's
  return reply.code(status).type(PROBLEM_TYPE).serializer(String).send(JSON.stringify(body));
}

/** Fastify's own words of these quote the path. */
const PATHS: ReadonlyMap<unknown, string> = new Map([
  ['FST_ERR_BAD_URL', 'the path cannot be decoded'],
  ['FST_ERR_MAX_PARAM_LENGTH', 'a part of the path is too long'],
]);

interface Understood {
  readonly error: CoffreError;
  readonly status: number;
  readonly errors?: Problem['errors'];
}

function understood(thrown: unknown): Understood {
  if (thrown instanceof CoffreError) return { error: thrown, status: statusOf(thrown.code) };
  if (hasZodFastifySchemaValidationErrors(thrown)) {
    const errors = thrown.validation.map(({ instancePath, message }) => ({ path: instancePath, message: message ?? 'is not allowed' }));
    const where = { body: 'the body', querystring: 'the query', params: 'the path', headers: 'a header' }[
      thrown.validationContext ?? 'body'
    ];
    return { error: new CoffreError('E_REQUEST', `${where} is not as it should be`, { cause: thrown }), status: 400, errors };
  }
  // fastify's own: a body that is too large, of another type, no JSON, a path that cannot be decoded
  const { code, statusCode } = (thrown ?? {}) as { readonly code?: unknown; readonly statusCode?: unknown };
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    const message = PATHS.get(code) ?? (thrown instanceof Error ? thrown.message : 'the request was refused');
    return { error: new CoffreError('E_REQUEST', message, { cause: thrown }), status: statusCode };
  }
  if (statusCode === 503) return { error: new CoffreError('E_INTERRUPTED', 'the daemon stops', { cause: thrown }), status: 503 };
  const error = asCoffreError(thrown);
  return { error, status: statusOf(error.code) };
}

/** Of HTTP that cannot be read: status, and what is said of it. */
const MALFORMED: Readonly<Record<string, readonly [status: number, message: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'the headers are too large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'the request came too slowly'],
};
/** The other side went away, or speaks TLS to a port that does not: there is nobody to answer. */
const GONE = new Set(['ECONNRESET', 'EPIPE', 'HPE_INVALID_EOF_STATE']);

/** Ends a connection on which something came that is no request. */
export function refuseConnection(service: Service, error: NodeJS.ErrnoException, socket: Socket): void {
  const code = error.code ?? 'unknown';
  if (GONE.has(code) || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, message] = MALFORMED[code] ?? [400, 'what came is no HTTP request'];
  const address = socket.remoteAddress ?? 'socket';
  service.log.warn({ event: 'http.malformed', address, code: 'E_REQUEST', kind: code }, message);
  socket.end(rawProblem(new CoffreError('E_REQUEST', message), status), () => socket.destroy());
}

export function logRequest(service: Service, request: FastifyRequest, reply: FastifyReply): void {
  const { method, ip, principal } = request;
  const fields = { method, route: request.routeOptions.url ?? 'none', status: reply.statusCode, who: principal?.who ?? 'anyone' };
  const durationMs = Math.round(reply.elapsedTime);
  // a socket in the file system has no address
  service.log.debug({ event: 'http.request', ...fields, address: ip || 'socket', durationMs }, 'answered');
}

// Who stands at the door: administrators at the socket, by its file's mode; everybody else by a token.
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { findToken, isInForce, recordTokenUse, tokenShops } from '../catalog/tokens.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import type { Service } from '../schedule/service.ts';
import { type Peer, peerOf } from './peer.ts';
import type { Access, Principal } from './principal.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Of every route: one without it is refused when the server is built. */
    readonly access?: Access;
  }
  interface FastifyRequest {
    /** Who asks; null on routes for anyone. */
    principal: Principal | null;
  }
}

/** Says who asks. Throws E_TOKEN, E_RATE. */
export type Authenticate = (request: FastifyRequest, reply: FastifyReply) => Promise<Principal>;

/** Name that the command line gives with an order, for the audit. */
export const OPERATOR_HEADER = 'coffre-operator';
const OPERATOR = /^[\w.@\\$ -]{1,64}$/;

/** Whoever can open the socket is an administrator. Of an order the audit says which user of this machine gave it. */
export function atSocket({ clock }: Pick<Service, 'clock'>): Authenticate {
  const peers = new WeakMap<Socket, Promise<Peer | null>>();
  const peerAt = (socket: Socket): Promise<Peer | null> => {
    const peer = peers.get(socket) ?? peerOf(socket, clock);
    peers.set(socket, peer);
    return peer;
  };
  return async (request) => {
    const said = request.headers[OPERATOR_HEADER];
    const claimed = typeof said === 'string' && OPERATOR.test(said) ? said : null;
    // who only looks is not written down
    const peer = request.method === 'GET' ? null : await peerAt(request.raw.socket);
    return { who: nameOf(claimed, peer), role: 'admin', token: null, shops: null, expiresAt: null };
  };
}

/** A name that is not the account's own (root's, behind sudo) stands beside it: it is what somebody says. */
export function nameOf(claimed: string | null, peer: Peer | null): string {
  if (peer === null) return claimed ?? 'socket';
  const account = peer.user ?? `uid ${peer.uid}`;
  return claimed === null || claimed === account ? account : `${claimed} (as ${account})`;
}

/** Wrong tokens from one address in a minute, before it is not listened to for the rest of it. */
export const GUESSES = { max: 10, windowMs: 60_000 } as const;
/** Callers that came with a good token: somebody who guesses at their address does not shut them out. */
const KNOWN_KEPT = 1000;
const COMPLAIN_EVERY_MS = 60_000;

/** Of an address: whether too many wrong tokens came from it; `count`: one more did. */
export type GuessLimit = (request: FastifyRequest, count: boolean) => Promise<{ readonly exceeded: boolean; readonly retryAfterS: number }>;

/** Bearer tokens, with guessing counted by address. */
export function byToken(service: Service, limit: GuessLimit): Authenticate {
  const known = new Set<string>();
  let complainedAtMs = Number.NEGATIVE_INFINITY;
  return async (request, reply) => {
    const address = request.ip;
    const secret = bearer(request.headers.authorization);
    // no guess, and no line in the log: a port that is scanned would fill it
    if (secret === null) throw new CoffreError('E_TOKEN', 'a bearer token is missing');
    const caller = `${address} ${createHash('sha256').update(secret).digest('base64')}`;
    if (!known.has(caller)) {
      const { exceeded, retryAfterS } = await limit(request, false);
      if (exceeded) throw tooMany(reply, retryAfterS);
    }
    const row = await findToken(service.catalog, service.clock, secret);
    if (row === null) {
      known.delete(caller);
      service.log.warn({ event: 'http.refused', address, method: request.method }, 'the token is not valid');
      const { exceeded } = await limit(request, true);
      if (exceeded) service.log.warn({ event: 'http.blocked', address }, 'too many wrong tokens: the address has to wait');
      throw new CoffreError('E_TOKEN', 'the token is not valid');
    }
    known.delete(caller);
    known.add(caller);
    const [oldest] = known;
    if (known.size > KNOWN_KEPT && oldest !== undefined) known.delete(oldest);
    await recordTokenUse(service.catalog, service.clock, row, address).catch((error: unknown) => {
      // a state directory without space must not shut out whoever looks why, nor fill the journal
      const nowMs = service.clock.monotonicMs();
      if (nowMs - complainedAtMs < COMPLAIN_EVERY_MS) return;
      complainedAtMs = nowMs;
      const { code } = asCoffreError(error);
      service.log.error({ event: 'http.failed', method: request.method, route: 'token use', code }, 'the use of a token was not written');
    });
    const shops = tokenShops(row);
    return { who: `token:${row.name}`, role: row.role, token: row.id, shops: shops && new Set(shops), expiresAt: row.expiresAt };
  };
}

/** Whether who was let in once may still be: a stream lasts longer than the request that opened it. */
export async function isStillIn({ catalog, clock }: Service, { token }: Principal): Promise<boolean> {
  if (token === null) return true;
  const row = await catalog.db.selectFrom('tokens').select(['revokedAt', 'expiresAt']).where('id', '=', token).executeTakeFirst();
  return row !== undefined && isInForce(row, clock.nowMs());
}

/** The token of `Authorization: Bearer …`; null: there is none. */
function bearer(header: string | undefined): string | null {
  const found = /^Bearer +([\x21-\x7e]{1,200}) *$/i.exec(header ?? '');
  return found?.[1] ?? null;
}

/** The error of who asks too often; the reply says for how long. */
export function tooMany(reply: FastifyReply, retryAfterS: number): CoffreError {
  reply.header('retry-after', String(retryAfterS));
  return new CoffreError('E_RATE', `too many requests: try again in ${retryAfterS} s`);
}

/** Throws E_FORBIDDEN. Of a path that is no route (`access` undefined) the answer is that there is none. */
export function requireAccess(access: Access | undefined, principal: Principal): void {
  if (access === undefined || access === 'anyone' || access.includes(principal.role)) return;
  throw new CoffreError('E_FORBIDDEN', `a token of the role ${principal.role} may not do that`);
}

/** Who asks, on a route that is not for anyone. */
export function principalOf(request: FastifyRequest): Principal {
  if (request.principal === null) throw new CoffreError('E_INTERNAL', 'a route for anyone asks who it is');
  return request.principal;
}

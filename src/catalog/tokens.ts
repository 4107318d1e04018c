// Tokens of the API: made once, shown once, kept as a hash; revoked, never deleted.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Selectable } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import { isId, newId } from '../segment/id.ts';
import type { Catalog } from './open.ts';
import type { TokensTable } from './tables/daemon.ts';

export type TokenRow = Selectable<TokensTable>;
export type TokenRole = TokensTable['role'];

export const TOKEN_ROLES = ['admin', 'client', 'billing', 'monitor'] as const satisfies readonly TokenRole[];

export interface NewToken {
  /** What the audit calls whoever uses it; unique among those in force. */
  readonly name: string;
  readonly role: TokenRole;
  /** Of `client` alone, and at least one. */
  readonly shops: readonly string[] | null;
  /** Epoch milliseconds; null: until it is revoked. */
  readonly expiresAt: number | null;
  readonly who: string;
}

/** What a token begins with, so that programs which look for leaked secrets know it. */
const MARK = 'coffre';
const SECRET_BYTES = 32;
/** The use of a token is written down at most this often: an API that is polled must not write at each poll. */
const USE_WRITTEN_EVERY_MS = 60_000;
/** Of a token. */
export const TOKEN_NAME = /^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}$/;

/**
 * SHA-256, not bcrypt or the like: those make the guessing of words slow, and here are 256 random bits, which nobody guesses however fast
 * the hash is. A slow one would only let anybody at the door spend our processor.
 */
const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest();

/** Compared with where there is no such token, so that the answer takes as long. */
const NOBODY = hashOf('');

/** Makes a token; `secret` is told this once and kept nowhere. Audited. Throws E_USAGE. */
export async function createToken(
  catalog: Catalog,
  clock: Clock,
  token: NewToken,
): Promise<{ readonly secret: string; readonly row: TokenRow }> {
  const { name, role, shops, expiresAt, who } = token;
  const nowMs = clock.nowMs();
  if (!TOKEN_NAME.test(name))
    throw new CoffreError('E_USAGE', 'the name of a token is made of letters, digits, blanks and . _ @ -, at most 64', { hint: '' });
  if ((role === 'client') !== (shops !== null && shops.length > 0))
    throw new CoffreError('E_USAGE', 'a token of the role client names its shops, and no other does', {
      hint: 'coffre token create --help',
    });
  if (expiresAt !== null && expiresAt <= nowMs) throw new CoffreError('E_USAGE', 'the token would have expired already', { hint: '' });
  const id = newId(clock);
  const secret = `${MARK}_${id}_${randomBytes(SECRET_BYTES).toString('base64url')}`;
  const row: TokenRow = {
    ...{ id, name, hash: hashOf(secret).toString('hex'), role, shops: shops === null ? null : JSON.stringify([...new Set(shops)].sort()) },
    ...{ createdAt: nowMs, createdBy: who, expiresAt, lastUsedAt: null, lastUsedFrom: null, revokedAt: null, revokedBy: null },
  };
  await catalog.transaction(async (tx) => {
    const taken = await tx.selectFrom('tokens').select('id').where('name', '=', name).where('revokedAt', 'is', null).executeTakeFirst();
    if (taken)
      throw new CoffreError('E_USAGE', `there is a token ${JSON.stringify(name)} already`, {
        hint: 'revoke it first, or take another name',
      });
    await tx.insertInto('tokens').values(row).execute();
    const detail = JSON.stringify({ token: id, name, role, shops, expiresAt: instant(expiresAt) });
    await tx.insertInto('audit').values({ at: nowMs, who, what: 'token create', shop: null, detail }).execute();
  });
  return { secret, row };
}

/** The token in force that `secret` is; null: none. Reads one row, whatever is asked, and compares in constant time. */
export async function findToken(catalog: Catalog, clock: Clock, secret: string): Promise<TokenRow | null> {
  const [mark, id, ...rest] = secret.split('_');
  const named = mark === MARK && rest.length > 0 && id !== undefined && isId(id);
  const row = named ? await catalog.db.selectFrom('tokens').selectAll().where('id', '=', id).executeTakeFirst() : undefined;
  const known = row === undefined ? NOBODY : Buffer.from(row.hash, 'hex');
  const equal = timingSafeEqual(hashOf(secret), known);
  if (!equal || row === undefined) return null;
  return isInForce(row, clock.nowMs()) ? row : null;
}

export function isInForce(row: Pick<TokenRow, 'revokedAt' | 'expiresAt'>, nowMs: number): boolean {
  return row.revokedAt === null && (row.expiresAt === null || row.expiresAt > nowMs);
}

/** Shops of a `client`; null: all of them, as far as the role goes. */
export function tokenShops(row: Pick<TokenRow, 'shops'>): readonly string[] | null {
  return row.shops === null ? null : (JSON.parse(row.shops) as string[]);
}

/** Writes down that it was used now, and from where: at most once a minute. */
export async function recordTokenUse(catalog: Catalog, clock: Clock, row: TokenRow, from: string): Promise<void> {
  const nowMs = clock.nowMs();
  // a clock that was set back leaves times that are still to come
  if (row.lastUsedAt !== null && Math.abs(nowMs - row.lastUsedAt) < USE_WRITTEN_EVERY_MS) return;
  await catalog.db.updateTable('tokens').set({ lastUsedAt: nowMs, lastUsedFrom: from }).where('id', '=', row.id).execute();
}

/** Ends a token, from the next request on. `id`: its id or the name of one in force. Audited. Throws E_UNKNOWN_TOKEN. */
export async function revokeToken(catalog: Catalog, clock: Clock, id: string, who: string): Promise<TokenRow> {
  return await catalog.transaction(async (tx) => {
    const row = await tx
      .selectFrom('tokens')
      .selectAll()
      .where('revokedAt', 'is', null)
      .where((eb) => eb.or([eb('id', '=', id), eb('name', '=', id)]))
      .executeTakeFirst();
    if (!row) throw new CoffreError('E_UNKNOWN_TOKEN', 'there is no such token in force');
    const revoked = { revokedAt: clock.nowMs(), revokedBy: who };
    await tx.updateTable('tokens').set(revoked).where('id', '=', row.id).execute();
    const detail = JSON.stringify({ token: row.id, name: row.name });
    await tx.insertInto('audit').values({ at: revoked.revokedAt, who, what: 'token revoke', shop: null, detail }).execute();
    return { ...row, ...revoked };
  });
}

/** Newest first; without `all` only those in force. */
export async function listTokens(catalog: Catalog, clock: Clock, filter: { readonly all?: boolean } = {}): Promise<TokenRow[]> {
  const rows = await catalog.db.selectFrom('tokens').selectAll().orderBy('id', 'desc').execute();
  const nowMs = clock.nowMs();
  return filter.all ? rows : rows.filter((row) => isInForce(row, nowMs));
}

/** As JSON tells it, on the command line and in the API; the hash stays out. */
export function tokenDocument(row: TokenRow) {
  const { id, name, role, createdBy, lastUsedFrom, revokedBy } = row;
  return {
    ...{ id, name, role, shops: tokenShops(row), createdAt: instantText(row.createdAt), createdBy, expiresAt: instant(row.expiresAt) },
    ...{ lastUsedAt: instant(row.lastUsedAt), lastUsedFrom, revokedAt: instant(row.revokedAt), revokedBy },
  };
}

const instantText = (atMs: number): string => Temporal.Instant.fromEpochMilliseconds(atMs).toString();
const instant = (atMs: number | null): string | null => (atMs === null ? null : instantText(atMs));

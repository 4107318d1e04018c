// Who asks, and what they may see: the one place that says whether a shop exists for somebody.
import type { TokenRole } from '../catalog/tokens.ts';
import { CoffreError } from '../errors.ts';

export interface Principal {
  /** For the audit: a user of this machine, or `token:` and its name. */
  readonly who: string;
  readonly role: TokenRole;
  /** Id of the token; null: at the socket. */
  readonly token: string | null;
  /** Of `client`; null: every shop. */
  readonly shops: ReadonlySet<string> | null;
  /** Epoch milliseconds; null: no end is set. */
  readonly expiresAt: number | null;
}

/** Which roles may use a route; `anyone`: without a token too. */
export type Access = 'anyone' | readonly TokenRole[];

export const ADMIN: Access = ['admin'];
/** Every role, each within what it may see. */
export const EVERY_ROLE: Access = ['admin', 'client', 'billing', 'monitor'];
/** What a shop's owner may know of it. */
export const OWNER: Access = ['admin', 'client'];
export const BILLING: Access = ['admin', 'billing'];
export const WATCHING: Access = ['admin', 'client', 'monitor'];

/** Whether errors and documents are told with the names of paths, hosts, vaults and people. */
export const isTold = ({ role }: Principal): boolean => role === 'admin';

export const maySee = ({ shops }: Principal, shop: string): boolean => shops === null || shops.has(shop);

/**
 * Throws E_UNKNOWN_SHOP unless it is there and may be seen. Who may not see it is refused before anything is looked up, and in the same
 * words: neither the answer nor the time it takes tells a shop of somebody else from none.
 */
export function requireShop(principal: Principal, shop: string, isThere: (shop: string) => boolean): void {
  if (!maySee(principal, shop) || !isThere(shop)) throw unknownShop();
}

export const unknownShop = (): CoffreError => new CoffreError('E_UNKNOWN_SHOP', 'no such shop', { hint: '' });
export const unknownSnapshot = (): CoffreError => new CoffreError('E_UNKNOWN_SNAPSHOT', 'no such snapshot', { hint: '' });
export const notFound = (what: string): CoffreError => new CoffreError('E_NOT_FOUND', `no such ${what}`, { hint: '' });

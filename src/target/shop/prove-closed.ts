// Whether clients are kept out, asked as a client asks: what answers may be a cache, another tree, or code that PHP still holds.
import type { Clock } from '../../clock.ts';
import { asCoffreError, CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import type { HttpCheck, ShopFinding, ShopTables } from '../shop.ts';
import { readUrls } from './domains.ts';
import { fine, red, unknown } from './findings.ts';
import { type Answer, askPage } from './http-check.ts';
import { globalSetting, presentTables } from './tables.ts';

/** PHP looks every two seconds whether a file has changed (opcache.revalidate_freq); some set it higher. */
const PATIENCE_MS = 15_000;
const PAUSE_MS = 500;
/** Shops of one installation that are asked for a page each. */
const MOST_ADDRESSES = 20;

/** A page to be asked for, and whose it is. */
export interface Address {
  readonly url: string;
  /** null: it was given, not read. */
  readonly shopId: number | null;
}

/** What is asked for: the URL given, or the main address of each active shop. Throws E_DB_READ. */
export async function addressesOf(tables: ShopTables | null, http: HttpCheck): Promise<readonly Address[]> {
  if (http.url !== null) return [{ url: http.url, shopId: null }];
  if (tables === null || !(await presentTables(tables, ['configuration'])).has('configuration')) return [];
  const secure = (await globalSetting(tables, 'PS_SSL_ENABLED')) === '1';
  return (await readUrls(tables))
    .filter(({ main, active }) => main && active)
    .slice(0, MOST_ADDRESSES)
    .map(({ shopId, domain, domainSsl, physicalUri, virtualUri }) => ({
      url: `${secure ? 'https' : 'http'}://${secure ? domainSsl || domain : domain}${physicalUri}${virtualUri}`,
      shopId,
    }));
}

export interface Asking {
  readonly host: Host;
  readonly clock: Clock;
  readonly tables: ShopTables | null;
  readonly http: HttpCheck;
  readonly signal: AbortSignal;
}

/** Throws the signal's reason; what hinders it is a finding that is not green. */
export async function proveClosed({ host, clock, tables, http, signal }: Asking): Promise<ShopFinding> {
  try {
    const addresses = await addressesOf(tables, http);
    if (addresses.length === 0) return unknown('closed', 'E_SHOP_OPEN', 'no address is known that could be asked');
    for (const { url } of addresses) {
      const answer = await askUntil(clock, http, signal, isClosed, () =>
        askPage(host, clock, { url, through: http.through, timeoutMs: http.timeoutMs, token: null }, signal),
      );
      if (!isClosed(answer))
        return red('closed', 'E_SHOP_OPEN', `${new URL(url).origin} answers clients with ${answer.status}`, { status: answer.status });
    }
    return fine('closed', `${addresses.length} addresses answer clients with 503`, { addresses: addresses.length });
  } catch (error) {
    if (signal.aborted) throw error;
    return unknown('closed', 'E_SHOP_OPEN', asCoffreError(error).message);
  }
}

/** The other way round: whether clients get a page of each shop but those `closed`, which their own switch keeps closed. Throws the signal's reason. */
export async function provePages({ host, clock, tables, http, signal }: Asking, closed: readonly number[]): Promise<ShopFinding> {
  try {
    // whose page a given address is, nobody says: where some shops are closed it may be one of theirs
    const addresses = (await addressesOf(tables, http)).filter(({ shopId }) =>
      shopId === null ? closed.length === 0 : !closed.includes(shopId),
    );
    for (const { url } of addresses) {
      const answer = await askUntil(clock, http, signal, isPage, () =>
        askPage(host, clock, { url, through: http.through, timeoutMs: http.timeoutMs, token: null }, signal),
      );
      if (!isPage(answer)) {
        const how = answer.guard ? 'the guard’s page' : String(answer.status);
        return red('open', 'E_SHOP_CLOSED', `${new URL(url).origin} answers clients with ${how}`, { status: answer.status });
      }
    }
    return fine('open', `${addresses.length} ${addresses.length === 1 ? 'address shows' : 'addresses show'} clients a page`, { open: 1 });
  } catch (error) {
    if (signal.aborted) throw error;
    return unknown('open', 'E_SHOP_CLOSED', asCoffreError(error).message);
  }
}

const isPage = ({ status, guard }: Answer): boolean => status === 200 && !guard;

const isClosed = ({ status, guard }: Answer): boolean => guard || status === 503;

/** Asks until `enough`, or the patience is over: then the last answer. Throws what the last question threw. */
export async function askUntil(
  clock: Clock,
  { patienceMs = PATIENCE_MS }: HttpCheck,
  signal: AbortSignal,
  enough: (answer: Answer) => boolean,
  ask: () => Promise<Answer>,
): Promise<Answer> {
  const untilMs = clock.monotonicMs() + patienceMs;
  for (;;) {
    const isLast = clock.monotonicMs() >= untilMs;
    const answer = await ask().catch((error: unknown) => {
      // a server that is restarted meanwhile
      if (isLast || signal.aborted || !(error instanceof CoffreError)) throw error;
      return null;
    });
    if (answer !== null && (isLast || enough(answer))) return answer;
    await clock.sleep(PAUSE_MS, signal);
  }
}

// Asks a shop's web server for a page: as a client does, or past the guard.
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { type Clock, withDeadline } from '../../clock.ts';
import { CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import type { HttpCheck } from '../shop.ts';
import { CHECK_HEADER, GUARD_HEADER } from './guard-page.ts';

export interface Answer {
  readonly status: number;
  /** The guard's own page. */
  readonly guard: boolean;
  readonly body: string;
  /** How often it was led elsewhere. */
  readonly redirects: number;
}

/** Of a page that is looked at. */
const MOST_BYTES = 4 * 1024 * 1024;
const MOST_REDIRECTS = 4;

export interface PageRequest {
  readonly url: string;
  readonly through: HttpCheck['through'];
  readonly timeoutMs: number;
  /** Lets it past the guard; null: as a client. */
  readonly token: string | null;
}

/**
 * The page that the URL leads to, redirections within its own name followed. Throws E_SHOP_HTTP when there is no answer in time, a connection
 * is refused, or it is led to another name; the signal's reason. No message holds the token.
 */
export async function askPage(
  host: Host,
  clock: Clock,
  { url, through, timeoutMs, token }: PageRequest,
  signal: AbortSignal,
): Promise<Answer> {
  let at = URL.parse(url);
  if (at === null || (at.protocol !== 'http:' && at.protocol !== 'https:')) throw refused('the address is no http:// or https:// URL');
  const { hostname, protocol: first } = at;
  for (let redirects = 0; ; redirects++) {
    const asked: URL = at;
    const { status, location, guard, body } = await withDeadline(
      clock,
      timeoutMs,
      () => refused(`no answer from ${asked.origin} within ${Math.round(timeoutMs / 1000)} s`),
      (limited) => askOnce(host, asked, asked.protocol === first ? through : atUsualPort(through), token, limited),
      signal,
    );
    if (location === null || status < 300 || status > 399) return { status, guard, body, redirects };
    const next = URL.parse(location, asked.href);
    if (next === null || redirects === MOST_REDIRECTS) throw refused(`${asked.origin} leads nowhere`);
    if (next.hostname !== hostname) throw refused(`${asked.origin} leads to ${next.origin}`);
    at = next;
  }
}

/** A port that was named is that of the scheme that was named. */
const atUsualPort = (through: HttpCheck['through']): HttpCheck['through'] => (through === null ? null : { host: through.host, port: null });

interface Once {
  readonly status: number;
  readonly location: string | null;
  readonly guard: boolean;
  readonly body: string;
}

async function askOnce(host: Host, url: URL, through: HttpCheck['through'], token: string | null, signal: AbortSignal): Promise<Once> {
  const secure = url.protocol === 'https:';
  const opened: Duplex[] = [];
  const stream = (): Duplex => {
    const { host: to, port } = through as NonNullable<HttpCheck['through']>;
    const plain = host.connect({ host: to, port: port ?? (secure ? 443 : 80) });
    opened.push(plain);
    if (!secure) return plain;
    // whose machine it is was said by whoever named it; its certificate may be of another name, or end at a proxy
    const tls = connectTls({ socket: plain, servername: url.hostname, rejectUnauthorized: false });
    opened.push(tls);
    return tls;
  };
  try {
    return await new Promise<Once>((resolve, reject) => {
      const options = {
        method: 'GET',
        signal,
        headers: {
          host: url.host,
          accept: 'text/html',
          'accept-encoding': 'identity',
          'cache-control': 'no-cache',
          'user-agent': 'coffre (restore check)',
          connection: 'close',
          ...(token === null ? {} : { [CHECK_HEADER]: token }),
        },
        // an agent would connect by itself
        ...(through === null ? { agent: false as const } : { createConnection: stream }),
      };
      const answered = (answer: IncomingMessage): void => {
        bodyOf(answer).then(
          (body) =>
            resolve({
              status: answer.statusCode ?? 0,
              location: answer.headers.location ?? null,
              guard: answer.headers[GUARD_HEADER] !== undefined,
              body,
            }),
          reject,
        );
      };
      const asked = secure ? httpsRequest(url, options, answered) : httpRequest(url, options, answered);
      asked.on('error', reject);
      asked.end();
    });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof CoffreError) throw error;
    const { code } = (error ?? {}) as { readonly code?: unknown };
    throw refused(`${url.origin} does not answer: ${typeof code === 'string' ? code : 'the connection broke'}`, error);
  } finally {
    for (const one of opened) one.destroy();
  }
}

async function bodyOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer) {
    bytes += (chunk as Buffer).length;
    if (bytes > MOST_BYTES) break;
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function refused(message: string, cause?: unknown): CoffreError {
  return new CoffreError('E_SHOP_HTTP', message, cause === undefined ? {} : { cause });
}

const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  rsquo: '’',
  eacute: 'é',
  egrave: 'è',
  agrave: 'à',
};

/** Whether the page holds the text, as a reader sees it: entities read, runs of spaces one, letters of either case. */
export function holdsText(page: string, text: string): boolean {
  return plain(page).includes(plain(text));
}

function plain(text: string): string {
  return text
    .replace(/&(?:#x([\da-f]{1,6})|#(\d{1,7})|([a-z]+));/gi, (whole, hex?: string, decimal?: string, name?: string) => {
      if (name !== undefined) return ENTITIES[name.toLowerCase()] ?? whole;
      const point = hex !== undefined ? Number.parseInt(hex, 16) : Number(decimal);
      return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
    })
    .normalize('NFC')
    .replace(/\s+/g, ' ')
    .trim()
    .toLowerCase();
}

// Errors as the API tells them: RFC 9457 problem documents, with the codes of the error table.
import * as z from 'zod';
import { CoffreError, ERRORS, type ErrorCode } from '../errors.ts';
import { STATUS_CODES } from '../vault/node-http.ts';

export const PROBLEM_TYPE = 'application/problem+json';

export const problemSchema = z
  .object({
    type: z.string().describe('urn:coffre:error: and the code'),
    title: z.string().describe('what the code means'),
    status: z.int().min(400).max(599),
    code: z.string().describe('code of the error table, which coffre errors prints'),
    detail: z.string().describe('what happened'),
    hint: z.string().describe('what can be done about it; empty: nothing more is known'),
    retry: z
      .enum(['backoff', 'never', 'operator'])
      .describe('backoff: later; never: the same fails the same way; operator: a person must act'),
    errors: z
      .array(z.object({ path: z.string(), message: z.string() }))
      .optional()
      .describe('what was wrong with the request, each place once'),
  })
  .describe('RFC 9457');

export type Problem = z.output<typeof problemSchema>;

/** The status of every class of error: those of one exit status have one. */
const STATUS_OF_EXIT: Readonly<Record<number, number>> = {
  1: 500,
  2: 422,
  // a shop, a vault, or what is in it, does not do what it should: we stand between
  3: 502,
  4: 502,
  5: 502,
  6: 502,
  7: 409,
  8: 502,
  9: 502,
  10: 409,
  11: 503,
  12: 409,
  13: 400,
};

/** Where a code of a class has another one. */
const STATUS_OF_CODE: Partial<Readonly<Record<ErrorCode, number>>> = {
  E_INTERRUPTED: 503,
  E_DEADLINE: 504,
  E_USAGE: 400,
  E_SECRET_MODE: 500,
  E_SECRET_MISSING: 500,
  E_KEY: 500,
  E_VAULT_TIMEOUT: 504,
  E_LOCKED: 409,
  E_INCIDENT: 409,
  E_STATE_SPACE: 507,
  E_STATE_NOT_EMPTY: 409,
  E_NOT_FOUND: 404,
  // there once, and never again
  E_LEDGER_PURGED: 410,
  E_TOKEN: 401,
  E_FORBIDDEN: 403,
  E_RANGE: 416,
  E_RATE: 429,
};

/** HTTP status of an error. */
export function statusOf(code: ErrorCode): number {
  if (code.startsWith('E_UNKNOWN_')) return 404;
  return STATUS_OF_CODE[code] ?? STATUS_OF_EXIT[ERRORS[code].exit] ?? 500;
}

/**
 * The document of an error. `told`: whether its own words may be told; they name paths, hosts and vaults, which are an administrator's:
 * everybody else is told what the code means. What is the caller's own fault is told to anybody.
 */
export function problemOf(error: CoffreError, told: boolean, status: number = statusOf(error.code)): Problem {
  const { code } = error;
  const { means, retry } = ERRORS[code];
  const mayTell = told || error instanceof OwnWords || code === 'E_NOT_FOUND' || ERRORS[code].exit === ERRORS.E_REQUEST.exit;
  return {
    type: `urn:coffre:error:${code}`,
    title: code === 'E_USAGE' ? WRONG_HERE : means,
    status,
    code,
    detail: mayTell ? error.message : code === 'E_USAGE' ? WRONG_HERE : means,
    hint: mayTell ? hintHere(error) : '',
    retry,
  };
}

/** What `the command line is wrong` is for whoever has none. */
const WRONG_HERE = 'what the request asks for cannot be done so';

/** Of what is wrong with an order; one that names options of the command line is of no use here. */
const hintHere = ({ code, hint }: CoffreError): string =>
  code === 'E_USAGE' && /(^|\s)--[a-z]|\bcoffre [a-z]/.test(hint) ? ERRORS.E_REQUEST.hint : hint;

/** Its words are of what its reader asked for himself: they name his shop, his requests, tables and paths, and no host, vault or place. */
export class OwnWords extends CoffreError {}

/** What is wrong with what an owner asks for: not how coffre fares with it. */
const OF_THE_ASKER: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...(['E_USAGE', 'E_REQUEST_STATE', 'E_SHOP_STATE', 'E_UNKNOWN_SNAPSHOT', 'E_EXPORTS'] as const),
]);

/** What `work` throws about the asker's own wish, to be told to him as it is. For desks where clients stand: they say nothing else with these codes. */
export async function inOwnWords<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof CoffreError) || !OF_THE_ASKER.has(error.code)) throw error;
    throw new OwnWords(error.code, error.message, { hint: error.hint, cause: error });
  }
}

/** A whole response of HTTP/1.1, for a connection on which nothing could be read. */
export function rawProblem(error: CoffreError, status: number): string {
  const body = JSON.stringify(problemOf(error, true, status));
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    '',
    body,
  ].join('\r\n');
}

// Turns whatever the SDK, the network or the store throws into one CoffreError, without repeating what they carry along.
import { CoffreError, type ErrorCode } from '../errors.ts';

/** What an S3 error looks like from outside: service exceptions and socket errors share this much. */
interface RawError {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly Code?: unknown;
  readonly cause?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string };
}

/** What a store answered, as opposed to what a line or a time limit did. */
export class AnsweredError extends CoffreError {
  readonly status: number;

  constructor(code: ErrorCode, message: string, status: number, options?: { hint: string }) {
    super(code, message, options);
    this.status = status;
  }
}

const BY_S3_CODE: Readonly<Record<string, ErrorCode>> = {
  InvalidAccessKeyId: 'E_VAULT_AUTH',
  SignatureDoesNotMatch: 'E_VAULT_AUTH',
  ExpiredToken: 'E_VAULT_AUTH',
  InvalidToken: 'E_VAULT_AUTH',
  TokenRefreshRequired: 'E_VAULT_AUTH',
  InvalidSecurity: 'E_VAULT_AUTH',
  NotSignedUp: 'E_VAULT_AUTH',
  CredentialsProviderError: 'E_VAULT_AUTH',
  // What a wrong region or the endpoint of another region answers.
  AuthorizationHeaderMalformed: 'E_CONFIG',
  PermanentRedirect: 'E_CONFIG',
  IllegalLocationConstraintException: 'E_CONFIG',
  AccessDenied: 'E_VAULT_DENIED',
  AllAccessDisabled: 'E_VAULT_DENIED',
  AccountProblem: 'E_VAULT_DENIED',
  UserSuspended: 'E_VAULT_DENIED',
  RequestTimeTooSkewed: 'E_CLOCK_SKEW',
  RequestExpired: 'E_CLOCK_SKEW',
  NoSuchBucket: 'E_BUCKET_MISSING',
  NoSuchKey: 'E_OBJECT_MISSING',
  NoSuchVersion: 'E_OBJECT_MISSING',
  NoSuchUpload: 'E_OBJECT_MISSING',
  NotFound: 'E_OBJECT_MISSING',
  ObjectLockConfigurationNotFoundError: 'E_NO_OBJECT_LOCK',
  InvalidBucketState: 'E_NO_OBJECT_LOCK',
  NotImplemented: 'E_NO_OBJECT_LOCK',
  QuotaExceeded: 'E_VAULT_SPACE',
  InsufficientStorage: 'E_VAULT_SPACE',
  XMinioStorageFull: 'E_VAULT_SPACE',
  SlowDown: 'E_VAULT_UNREACHABLE',
  ServiceUnavailable: 'E_VAULT_UNREACHABLE',
  TooManyRequests: 'E_VAULT_UNREACHABLE',
  RequestTimeout: 'E_VAULT_TIMEOUT',
  InternalError: 'E_VAULT_IO',
};

const BY_SOCKET_CODE: Readonly<Record<string, ErrorCode>> = {
  ECONNREFUSED: 'E_VAULT_UNREACHABLE',
  ECONNRESET: 'E_VAULT_UNREACHABLE',
  ECONNABORTED: 'E_VAULT_UNREACHABLE',
  EPIPE: 'E_VAULT_UNREACHABLE',
  EHOSTUNREACH: 'E_VAULT_UNREACHABLE',
  ENETUNREACH: 'E_VAULT_UNREACHABLE',
  ENETDOWN: 'E_VAULT_UNREACHABLE',
  ENOTFOUND: 'E_VAULT_UNREACHABLE',
  EAI_AGAIN: 'E_VAULT_UNREACHABLE',
  ERR_STREAM_PREMATURE_CLOSE: 'E_VAULT_UNREACHABLE',
  HPE_INVALID_CONSTANT: 'E_VAULT_UNREACHABLE',
  ETIMEDOUT: 'E_VAULT_TIMEOUT',
};

function byStatus(status: number): ErrorCode {
  if (status === 301 || status === 307) return 'E_CONFIG';
  if (status === 401) return 'E_VAULT_AUTH';
  if (status === 403) return 'E_VAULT_DENIED';
  if (status === 404) return 'E_OBJECT_MISSING';
  if (status === 408) return 'E_VAULT_TIMEOUT';
  if (status === 429 || status === 502 || status === 503 || status === 504) return 'E_VAULT_UNREACHABLE';
  if (status === 501) return 'E_NO_OBJECT_LOCK';
  if (status === 507) return 'E_VAULT_SPACE';
  return 'E_VAULT_IO';
}

/** The S3 code (`AccessDenied`, …) an error carries; null for errors of the network and for answers without a body. */
export function s3CodeOf(error: unknown): string | null {
  const raw = error as RawError | null | undefined;
  const code = raw?.Code ?? raw?.name;
  // A HEAD has no body: the SDK then invents `Unknown`, `UnknownError` or the status as name.
  if (typeof code !== 'string' || /^(Unknown|UnknownError|Error|\d+)$/.test(code)) return null;
  return raw?.$metadata?.httpStatusCode === undefined && raw?.Code === undefined ? null : code;
}

export function statusOf(error: unknown): number | null {
  return (error as RawError | null | undefined)?.$metadata?.httpStatusCode ?? null;
}

/**
 * Whether a refusal says that a Content-MD5 is what the request lacks: MissingContentMD5, or (AWS) an InvalidRequest that names the header.
 * Not a digest that does not fit the body (BadDigest, InvalidDigest), nor any other answer of status 400.
 */
export function asksForMd5(error: unknown): boolean {
  if (statusOf(error) !== 400) return false;
  const code = s3CodeOf(error);
  if (code === 'MissingContentMD5') return true;
  return (code === 'InvalidRequest' || code === 'InvalidArgument') && /content-md5/i.test(String((error as RawError).message));
}

function codeFor(error: RawError): ErrorCode {
  const s3Code = s3CodeOf(error);
  const known = s3Code === null ? undefined : BY_S3_CODE[s3Code];
  if (known) return known;
  if (error.name === 'CredentialsProviderError') return 'E_VAULT_AUTH';
  // Socket errors first: the SDK names a reset connection TimeoutError, which it is not.
  const socketCode = typeof error.code === 'string' ? error.code : '';
  const bySocket = BY_SOCKET_CODE[socketCode];
  if (bySocket) return bySocket;
  if (/^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS_CERT)/.test(socketCode)) return 'E_VAULT_UNREACHABLE';
  if (error.name === 'TimeoutError') return 'E_VAULT_TIMEOUT';
  const status = statusOf(error);
  // InvalidRequest is what a bucket without Object Lock answers to a lock header, on AWS and on Ceph.
  return status === null ? 'E_VAULT_IO' : byStatus(status);
}

/**
 * `error` as a CoffreError that says which vault and what was being done. A CoffreError, also one that an abort carries
 * as its reason, comes back as it is. The SDK's error object is not kept as cause: it holds the answer's headers and the
 * access key, and a logger prints causes.
 */
export function vaultError(error: unknown, vaultName: string, doing: string): CoffreError {
  if (error instanceof CoffreError) return error;
  const raw = (error ?? {}) as RawError;
  if (raw.name === 'AbortError') {
    if (raw.cause instanceof CoffreError) return raw.cause;
    return new CoffreError('E_INTERRUPTED', `vault ${vaultName}: ${doing}: stopped`, { cause: raw.cause });
  }
  const code = codeFor(raw);
  const s3Code = s3CodeOf(error);
  const status = statusOf(error);
  const said = typeof raw.message === 'string' && raw.message !== 'UnknownError' ? raw.message : '';
  const parts = [
    s3Code,
    status === null ? null : `HTTP ${status}`,
    code === 'E_VAULT_AUTH' ? null : said,
    raw.$metadata?.requestId ?? null,
  ];
  const hint = code === 'E_CONFIG' ? { hint: 'check region and endpoint of the vault' } : undefined;
  const detail = parts.filter((part) => part).join(', ');
  const message = `vault ${vaultName}: ${doing}: ${detail === '' ? String(raw.name ?? 'failed') : detail}`;
  return status === null ? new CoffreError(code, message, hint) : new AnsweredError(code, message, status, hint);
}

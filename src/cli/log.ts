// The log of a command: JSON lines on stderr, made by pino, with anything that may hold a secret taken out.

import type { Logger } from 'pino';
import { pino } from 'pino';
import { CoffreError } from '../errors.ts';

export type { Logger } from 'pino';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const SECRET_FIELDS = [
  'password',
  'passphrase',
  'secret',
  'secretAccessKey',
  'sessionToken',
  'identity',
  'privateKey',
  'token',
  'authorization',
];

/** Name, code, message and causes of an error. Other properties stay out: an SDK's error may carry a request with its headers. */
function describeError(error: unknown): object {
  if (!(error instanceof Error)) return { message: String(error) };
  return {
    name: error.name,
    ...(error instanceof CoffreError ? { code: error.code, hint: error.hint } : {}),
    message: error.message,
    stack: error.stack,
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
  };
}

/** Writes to file descriptor 2, synchronously: what was logged before a crash is there after it. */
export function createLogger(level: LogLevel): Logger {
  return pino(
    {
      name: 'coffre',
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError, error: describeError },
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]), censor: '[secret]' },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}

// The log of a command: JSON lines on stderr, made by pino, with anything that may hold a secret taken out.
import { fstatSync } from 'node:fs';
import { type DestinationStream, pino } from 'pino';
import { CoffreError } from '../errors.ts';
import { declaredFields, type LevelLog, type LogLevel } from '../events.ts';

export type Logger = LevelLog;

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

/** What `journalctl -p` and its colours go by (sd-daemon(3)). */
const PRIORITIES: readonly (readonly [atLeast: number, priority: number])[] = [
  [60, 2],
  [50, 3],
  [40, 4],
  [30, 6],
  [0, 7],
];

/** Whether what is written to standard error goes into the journal: systemd says of which device and inode its end is. */
export function writesToJournal(env: Readonly<Record<string, string | undefined>>, fd = 2): boolean {
  const [device, inode] = (env.JOURNAL_STREAM ?? '').split(':');
  if (!device || !inode) return false;
  try {
    const stats = fstatSync(fd, { bigint: true });
    return String(stats.dev) === device && String(stats.ino) === inode;
  } catch {
    return false;
  }
}

/** Puts `<N>` before each line; the journal takes it off again and keeps it as the entry's priority. */
function withPriorities(stream: DestinationStream): DestinationStream {
  const prefixed: DestinationStream & { lastLevel: number } = {
    // pino sets it before each line, because of the mark below
    lastLevel: 30,
    write(line) {
      const [, priority] = PRIORITIES.find(([atLeast]) => this.lastLevel >= atLeast) ?? [0, 7];
      stream.write(`<${priority}>${line}`);
    },
  };
  return Object.assign(prefixed, { [Symbol.for('pino.metadata')]: true });
}

/**
 * Writes to file descriptor 2, synchronously: what was logged before a crash is there after it. Only declared fields get through.
 * `journal`: each line begins with its priority.
 */
export function createLogger(level: LogLevel, { journal = false }: { readonly journal?: boolean } = {}): Logger {
  const stderr = pino.destination({ dest: 2, sync: true });
  return pino(
    {
      name: 'coffre',
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: declaredFields },
      serializers: { err: describeError, error: describeError },
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]), censor: '[secret]' },
    },
    journal ? withPriorities(stderr) : stderr,
  );
}

// What a server's error number means while a database is written.
import { CoffreError, type ErrorCode } from '../../errors.ts';
import { accessCode, asServerError } from './session.ts';

const SPACE_ERRNOS = new Set([1021, 1114]);

/** A message of the server quotes the value that it is about: shop data has no place in a log. */
export function withoutValues(message: string): string {
  return message.replace(/(value: |entry |value )'(?:[^'\\]|\\.|'(?! for ))*'/g, "$1'…'");
}

/** The error for a failed statement; `what` names it without its data. */
export function writeError(error: unknown, what: string): CoffreError {
  if (error instanceof CoffreError) return error;
  const server = asServerError(error);
  const full = SPACE_ERRNOS.has(server.errno) || /No space left|errno: 28\b/i.test(server.message);
  const code: ErrorCode = full ? 'E_TARGET_SPACE' : (accessCode(server.errno) ?? 'E_TARGET_WRITE');
  const hint =
    server.errno === 1419
      ? 'grant SUPER to the target user for the restore, or SET GLOBAL log_bin_trust_function_creators=1 on the target server'
      : server.errno === 1153
        ? 'raise max_allowed_packet on the target server to at least that of the source'
        : code === 'E_DB_PRIVILEGE'
          ? 'give the user in --to-database all rights on the target database: GRANT ALL PRIVILEGES ON … TO …'
          : undefined;
  return new CoffreError(code, `${what}: ${withoutValues(server.message)}`, { cause: server, ...(hint ? { hint } : {}) });
}

/** The beginning of a statement, for messages: the whole head of a definition, never a value of a row. */
export function statementHead(statement: Buffer): string {
  const text = statement.toString('utf8', 0, Math.min(statement.length, 400)).replace(/\s+/g, ' ').trim();
  const insert = /^(?:INSERT|REPLACE) INTO `(?:[^`]|``)*`/i.exec(text);
  return insert ? insert[0] : text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

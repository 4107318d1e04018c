// Names and literals as MariaDB and MySQL read them in any sql_mode that coffre sets.

/** `` `name` ``: the only quoting that holds with and without ANSI_QUOTES. */
export function quoteName(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

/** A database's name as GRANT takes it, where it is a pattern; still to be quoted. */
export function grantPattern(database: string): string {
  return database.replace(/[\\%_]/g, '\\$&');
}

/** `user@host` as CURRENT_USER() gives it, as GRANT takes it. */
export function quoteAccount(account: string): string {
  const at = account.lastIndexOf('@');
  return `${quoteName(account.slice(0, at))}@${quoteName(account.slice(at + 1))}`;
}

const ESCAPES: Readonly<Record<string, string>> = { '\0': '\\0', '\n': '\\n', '\r': '\\r', '\x1a': '\\Z', "'": "\\'", '\\': '\\\\' };

/** A string literal for a session without NO_BACKSLASH_ESCAPES. */
export function quoteText(text: string): string {
  return `'${Array.from(text, (char) => ESCAPES[char] ?? char).join('')}'`;
}

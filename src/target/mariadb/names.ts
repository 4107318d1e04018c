// Names and literals as MariaDB and MySQL read them in any sql_mode that coffre sets.

/** `` `name` ``: the only quoting that holds with and without ANSI_QUOTES. */
export function quoteName(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

const ESCAPES: Readonly<Record<string, string>> = { '\0': '\\0', '\n': '\\n', '\r': '\\r', '\x1a': '\\Z', "'": "\\'", '\\': '\\\\' };

/** A string literal for a session without NO_BACKSLASH_ESCAPES. */
export function quoteText(text: string): string {
  return `'${Array.from(text, (char) => ESCAPES[char] ?? char).join('')}'`;
}

// Takes a database's own name out of definitions, so that they can be made in a database of another name.

/** A string literal, which is left alone, or a column named with database and table. */
const LITERAL_OR_COLUMN = /'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|(`(?:[^`]|``)*`)\.(?=`(?:[^`]|``)*`\.`)|`(?:[^`]|``)*`/g;

/**
 * The server leaves its own database's name out of SHOW CREATE VIEW, but not out of columns when it could not open the view
 * (its definer is gone, tried on 10.11). `create` and `database` are one character per byte.
 */
export function withoutOwnDatabase(create: string, database: string): string {
  const own = `\`${database.replaceAll('`', '``')}\``;
  return create.replace(LITERAL_OR_COLUMN, (all, qualifier?: string) => (qualifier === own ? '' : all));
}

/** A string literal, a name, or a sequence in a function: `nextval(` db . */
const LITERAL_OR_SEQUENCE = /'(?:[^'\\]|\\.|'')*'|\b((?:next|last|set)val\()(`(?:[^`]|``)*`)\.|`(?:[^`]|``)*`/gi;

/** The server names the database of a sequence in a DEFAULT, its own too: a copy would draw from the sequence of the original. */
export function withoutOwnSequences(create: string, database: string): string {
  const own = `\`${database.replaceAll('`', '``')}\``;
  return create.replace(LITERAL_OR_SEQUENCE, (all, call?: string, qualifier?: string) => (call && qualifier === own ? call : all));
}

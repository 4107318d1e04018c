// Whose name a view, trigger, routine or event runs under: finds the DEFINER clause of a statement, leaves it out or names another.
import { CoffreError } from '../../errors.ts';
import { quoteName } from './names.ts';

/** What becomes of definers at a restore. `keep`: as they are, and the restoring user's own where the server allows no other. */
export type DefinerRule = { readonly kind: 'keep' } | { readonly kind: 'strip' } | { readonly kind: 'map'; readonly to: Account };

export interface Account {
  readonly user: string;
  readonly host: string;
}

export const KEEP_DEFINERS: DefinerRule = { kind: 'keep' };

const NAME = '`(?:[^`]|``)*`|"(?:[^"\\\\]|""|\\\\[^])*"|\'(?:[^\'\\\\]|\'\'|\\\\[^])*\'|[\\w$.%\\x80-\\xff-]+';
/** Head of the definition, then the clause: user@host, a role alone, or CURRENT_USER. */
const DEFINER = new RegExp(
  `^(\\s*CREATE\\s+(?:OR\\s+REPLACE\\s+)?(?:ALGORITHM\\s*=\\s*\\w+\\s+)?)DEFINER\\s*=\\s*(CURRENT_(?:USER|ROLE)(?:\\s*\\(\\s*\\))?(?![\\w$@])|(?:${NAME})(?:\\s*@\\s*(?:${NAME}))?)\\s*`,
  'i',
);

/** Only the beginning is looked at: no definer is longer (80 and 255 characters, each at most twice four bytes, and quotes). */
const HEAD_BYTES = 4096;

export interface DefinerClause {
  /** The account as the statement spells it, one character per byte. */
  readonly definer: string;
  /** The statement without the clause. SQL SECURITY stays. */
  readonly without: Buffer;
  /** The statement with another account in the clause. */
  with(account: Account): Buffer;
}

/** The DEFINER clause of a CREATE statement; null when it has none. The statement's bytes may be of any charset that contains ASCII. */
export function findDefiner(statement: Buffer): DefinerClause | null {
  const found = DEFINER.exec(statement.toString('latin1', 0, Math.min(statement.length, HEAD_BYTES)));
  if (!found) return null;
  const [whole, before, definer] = found as unknown as [string, string, string];
  const rest = statement.subarray(whole.length);
  const joined = (middle: string): Buffer => Buffer.concat([Buffer.from(before + middle, 'latin1'), rest]);
  return {
    definer,
    without: joined(''),
    with: ({ user, host }) => joined(`DEFINER=${quoteName(user)}@${quoteName(host)} `),
  };
}

/** The statement as the rule wants it; the same buffer where there is nothing to change. */
export function applyDefiners(statement: Buffer, rule: DefinerRule): Buffer {
  if (rule.kind === 'keep') return statement;
  const clause = findDefiner(statement);
  if (!clause) return statement;
  return rule.kind === 'strip' ? clause.without : clause.with(rule.to);
}

/**
 * Reads `keep`, `strip` or `user@host`. Throws E_USAGE. The account is ASCII: each definition is sent in the character set of its
 * author, which may not be able to spell another.
 */
export function parseDefinerRule(text: string): DefinerRule {
  if (text === 'keep' || text === 'strip') return { kind: text };
  const at = text.lastIndexOf('@');
  const unquote = (part: string): string => /^(['"`])(.*)\1$/s.exec(part)?.[2] ?? part;
  const user = unquote(text.slice(0, Math.max(at, 0)));
  const host = unquote(text.slice(at + 1));
  if (at <= 0 || user === '' || host === '' || user.length > 128 || host.length > 255 || /[^\x20-\x7e]/.test(text)) {
    throw new CoffreError('E_USAGE', `--definers does not take ${JSON.stringify(text)}`, {
      hint: 'keep, strip, or an account: --definers shop@localhost, --definers shop@%',
    });
  }
  return { kind: 'map', to: { user, host } };
}

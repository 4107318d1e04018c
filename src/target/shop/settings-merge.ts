// Which values of a shop's settings file belong to its database and which to its machine, and one file made of both.
import { CoffreError } from '../../errors.ts';
import { COMPUTED, type PhpSettings, type PhpValue, phpSettings } from '../../source/shop/php-settings.ts';

/**
 * How settings are written. `belongs` names what was written together with the rows of the database, and goes where they go:
 *
 * - the prefix of its tables;
 * - the cookie keys: passwords of customers and employees that were set before 1.7 are MD5 of key and password, the identity of an employee's
 *   links (tokens) hangs on them, and modules encrypt what they keep in ps_configuration with `new_cookie_key` (PhpEncryption) or with
 *   the Rijndael pair (1.6, and shops that come from there);
 * - the key pair of the API (9), whose clients stand in the database.
 *
 * All else (host, name, user and password of database, mail and caches) is this machine's. `code` is what belongs to the program files.
 */
export interface SettingsKind {
  readonly belongs: readonly string[];
  readonly code: readonly string[];
  /** undefined: it is no such file, or only PHP could tell. */
  values(settings: PhpSettings): ReadonlyMap<string, PhpValue> | undefined;
  /** Where the literal of a name stands: one group before it, one for itself. */
  place(name: string): RegExp;
}

const LITERAL = `'(?:[^'\\\\]|\\\\[\\s\\S])*'|"(?:[^"\\\\$]|\\\\[\\s\\S])*"|-?\\d+|[Nn][Uu][Ll][Ll]|[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]`;

/** 1.7, 8 and 9. */
export const PARAMETERS: SettingsKind = {
  belongs: [
    'database_prefix',
    'cookie_key',
    'cookie_iv',
    'new_cookie_key',
    '_rijndael_key',
    '_rijndael_iv',
    'api_public_key',
    'api_private_key',
  ],
  code: [],
  values({ returned }) {
    const parameters = returned instanceof Map ? returned.get('parameters') : undefined;
    return parameters instanceof Map ? (parameters as ReadonlyMap<string, PhpValue>) : undefined;
  },
  place: (name) => new RegExp(`((['"])${name}\\2\\s*=>\\s*)(${LITERAL})(?=\\s*[,)\\]])`, 'g'),
};

/** 1.6 and before. The version stands there too, and is that of the files. */
export const CONSTANTS: SettingsKind = {
  belongs: ['_DB_PREFIX_', '_COOKIE_KEY_', '_COOKIE_IV_', '_RIJNDAEL_KEY_', '_RIJNDAEL_IV_'],
  code: ['_PS_VERSION_'],
  values: ({ constants }) => (constants.has('_DB_NAME_') ? constants : undefined),
  place: (name) => new RegExp(`(\\bdefine\\(\\s*(['"])${name}\\2\\s*,\\s*)(${LITERAL})(?=\\s*\\))`, 'g'),
};

export type Merged =
  /** `text`: to be written; `taken`: names whose values came from the archive. */
  | { readonly is: 'kept' | 'merged'; readonly text: Buffer; readonly taken: readonly string[] }
  /** This machine's own cannot be given those values. `differing` null: one of the files only PHP could read. */
  | { readonly is: 'unfit'; readonly differing: readonly string[] | null };

/**
 * This machine's file with those values of the archive's that go with what is restored. Where they are the same it is the machine's, byte for
 * byte. What was written is read again, and has to say exactly that.
 */
export function mergeSettings(
  kind: SettingsKind,
  ours: Buffer,
  archived: Buffer,
  { databaseRestored }: { databaseRestored: boolean },
): Merged {
  const here = valuesOf(kind, ours);
  const there = valuesOf(kind, archived);
  if (here === undefined || there === undefined) return { is: 'unfit', differing: null };
  const names = [...(databaseRestored ? kind.belongs : []), ...kind.code].filter((name) => there.has(name));
  const differing = names.filter((name) => here.get(name) !== there.get(name) || there.get(name) === COMPUTED);
  if (differing.length === 0) return { is: 'kept', text: ours, taken: [] };
  const wanted = new Map(here);
  let text = ours.toString('latin1');
  for (const name of differing) {
    const value = there.get(name);
    if (!isScalar(value)) return { is: 'unfit', differing };
    wanted.set(name, value);
    // a name that stands there twice, or not at all, is not ours to sort out
    if ([...text.matchAll(kind.place(name))].length !== 1) return { is: 'unfit', differing };
    text = text.replace(kind.place(name), (_, before: string) => before + literal(value));
  }
  const written = Buffer.from(text, 'latin1');
  return same(valuesOf(kind, written), wanted) ? { is: 'merged', text: written, taken: differing } : { is: 'unfit', differing };
}

/** Names of `belongs` whose values differ; null: one of the files only PHP could read. */
export function differingKeys(kind: SettingsKind, ours: Buffer, archived: Buffer): readonly string[] | null {
  const here = valuesOf(kind, ours);
  const there = valuesOf(kind, archived);
  if (here === undefined || there === undefined) return null;
  return kind.belongs.filter((name) => (here.get(name) ?? null) !== (there.get(name) ?? null));
}

function valuesOf(kind: SettingsKind, content: Buffer): ReadonlyMap<string, PhpValue> | undefined {
  try {
    return kind.values(phpSettings(content.toString('latin1')));
  } catch (error) {
    if (error instanceof CoffreError && error.code === 'E_FORMAT') return undefined;
    throw error;
  }
}

type Scalar = string | number | boolean | null;

const isScalar = (value: PhpValue | undefined): value is Scalar => value === null || ['string', 'number', 'boolean'].includes(typeof value);

/** As PHP's var_export has it. */
function literal(value: Scalar): string {
  if (value === null) return 'NULL';
  return typeof value === 'string' ? `'${value.replace(/[\\']/g, '\\$&')}'` : String(value);
}

function same(a: ReadonlyMap<string, PhpValue> | undefined, b: ReadonlyMap<string, PhpValue>): boolean {
  if (a === undefined || a.size !== b.size) return false;
  return [...a].every(([name, value]) => {
    const other = b.get(name);
    return value instanceof Map && other instanceof Map ? same(value, other) : value === other;
  });
}

// Reads settings out of a PHP file without running it: what it returns, defines and assigns, as far as that is literal.
import type { PhpToken } from './php-tokens.ts';
import { phpTokens } from './php-tokens.ts';

/** What only PHP itself could tell: a call, a variable, a constant, a value that hangs on a condition. */
export const COMPUTED = Symbol('computed');

/** Strings have one character per byte. */
export type PhpValue = string | number | boolean | null | ReadonlyMap<string, PhpValue> | typeof COMPUTED;

export interface PhpSettings {
  /** The value of the one `return`; undefined: there is none. */
  readonly returned: PhpValue | undefined;
  /** By `define` and top-level `const`. A name that is defined twice with different values is COMPUTED. */
  readonly constants: ReadonlyMap<string, PhpValue>;
  /** Constants of classes, without the class; the first of a name. */
  readonly classConstants: ReadonlyMap<string, PhpValue>;
  /** Top-level variables, `$` left out; one that is assigned twice is COMPUTED. */
  readonly variables: ReadonlyMap<string, PhpValue>;
}

/** Deeper arrays than any shop's are refused: they would only serve to exhaust the stack. */
const DEEPEST = 64;

/** `source` is latin1: one character per byte. Throws E_FORMAT when it cannot be cut into tokens. */
export function phpSettings(source: string): PhpSettings {
  const tokens = phpTokens(source);
  const constants = new Map<string, PhpValue>();
  const classConstants = new Map<string, PhpValue>();
  const variables = new Map<string, PhpValue>();
  const guarded = new Set<string>();
  let returns = 0;
  let returned: PhpValue | undefined;
  let someNameIsComputed = false;
  let depth = 0;
  // What stands before `endif` may hang on its condition.
  const lastEnd = tokens.findLastIndex((token) => token.type === 'name' && /^end(if|switch|for|foreach|while)$/i.test(token.text));

  const isMark = (index: number, text: string): boolean => tokens[index]?.type === 'mark' && tokens[index]?.text === text;
  const isName = (index: number, text: string): boolean =>
    tokens[index]?.type === 'name' && tokens[index]?.text.toLowerCase().replace(/^\\/, '') === text;
  /** Whether the statement that begins here is done whatever happens. */
  const unconditional = (index: number): boolean => {
    const before = isMark(index - 1, '@') ? index - 2 : index - 1;
    return depth === 0 && index > lastEnd && (before < 0 || [';', '}', '{'].some((mark) => isMark(before, mark)));
  };
  const add = (map: Map<string, PhpValue>, name: string, value: PhpValue): void => {
    map.set(name, map.has(name) && map.get(name) !== value ? COMPUTED : value);
  };

  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at] as PhpToken;
    if (token.type === 'mark') {
      if (token.text === '{') depth += 1;
      else if (token.text === '}') depth -= 1;
    } else if (isName(at, 'return')) {
      returns += 1;
      const value = isMark(at + 1, ';') ? null : expression(tokens, at + 1, 0).value;
      returned = returns === 1 && unconditional(at) ? value : COMPUTED;
    } else if (isName(at, 'defined') && isMark(at + 1, '(') && tokens[at + 2]?.type === 'string') {
      guarded.add((tokens[at + 2] as PhpToken).text);
    } else if (
      isName(at, 'define') &&
      isMark(at + 1, '(') &&
      !isMark(at - 1, '->') &&
      !isMark(at - 1, '::') &&
      !isName(at - 1, 'function')
    ) {
      const name = expression(tokens, at + 2, 0);
      if (typeof name.value !== 'string' || !isMark(name.next, ',')) {
        someNameIsComputed = true;
        continue;
      }
      const value = expression(tokens, name.next + 1, 0).value;
      // `if (!defined('X')) define('X', …)` is how a default is written; any other condition is not ours to judge
      add(constants, name.value, unconditional(at) || guarded.has(name.value) ? value : COMPUTED);
    } else if (isName(at, 'const')) {
      const equals = tokens.findIndex((one, index) => index > at && one.type === 'mark' && (one.text === '=' || one.text === ';'));
      const name = tokens[equals - 1];
      if (equals < 0 || !isMark(equals, '=') || name?.type !== 'name') continue;
      const { value } = expression(tokens, equals + 1, 0);
      if (depth === 0) add(constants, name.text, unconditional(at) ? value : COMPUTED);
      else if (!classConstants.has(name.text)) classConstants.set(name.text, value);
    } else if (token.type === 'variable' && depth === 0 && isMark(at + 1, '=')) {
      add(variables, token.text.slice(1), unconditional(at) ? expression(tokens, at + 2, 0).value : COMPUTED);
    }
  }
  // One of these names may be any name, and of two definitions PHP keeps the first.
  if (someNameIsComputed) for (const name of constants.keys()) constants.set(name, COMPUTED);
  return { returned, constants, classConstants, variables };
}

interface Parsed {
  readonly value: PhpValue;
  /** Index of the token behind it. */
  readonly next: number;
}

const ENDS = new Set([',', ';', ')', ']', '=>', '}']);

/** One expression up to the comma, bracket, arrow or semicolon that ends it. */
function expression(tokens: readonly PhpToken[], from: number, depth: number): Parsed {
  const first = operand(tokens, from, depth);
  let value = first?.value ?? null;
  let next = first?.next ?? from;
  let known = first !== null;
  while (known && isEndlessMark(tokens[next], '.')) {
    const more = operand(tokens, next + 1, depth);
    known = more !== null && isText(value) && isText(more.value);
    if (more && known) {
      value = `${value as string}${more.value as string}`;
      next = more.next;
    }
  }
  const end = tokens[next];
  if (known && (end === undefined || (end.type === 'mark' && ENDS.has(end.text)))) return { value, next };
  return { value: COMPUTED, next: endOf(tokens, from) };
}

const isText = (value: PhpValue): boolean => typeof value === 'string';

function isEndlessMark(token: PhpToken | undefined, text: string): boolean {
  return token?.type === 'mark' && token.text === text;
}

/** null: not a literal. */
function operand(tokens: readonly PhpToken[], at: number, depth: number): Parsed | null {
  const token = tokens[at];
  if (token === undefined || depth > DEEPEST) return null;
  const is = (index: number, text: string): boolean => isEndlessMark(tokens[index], text);
  if (token.type === 'string') return { value: token.text, next: at + 1 };
  if (token.type === 'number') return number(token.text, at + 1);
  if (is(at, '-') || is(at, '+')) {
    const behind = tokens[at + 1];
    const parsed = behind?.type === 'number' ? number(behind.text, at + 2) : null;
    return parsed && { value: (parsed.value as number) * (is(at, '-') ? -1 : 1), next: parsed.next };
  }
  if (is(at, '[')) return array(tokens, at + 1, ']', depth + 1);
  if (is(at, '(')) {
    const inner = expression(tokens, at + 1, depth + 1);
    return inner.value !== COMPUTED && is(inner.next, ')') ? { value: inner.value, next: inner.next + 1 } : null;
  }
  if (token.type !== 'name') return null;
  const word = token.text.toLowerCase().replace(/^\\/, '');
  if (word === 'true' || word === 'false') return { value: word === 'true', next: at + 1 };
  if (word === 'null') return { value: null, next: at + 1 };
  return word === 'array' && is(at + 1, '(') ? array(tokens, at + 2, ')', depth + 1) : null;
}

function number(text: string, next: number): Parsed | null {
  const value = /^0[0-7_]+$/.test(text) ? Number.parseInt(text.replaceAll('_', ''), 8) : Number(text.replaceAll('_', ''));
  return Number.isFinite(value) ? { value, next } : null;
}

/** null when a key, or something spread into it, is computed: it could be any key, and the last one wins. */
function array(tokens: readonly PhpToken[], from: number, close: string, depth: number): Parsed | null {
  const entries = new Map<string, PhpValue>();
  let index = 0;
  let at = from;
  for (;;) {
    if (isEndlessMark(tokens[at], close)) return { value: entries, next: at + 1 };
    if (isEndlessMark(tokens[at], '...')) return null;
    const first = expression(tokens, at, depth);
    at = first.next;
    if (isEndlessMark(tokens[at], '=>')) {
      if (typeof first.value !== 'string' && typeof first.value !== 'number') return null;
      const value = expression(tokens, at + 1, depth);
      entries.set(String(first.value), value.value);
      if (typeof first.value === 'number') index = Math.max(index, first.value + 1);
      at = value.next;
    } else {
      entries.set(String(index++), first.value);
    }
    if (isEndlessMark(tokens[at], ',')) at += 1;
    else if (!isEndlessMark(tokens[at], close)) return null;
  }
}

/** Where an expression that is not a literal ends: brackets inside it are passed over. */
function endOf(tokens: readonly PhpToken[], from: number): number {
  let open = 0;
  for (let at = from; at < tokens.length; at++) {
    const token = tokens[at] as PhpToken;
    if (token.type !== 'mark') continue;
    if (open === 0 && ENDS.has(token.text)) return at;
    if (/^[([{]$/.test(token.text)) open += 1;
    else if (/^[)\]}]$/.test(token.text)) open -= 1;
  }
  return tokens.length;
}

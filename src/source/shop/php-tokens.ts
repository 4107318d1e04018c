// Cuts PHP source into tokens: enough of the language to tell a literal from everything else. Nothing is evaluated.
import { CoffreError } from '../../errors.ts';

export interface PhpToken {
  /** `string`: quoted; its value is what PHP would hold, one character per byte. `computed`: text that PHP would work out (interpolation, heredoc, backticks). */
  readonly type: 'string' | 'computed' | 'number' | 'name' | 'variable' | 'mark';
  /** Of a string its value, else the text as written. */
  readonly text: string;
}

/** `//` and `#` comments also end where PHP ends. `#[` begins an attribute, not a comment. */
const BLANK = /(?:\s+|\/\*[\s\S]*?\*\/|(?:\/\/|#(?!\[))(?:(?!\?>)[^\r\n])*)+/y;
const NAME = /\\?[A-Za-z_\x80-\xff][\w\x80-\xff]*(?:\\[A-Za-z_\x80-\xff][\w\x80-\xff]*)*/y;
const VARIABLE = /\$[A-Za-z_\x80-\xff][\w\x80-\xff]*/y;
const NUMBER = /0[xX][\da-fA-F_]+|0[bB][01_]+|(?:\d[\d_]*)?\.?\d[\d_]*\.?(?:[eE][+-]?\d+)?/y;
const MARK = /=>|->|::|\?\?=?|\|\||&&|[=!<>]==?|<=>|\.\.\.|\.=|[^\s]/y;
const HEREDOC = /<<<[ \t]*(?:"([A-Za-z_]\w*)"|'([A-Za-z_]\w*)'|([A-Za-z_]\w*))\r?\n/y;

/** The longest configuration seen has a tenth of this. What is hostile must not keep the daemon busy. */
const MOST_TOKENS = 20_000;

/**
 * Tokens of `source` (latin1: one character per byte), inline HTML left out. Throws E_FORMAT when a string or a comment has no end, or when there
 * are more than any configuration has.
 */
export function phpTokens(source: string): PhpToken[] {
  const tokens: PhpToken[] = [];
  let at = 0;
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(source);
    if (found) at += found[0].length;
    return found;
  };
  while (at < source.length) {
    const open = /<\?(?:php(?=\s|$)|=|(?!php|xml))/gi;
    open.lastIndex = at;
    const start = open.exec(source);
    if (!start) break;
    at = open.lastIndex;
    // what stands between two pieces of PHP is printed: a statement of its own
    tokens.push({ type: 'mark', text: ';' });
    while (at < source.length) {
      if (match(BLANK)) continue;
      if (tokens.length > MOST_TOKENS) throw new CoffreError('E_FORMAT', 'php: longer than any configuration');
      if (source.startsWith('?>', at)) {
        at += 2;
        break;
      }
      if (source.startsWith('/*', at)) throw unfinished('a comment');
      const first = source[at] as string;
      if (first === "'") tokens.push(singleQuoted());
      else if (first === '"') tokens.push(doubleQuoted());
      else if (first === '`') tokens.push(backticks());
      else {
        const heredoc = match(HEREDOC);
        if (heredoc) {
          tokens.push(skipHeredoc((heredoc[1] ?? heredoc[2] ?? heredoc[3]) as string));
          continue;
        }
        const [type, found] = nextWord();
        if (type === 'name' && found.toLowerCase() === '__halt_compiler') return tokens;
        tokens.push({ type, text: found });
      }
    }
    tokens.push({ type: 'mark', text: ';' });
  }
  return tokens;

  function nextWord(): ['name' | 'variable' | 'number' | 'mark', string] {
    const variable = match(VARIABLE);
    if (variable) return ['variable', variable[0]];
    const name = match(NAME);
    if (name) return ['name', name[0]];
    const number = /[\d.]/.test(source[at] as string) ? match(NUMBER) : null;
    if (number) return ['number', number[0]];
    return ['mark', (match(MARK) as RegExpExecArray)[0]];
  }

  function singleQuoted(): PhpToken {
    const found = match(/'((?:[^'\\]|\\[\s\S])*)'/y);
    if (!found) throw unfinished('a string');
    return { type: 'string', text: (found[1] as string).replace(/\\(['\\])/g, '$1') };
  }

  function doubleQuoted(): PhpToken {
    const found = match(/"((?:[^"\\]|\\[\s\S])*)"/y);
    if (!found) throw unfinished('a string');
    const text = found[1] as string;
    return interpolates(text) ? { type: 'computed', text: '' } : { type: 'string', text: unescaped(text) };
  }

  function backticks(): PhpToken {
    if (!match(/`(?:[^`\\]|\\[\s\S])*`/y)) throw unfinished('a command');
    return { type: 'computed', text: '' };
  }

  function skipHeredoc(label: string): PhpToken {
    const end = new RegExp(`^[ \\t]*${label}(?![\\w\\x80-\\xff])`, 'gm');
    end.lastIndex = at;
    if (!end.exec(source)) throw unfinished('a heredoc');
    at = end.lastIndex;
    return { type: 'computed', text: '' };
  }
}

/** Whether a double-quoted text holds a variable. `$` before anything but a name is itself. */
function interpolates(text: string): boolean {
  return /^(?:[^\\]|\\[\s\S])*?(?:\$[A-Za-z_\x80-\xff{]|\{\$)/.test(text);
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  v: '\v',
  e: '\x1b',
  f: '\f',
  '\\': '\\',
  $: '$',
  '"': '"',
};

function unescaped(text: string): string {
  return text.replace(/\\(?:([0-7]{1,3})|x([\dA-Fa-f]{1,2})|u\{([\dA-Fa-f]+)\}|([\s\S]))/g, (whole, octal, hex, point, other) => {
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 0xff);
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    if (point !== undefined) {
      const code = Number.parseInt(point, 16);
      if (code > 0x10ffff) throw new CoffreError('E_FORMAT', 'php: a code point that does not exist');
      return Buffer.from(String.fromCodePoint(code), 'utf8').toString('latin1');
    }
    return ESCAPES[other as string] ?? whole;
  });
}

const unfinished = (what: string): CoffreError => new CoffreError('E_FORMAT', `php: ${what} has no end`);

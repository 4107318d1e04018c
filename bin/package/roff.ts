// Text as troff wants it: every character printed as it is, `code` in bold.

/** One line or paragraph of running text. */
export function running(text: string): string {
  return guard(
    text
      .replaceAll(/\s+/g, ' ')
      .trim()
      .split(/(`[^`]+`)/)
      .map((piece) => (/^`.+`$/.test(piece) ? bold(piece.slice(1, -1)) : characters(piece)))
      .join(''),
  );
}

export const bold = (text: string): string => `\\fB${characters(text)}\\fR`;
export const italic = (text: string): string => `\\fI${characters(text)}\\fR`;

/** Lines that stay as they are, in a typewriter's letters where there are some. */
export function example(text: string): string {
  const lines = text.replace(/^\n+|\n+$/g, '').split('\n');
  return ['.EX', ...lines.map((line) => guard(characters(line))), '.EE'].join('\n');
}

/** A term and what is said of it. */
export const tagged = (term: string, text: string): string => `.TP\n${guard(term)}\n${text}`;

const SPECIAL: Readonly<Record<string, string>> = {
  '\\': '\\e',
  '-': '\\-',
  "'": '\\(aq',
  '`': '\\(ga',
  '^': '\\(ha',
  '~': '\\(ti',
  '’': '\\(cq',
  '…': '.\\|.\\|.',
};

/** Quotes, dashes and accents would become typographic ones, which nobody can paste into a shell. */
function characters(text: string): string {
  const escaped = (piece: string): string =>
    piece.replaceAll(/[\\'`^~’…-]|[^ -~]/gu, (char) => {
      return SPECIAL[char] ?? `\\[u${char.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')}]`;
    });
  // a word as long as a key may be broken anywhere, without a hyphen
  return text.replaceAll(/\S+/g, (word) => (word.length > 40 ? (word.match(/.{1,10}/gu) ?? []).map(escaped).join('\\:') : escaped(word)));
}

/** A dot or an apostrophe at the beginning of a line would be a request. */
const guard = (line: string): string => (/^[.']/.test(line) ? `\\&${line}` : line);

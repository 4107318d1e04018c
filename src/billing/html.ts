// HTML from templates in which everything that is put in is text, unless it is HTML itself.

const MARK = Symbol('html');

export interface Html {
  readonly [MARK]: true;
  readonly text: string;
}

type Part = Html | string | number | null | readonly Html[];

const isHtml = (part: unknown): part is Html => typeof part === 'object' && part !== null && MARK in part;

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** null is nothing. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  const shown = parts.map((part) => {
    if (part === null) return '';
    if (isHtml(part)) return part.text;
    if (typeof part === 'object') return part.map(({ text }) => text).join('');
    return String(part).replace(/[&<>"']/g, (char) => ESCAPES[char] ?? char);
  });
  return { [MARK]: true, text: strings.map((text, at) => text + (shown[at] ?? '')).join('') };
}

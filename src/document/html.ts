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

/** Our own text, in which nothing is put: styles. */
export const rawHtml = (text: string): Html => ({ [MARK]: true, text });

/** A page that needs nothing else: nothing is fetched, nothing is run. */
export function htmlPage({
  body,
  language,
  style,
  title,
}: {
  readonly language: string;
  readonly title: string;
  readonly style: string;
  readonly body: Html;
}): string {
  return html`<!DOCTYPE html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>${rawHtml(style)}</style>
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`.text;
}

// coffre.yaml(5): every key of the configuration, made of the commented example file.
import { isMap, isNode, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';
import { type Page, PLAIN } from './man-page.ts';
import { bold, example, italic, running, tagged } from './roff.ts';

/** `commented` is config/coffre.example.yaml, `short` a small configuration that is shown whole. */
export function configPage(page: Page, commented: string, short: string): string {
  // keys that the example leaves out (`# tls: { … }`) belong on the page like the others
  const reference = commented.replace(/^( *)# ([a-z]\w*: [{[])/gm, '$1$2');
  const document = parseDocument(reference);
  if (!isMap(document.contents)) throw new TypeError('the example configuration is no mapping');
  // the file's own comment and that of its first key are one text to the parser; an empty line parts them
  const opening = [document.commentBefore ?? '', above(document.contents)].join('\n\n').trimStart();
  const parted = opening.lastIndexOf('\n\n');
  // its first line says what the file is: the page does that itself
  const introduction = opening.slice(0, Math.max(parted, 0)).split('\n').slice(1).join('\n');
  const ofFirstKey = opening.slice(parted + 1);
  return `${[
    `.TH COFFRE.YAML 5 "${page.date}" "coffre ${page.version}" "File Formats"`,
    PLAIN,
    '.SH NAME',
    'coffre.yaml \\- configuration of the backup daemon coffre',
    '.SH SYNOPSIS',
    italic('/etc/coffre/coffre.yaml'),
    '.SH DESCRIPTION',
    running('YAML. A wrong key or value is refused with its line, the value and what is allowed; `coffre doctor` tries all that it names.'),
    ...paragraphs(introduction),
    '.SH KEYS',
    ...keys(reference, document.contents, ofFirstKey),
    '.SH EXAMPLE',
    example(short),
    '.SH SEE ALSO',
    '\\fBcoffre\\fR(1)',
  ].join('\n')}\n`;
}

/** The comment of the first key, which the parser may give to the mapping. */
function above(map: YAMLMap): string {
  const first = map.items[0]?.key;
  return map.commentBefore ?? (isScalar(first) ? first.commentBefore : null) ?? '';
}

function keys(reference: string, map: YAMLMap, ofFirstKey: string): string[] {
  return map.items.flatMap((pair, at) => {
    const { key, value } = pair as Pair;
    if (!isScalar(key)) throw new TypeError('a key of the example configuration is no word');
    const said = paragraphs((at === 0 ? ofFirstKey : key.commentBefore) ?? '');
    // the first paragraph stands beside the key
    const [first = '', ...more] = said[0] === '.PP' ? said.slice(1) : ['', ...said];
    const nested = isMap(value) && !value.flow ? ['.RS', ...keys(reference, value, above(value)), '.RE'] : [];
    const shown = nested.length > 0 || value === null ? '' : ` ${written(reference, value)}`;
    return [tagged(`${bold(`${key.value}:`)}${shown}`, first), ...more.map((line) => (line === '.PP' ? '.IP' : line)), ...nested];
  });
}

/** A value as the file has it, quotes and brackets included. */
function written(reference: string, value: unknown): string {
  if (!isNode(value) || !value.range) return '';
  return running(reference.slice(value.range[0], value.range[1]));
}

/** A comment's paragraphs, parted by empty lines. Lines that are set in further are an example. */
function paragraphs(comment: string): string[] {
  const found: { readonly example: boolean; readonly lines: string[] }[] = [];
  let open = false;
  for (const line of comment.split('\n')) {
    const deep = /^ {2,}\S/.test(line);
    if (line.trim() !== '') {
      const last = found.at(-1);
      if (open && last?.example === deep) last.lines.push(line);
      else found.push({ example: deep, lines: [line] });
    }
    open = line.trim() !== '';
  }
  return found.flatMap(({ example: verbatim, lines }) => ['.PP', verbatim ? example(lines.join('\n')) : running(lines.join(' '))]);
}

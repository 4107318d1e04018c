// Names on a terminal: as text rather than bytes, without anything that moves a cursor, and no wider than there is room.
import { printable } from './output.ts';

/** Marks that turn the direction of text, and those without width that hide: they would garble the rest of the line. */
const INVISIBLE = /[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\uffff]/g;

/** A path as the file system has it (one character a byte) becomes text where its bytes are UTF-8; other names stay. All printable. */
export function displayPath(name: string): string {
  let text = name;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all that a byte can be
  if (/[\u0080-\u00ff]/.test(name) && /^[\u0000-\u00ff]*$/.test(name)) {
    try {
      text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(name, 'latin1'));
    } catch {
      // not UTF-8: each byte as its own character
    }
  }
  return printable(text).toWellFormed().replace(INVISIBLE, '?');
}

/** Columns that `text` takes at most: beyond the Western alphabets every character counts two, which none exceeds. */
export function textWidth(text: string): number {
  let width = 0;
  for (const char of text) width += wide(char) ? 2 : 1;
  return width;
}

/** `text` within `columns`, its end rather than its beginning where it is too long: `…/1/2/12-home.jpg`. */
export function shorten(text: string, columns: number): string {
  if (textWidth(text) <= columns) return text;
  const kept: string[] = [];
  let width = 1;
  for (const char of [...text].reverse()) {
    width += wide(char) ? 2 : 1;
    if (width > columns) break;
    kept.push(char);
  }
  return columns < 1 ? '' : `…${kept.reverse().join('')}`;
}

const wide = (char: string): boolean => (char.codePointAt(0) as number) >= 0x1100 && char !== '…';

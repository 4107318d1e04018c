// Tables as CSV by RFC 4180: CRLF, quotes only where they are needed.

import type { Language } from './wording.ts';

export type Separator = ',' | ';';

/** What spreadsheets of a language expect: where the comma stands in decimals it separates no cells. */
export const separatorOf = (language: Language): Separator => (language === 'fr' ? ';' : ',');

/** A text that people wrote: a spreadsheet must not take it for a formula. */
export const freeText = (text: string): string => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);

/** The first row is the header. Empty cells for null. */
export function csvOf(rows: readonly (readonly (string | null)[])[], separator: Separator = ','): string {
  const cell = (text: string | null): string => {
    if (text === null) return '';
    return text.includes(separator) || /["\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => `${row.map(cell).join(separator)}\r\n`).join('');
}

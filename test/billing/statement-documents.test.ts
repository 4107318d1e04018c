// Statements on paper and in spreadsheets. Looked at as pages by a person; here: that they say what they must, and nothing runs in them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { statementsCsv } from '../../src/billing/statement-csv.ts';
import { statementsHtml } from '../../src/billing/statement-html.ts';
import type { Statement } from '../../src/billing/statement-schema.ts';
import { day, money, monthsText, number, periodText, volume } from '../../src/billing/statement-words.ts';

const golden = (name: string): Statement => JSON.parse(readFileSync(join(import.meta.dirname, 'golden', `${name}.json`), 'utf8'));
const NARROW = '\u202f';
const WIDE = '\u00a0';

test('French and English - numbers, money, days, periods', () => {
  expect([money('1234567.5', 'EUR', 'fr'), money('1234567.5', 'EUR', 'en')]).toEqual([
    `1${NARROW}234${NARROW}567,50${WIDE}€`,
    '€1,234,567.50',
  ]);
  expect([money('-23.4457', 'EUR', 'fr'), money('1000', 'JPY', 'en', 0)]).toEqual([`\u221223,4457${WIDE}€`, 'JP¥1,000']);
  // beyond what doubles hold
  expect(number('9007199254740993.10', 'fr')).toBe(`9${NARROW}007${NARROW}199${NARROW}254${NARROW}740${NARROW}993,10`);
  expect([volume(1_200_000_000_001, 'fr'), volume(0, 'en'), volume(5e11, 'en')]).toEqual([
    `1,200000000001${WIDE}To`,
    `0${WIDE}TB`,
    `0.5${WIDE}TB`,
  ]);
  expect([day('2026-04-01', 'fr'), day('2026-04-11', 'fr'), day('2026-04-01', 'en')]).toEqual([
    '1er avril 2026',
    '11 avril 2026',
    '1 April 2026',
  ]);
  const quarter = { from: '2026-04-01', to: '2026-06-30' };
  expect([periodText(quarter, 'fr'), periodText(quarter, 'en')]).toEqual([
    'du 1er avril 2026 au 30 juin 2026',
    '1 April 2026 to 30 June 2026',
  ]);
  expect([periodText({ from: '2026-08-01', to: '2026-08-31' }, 'fr'), periodText({ from: '2026-01-01', to: '2026-12-31' }, 'en')]).toEqual([
    'août 2026',
    '2026',
  ]);
  expect([monthsText({ numerator: 61, denominator: 30 }), monthsText({ numerator: 29, denominator: 30 })]).toEqual(['2 + 1/30', '29/30']);
});

/** A reader of RFC 4180 that knows nothing else. */
function readCsv(text: string, separator = ','): string[][] {
  const rows: string[][] = [[]];
  let cell = '';
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (quoted) {
      if (char !== '"') cell += char;
      else if (text[i + 1] === '"') cell += text[++i];
      else quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === separator || (char === '\r' && text[i + 1] === '\n')) {
      rows.at(-1)?.push(cell);
      cell = '';
      if (char === '\r') {
        rows.push([]);
        i++;
      }
    } else cell += char;
  }
  expect([rows.pop(), cell, quoted]).toEqual([[], '', false]);
  return rows;
}

test.each([
  ['fr', ','],
  ['fr', ';'],
  ['en', ','],
] as const)('CSV in %s with %s - every row has every column, amounts add up', (lang, separator) => {
  const statement = golden('anniversary-in-a-quarter');
  const [head = [], ...rows] = readCsv(statementsCsv([statement], lang, separator), separator);
  for (const row of rows) expect(row).toHaveLength(head.length);
  const cents = (row: readonly string[]): number => {
    const text = row[head.indexOf('amount')] ?? '';
    expect(text).toMatch(lang === 'fr' ? /^-?\d+,\d\d$/ : /^-?\d+\.\d\d$/);
    return Number(text.replace(/[,.]/, ''));
  };
  const sum = (...kinds: string[]): number =>
    rows.filter((row) => kinds.includes(row[head.indexOf('row')] ?? '')).reduce((total, row) => total + cents(row), 0);
  expect([sum('subscribed', 'variable', 'correction'), sum('shop', 'unassigned'), sum('tax')]).toEqual([20829, 20829, 4166]);
});

test('a reason with quotes, commas, lines, a formula - stays one cell of text', () => {
  const statement = golden('correction-in-month-6');
  const reason = '=HYPERLINK("x"),\r\nrémise';
  const lines = statement.lines.map((line) => (line.kind === 'correction' ? { ...line, reason } : line));
  const [head = [], ...rows] = readCsv(statementsCsv([{ ...statement, lines }], 'fr'));
  expect(rows.map((row) => row[head.indexOf('reason')])).toContain(`'${reason}`);
});

test('a page - nothing of what people wrote is more than text, and nothing is loaded', () => {
  const statement = golden('correction-in-month-6');
  const nasty = '<script>alert(1)</script>"&\'';
  const lines = statement.lines.map((line) => (line.kind === 'correction' ? { ...line, reason: nasty, shop: nasty } : line));
  const page = statementsHtml([{ ...statement, title: nasty, lines, hash: 'f'.repeat(64) }], 'fr');
  expect(page).not.toMatch(/<script|src=|href=|url\(|@import/);
  expect(page.split('&lt;script&gt;').length - 1).toBe(3);
  expect(page).toContain('<html lang="fr">');
});

test('the French page says it as a French person would write it', () => {
  const page = statementsHtml([golden('anniversary-in-a-quarter'), golden('peak-0')], 'fr');
  for (const said of [
    'Brouillon, non émis',
    'Période\u00a0: du 1er avril 2026 au 30 juin 2026',
    `2${NARROW}500${NARROW}000${NARROW}000${NARROW}000 octets`,
    `TVA 20${NARROW}%`,
    `P = P0 × S / S0 = 23,00${WIDE}€ × 305,1 / 299,3 = 23,4457${WIDE}€`,
    'à compter du 2 juin 2026, indice en vigueur depuis le 29 mai 2026',
    `249,95${WIDE}€`,
    'Répartition entre les boutiques',
  ]) {
    expect(page).toContain(said);
  }
  // no sign stands after a plain space that belongs after a narrow one
  expect(page.replace(/<style>[\s\S]*?<\/style>/, '').replace(/<[^>]*>/g, ' ')).not.toMatch(/[^\s] [;!?%]/);
  expect(page.match(/<article>/g)).toHaveLength(2);
});

test('a page of corrections - no period of its own, no volume that was not measured, divided as what it corrects; one octet is one', () => {
  const { lines, ...statement } = golden('correction-in-month-6');
  const own = { ...statement, kind: 'correction' as const, measured: null, lines: lines.filter(({ kind }) => kind === 'correction') };
  const page = statementsHtml([own], 'fr').replace(/<style>[\s\S]*?<\/style>/, '');
  expect(page).toContain('comme sur le relevé rectifié');
  expect(page).not.toMatch(/Période\u00a0:|au prorata de l|octets<\/td>/);
  const empty = statementsHtml([golden('peak-0')], 'fr');
  expect(empty).toContain('(0 octet)');
  expect(empty).toContain('<th>Période</th>');
  expect(empty).toContain('Un mois au cours duquel le prix change est compté au prorata des jours.');
});

test('an index that nobody entered is said on the page', () => {
  const statement = { ...golden('peak-0'), notices: [{ code: 'index-unknown' as const, day: '2026-06-02' }] };
  expect(statementsHtml([statement], 'fr')).toContain('L’indice applicable au 2 juin 2026 n’est pas renseigné');
  expect(statementsHtml([statement], 'en')).toContain('The index that applies on 2 June 2026 is not known');
});

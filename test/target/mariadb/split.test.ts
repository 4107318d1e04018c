// Statements come out of SQL text as the mariadb client sees them, wherever the text is cut.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StatementSplitter } from '../../../src/target/mariadb/split.ts';

function split(text: string | Buffer, pieceBytes = 1e9, backslashEscapes = true): string[] {
  const splitter = new StatementSplitter();
  splitter.backslashEscapes = backslashEscapes;
  const bytes = Buffer.from(text);
  const statements: string[] = [];
  const drain = (last: boolean): void => {
    for (let next = splitter.next(last); next; next = splitter.next(last)) statements.push(next.toString());
  };
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    splitter.push(bytes.subarray(at, at + pieceBytes));
    drain(false);
  }
  drain(true);
  return statements;
}

const cases: readonly (readonly [string, string, readonly string[]])[] = [
  ['statements, blanks, nothing', 'a;\n b ;;\n;c', ['a', 'b ', 'c']],
  ['no text', '', []],
  ['only comments', '-- x\n/* y */ # z', []],
  ['delimiters in quotes', `a ';' ";" \`;\`;b`, [`a ';' ";" \`;\``, 'b']],
  ['doubled and escaped quotes', `a 'it''s;' '\\';' "\\";" \`\\\`;b`, [`a 'it''s;' '\\';' "\\";" \`\\\``, 'b']],
  [
    'comments before a statement go, within it they stay',
    '-- ;\n/* ; */ a /* ; */ b -- ;\n c # ;\n d; e',
    ['a /* ; */ b -- ;\n c # ;\n d', 'e'],
  ],
  ['two dashes without a blank are no comment', 'a --1;b', ['a --1', 'b']],
  ['quotes in comments', "a -- it's\n; b /* it's */; c # '\n;", ["a -- it's\n", "b /* it's */", "c # '\n"]],
  ['executable comments are code', "/*!40101 SET a=';' */; /*M!100100 b; */; c", ["/*!40101 SET a=';' */", '/*M!100100 b; */', 'c']],
  ['a comment within an executable one', '/*! a /* ; */ b; */; c', ['/*! a /* ; */ b; */', 'c']],
  ['DELIMITER', 'a; DELIMITER ;;\nb; c;;\ndelimiter $$ \nd;;$$\nDELIMITER ;\ne;f', ['a', 'b; c', 'd;;', 'e', 'f']],
  ['DELIMITER after a comment, before the end', '-- x\nDELIMITER //\na//\nDELIMITER ;', ['a']],
  ['a word that begins like DELIMITER', 'delimit;deletes from x;d', ['delimit', 'deletes from x', 'd']],
  ['division and multiplication', 'a / b * c */ d - e', ['a / b * c */ d - e']],
  ['a routine', "DELIMITER ;;\nCREATE x BEGIN SELECT ';;'; /* ;; */ END;;\nDELIMITER ;\n", ["CREATE x BEGIN SELECT ';;'; /* ;; */ END"]],
];

describe.each([1, 2, 3, 5, 1e9])('in pieces of %d bytes', (pieceBytes) => {
  test.each(cases)('%s', (_, text, expected) => {
    expect(split(text, pieceBytes)).toEqual(expected);
  });

  test('NO_BACKSLASH_ESCAPES: a backslash does not hide a quote', () => {
    expect(split("a '\\'; b", pieceBytes, false)).toEqual(["a '\\'", 'b']);
  });
});

test('any text gives the same statements however it is cut', () => {
  const word = fc.constantFrom(
    ';',
    ';;',
    "'",
    '"',
    '`',
    '\\',
    '-- ',
    '#',
    '\n',
    '/*',
    '*/',
    '/*!',
    '/*M!',
    'DELIMITER ',
    'delimiter ;;\n',
    'a',
    ' ',
    'é',
    '\0',
    '$$',
    '--',
    '/',
    '*',
  );
  const outcome = (text: string, pieceBytes: number): string[] | string => {
    try {
      return split(text, pieceBytes);
    } catch (error) {
      return (error as Error).message;
    }
  };
  fc.assert(
    fc.property(fc.array(word, { maxLength: 30 }), fc.integer({ min: 1, max: 9 }), (words, pieceBytes) => {
      expect(outcome(words.join(''), pieceBytes)).toEqual(outcome(words.join(''), 1e9));
    }),
    { numRuns: 2000 },
  );
});

test('a statement much longer than the first buffer', () => {
  const long = `INSERT '${'x'.repeat(3_000_000)}'`;
  expect(split(`${long};b`, 65_537)).toEqual([long, 'b']);
});

test('text that ends within a string or an executable comment: E_FORMAT', () => {
  for (const text of ["a 'b", 'a "b;', 'a `b', '/*! a', "a 'b\\"])
    expect(() => split(text, 2)).toThrow(expect.objectContaining({ code: 'E_FORMAT' }));
});

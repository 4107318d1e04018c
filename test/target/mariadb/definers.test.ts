// The DEFINER clause is found and changed, and nothing else of a statement is.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { applyDefiners, findDefiner, parseDefinerRule } from '../../../src/target/mariadb/definers.ts';

const strip = (text: string): string => applyDefiners(Buffer.from(text), { kind: 'strip' }).toString();
const map = (text: string, user = 'shop', host = '%'): string =>
  applyDefiners(Buffer.from(text), { kind: 'map', to: { user, host } }).toString();

const heads = fc.constantFrom(
  'CREATE ',
  'CREATE OR REPLACE ',
  'create  or\nreplace ',
  'CREATE ALGORITHM=MERGE ',
  'CREATE OR REPLACE ALGORITHM = TEMPTABLE ',
);
const bodies = fc
  .tuple(
    fc.constantFrom(
      'SQL SECURITY INVOKER VIEW `v` AS select ',
      'TRIGGER `t` BEFORE INSERT ON `x` FOR EACH ROW SET @a=',
      'PROCEDURE `p`()\nSELECT ',
      'FUNCTION `f`() RETURNS int RETURN ',
      'EVENT `e` ON SCHEDULE EVERY 1 DAY DO SELECT ',
      'PACKAGE BODY `b` AS x ',
    ),
    fc.oneof(fc.string(), fc.constantFrom("'DEFINER=`a`@`b` '", '"CREATE DEFINER=`a`@`b` VIEW"', '/* DEFINER=x */ 1', 'é')),
  )
  .map((parts) => parts.join(''));
const quoted = (quote: string) =>
  fc.string({ unit: 'grapheme', maxLength: 20 }).map((name) => {
    const plain = quote === '`' ? name : name.replaceAll('\\', '\\\\');
    return `${quote}${plain.replaceAll(quote, quote + quote)}${quote}`;
  });
const part = fc.oneof(quoted('`'), quoted("'"), quoted('"'), fc.stringMatching(/^[a-z0-9_]{1,8}$/));
const definers = fc.oneof(
  fc.tuple(part, fc.oneof(part, fc.constantFrom('`%`', '`10.0.0.%`', 'localhost'))).map((pair) => pair.join('@')),
  part,
  fc.constantFrom('CURRENT_USER', 'current_user()', 'CURRENT_ROLE', 'CURRENT_USER( )'),
);
const equals = fc.constantFrom('=', ' = ', '=\n');

test('any definer in any definition: stripped and mapped, the rest byte for byte', () => {
  fc.assert(
    fc.property(heads, equals, definers, bodies, (head, sign, definer, body) => {
      const statement = `${head}DEFINER${sign}${definer} ${body}`;
      expect(findDefiner(Buffer.from(statement))?.definer).toBe(Buffer.from(definer).toString('latin1'));
      expect(strip(statement)).toBe(`${head}${body.trimStart()}`);
      expect(map(statement)).toBe(`${head}DEFINER=\`shop\`@\`%\` ${body.trimStart()}`);
      // what was mapped can be mapped again, and back
      expect(map(map(statement), 'o`d', 'x')).toBe(map(statement, 'o`d', 'x'));
      expect(strip(map(statement))).toBe(strip(statement));
    }),
  );
});

test('a definition without a definer, or text that only speaks of one: the very same bytes', () => {
  fc.assert(
    fc.property(heads, bodies, (head, body) => {
      const statement = Buffer.from(head + body);
      expect(applyDefiners(statement, { kind: 'strip' })).toBe(statement);
    }),
  );
  for (const text of [
    "INSERT INTO t VALUES ('CREATE DEFINER=`a`@`b` VIEW v')",
    'ALTER DEFINER=`a`@`b` VIEW v AS select 1',
    'DROP VIEW v',
  ]) {
    expect(findDefiner(Buffer.from(text))).toBeNull();
  }
});

test('any bytes: found or not, nothing is thrown, keep changes nothing', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const statement = Buffer.concat([Buffer.from('CREATE DEFINER='), bytes]);
      findDefiner(statement);
      expect(applyDefiners(statement, { kind: 'keep' })).toBe(statement);
    }),
  );
});

test('bytes of another character set stay as they are', () => {
  const statement = Buffer.from("CREATE DEFINER=`ren\xe9`@`%` VIEW `caf\xe9` AS select '\xff' AS `\x80`", 'latin1');
  expect(applyDefiners(statement, { kind: 'strip' }).toString('latin1')).toBe("CREATE VIEW `caf\xe9` AS select '\xff' AS `\x80`");
});

describe('--definers', () => {
  test.each([
    ['keep', { kind: 'keep' }],
    ['strip', { kind: 'strip' }],
    ['shop@localhost', { kind: 'map', to: { user: 'shop', host: 'localhost' } }],
    ['shop@%', { kind: 'map', to: { user: 'shop', host: '%' } }],
    ["'shop'@'10.0.%'", { kind: 'map', to: { user: 'shop', host: '10.0.%' } }],
    ['a@b@::1', { kind: 'map', to: { user: 'a@b', host: '::1' } }],
  ])('%s', (text, rule) => {
    expect(parseDefinerRule(text)).toEqual(rule);
  });
  test.each(['', 'shop', '@', 'shop@', '@localhost', 'ren\u00e9@localhost', 'a\n@b'])('%j: E_USAGE', (text) => {
    expect(() => parseDefinerRule(text)).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });
});

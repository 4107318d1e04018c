// The LOAD DATA statement and its reader are mirrors, for any names.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { buildLoadStatement, parseLoadStatement } from '../../../src/target/mariadb/load-statement.ts';

const name = fc.oneof(
  fc.string({ minLength: 1, unit: 'grapheme' }),
  fc.constantFrom('`', '``', '@v0', ') SET `x`=', "a'b", 'é', '\n', ','),
);
const table = fc.record({
  table: name,
  columns: fc.array(fc.record({ name, form: fc.constantFrom('text' as const, 'hex' as const) }), { minLength: 1, maxLength: 6 }),
});

test('what was built is read back', () => {
  fc.assert(
    fc.property(table, (value) => {
      expect(parseLoadStatement(buildLoadStatement(value))).toEqual(value);
    }),
  );
});

test('anything else is refused: E_FORMAT', () => {
  const good = buildLoadStatement({
    table: 't',
    columns: [
      { name: 'a', form: 'hex' },
      { name: 'b', form: 'text' },
    ],
  });
  const bad = [
    good.slice(0, -1),
    `${good} `,
    good.replace('UNHEX', 'LOAD_FILE'),
    good.replace('LOCAL ', ''),
    good.replace('@v0)', '@v1)'),
    good.replace('utf8mb4', 'latin1'),
    '',
  ];
  for (const statement of bad) expect(() => parseLoadStatement(statement)).toThrow(expect.objectContaining({ code: 'E_FORMAT' }));
});

// Views are put behind those they are made from.
import { describe, expect, test } from 'vitest';
import { orderViews } from '../../../src/source/mariadb/view-order.ts';

describe('order of views', () => {
  const view = (name: string, from: string) => ({ name, create: `CREATE VIEW \`${name}\` AS select 1 AS \`c\` from ${from}` });

  test('a view comes after those it reads, however it names them', () => {
    const views = [
      view('a', '(`b` `x` join `db`.`c` on(1)) where exists(select 1 from `d`)'),
      view('b', '`c`'),
      view('c', '((`t` left join `u` on(1)) join `e``e` on(1))'),
      view('d', '`t`'),
      view('e`e', '`t`'),
    ];
    expect(orderViews(views).map(({ name }) => name)).toEqual(['e`e', 'c', 'b', 'd', 'a']);
  });

  test('names that look like a circle: each view once', () => {
    expect(orderViews([view('a', '`b`'), view('b', '`a`')]).map(({ name }) => name)).toEqual(['b', 'a']);
  });
});

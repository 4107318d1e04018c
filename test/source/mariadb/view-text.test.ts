// A database's own name is taken out of its views' columns and its tables' sequences, and out of nothing else.
import { expect, test } from 'vitest';
import { withoutOwnDatabase, withoutOwnSequences } from '../../../src/source/mariadb/view-text.ts';

test.each([
  ['select `shop`.`t`.`id` AS `id`,`f`(`shop`.`t`.`id`) from `t`', 'select `t`.`id` AS `id`,`f`(`t`.`id`) from `t`'],
  ["select '`shop`.`t`.`id`',\"`shop`.`t`.`id`\",'it\\'s `shop`.`t`.`id`','a''`shop`.`t`.`id`'", null],
  ['select `other`.`t`.`id`,`shop`.`id`,`x``shop`.`t`.`id` from `other`.`t` join `u` `shop`', null],
  ['select `shop`.`a``b`.`c.d` AS `shop`.`x` from `a``b`', 'select `a``b`.`c.d` AS `shop`.`x` from `a``b`'],
])('%s', (create, expected) => {
  expect(withoutOwnDatabase(create, 'shop')).toBe(expected ?? create);
});

test.each([
  ['`id` bigint NOT NULL DEFAULT nextval(`shop`.`s``1`)', '`id` bigint NOT NULL DEFAULT nextval(`s``1`)'],
  ['`v` int DEFAULT (lastval(`shop`.`s`) + setval(`shop`.`s`, 1))', '`v` int DEFAULT (lastval(`s`) + setval(`s`, 1))'],
  ["`v` int DEFAULT nextval(`other`.`s`) COMMENT 'nextval(`shop`.`s`)', `nextval(` int", null],
])('%s', (create, expected) => {
  expect(withoutOwnSequences(create, 'shop')).toBe(expected ?? create);
});

// A view's own database is taken out of its columns, and out of nothing else.
import { expect, test } from 'vitest';
import { withoutOwnDatabase } from '../../../src/source/mariadb/view-text.ts';

test.each([
  ['select `shop`.`t`.`id` AS `id`,`f`(`shop`.`t`.`id`) from `t`', 'select `t`.`id` AS `id`,`f`(`t`.`id`) from `t`'],
  ["select '`shop`.`t`.`id`',\"`shop`.`t`.`id`\",'it\\'s `shop`.`t`.`id`','a''`shop`.`t`.`id`'", null],
  ['select `other`.`t`.`id`,`shop`.`id`,`x``shop`.`t`.`id` from `other`.`t` join `u` `shop`', null],
  ['select `shop`.`a``b`.`c.d` AS `shop`.`x` from `a``b`', 'select `a``b`.`c.d` AS `shop`.`x` from `a``b`'],
])('%s', (create, expected) => {
  expect(withoutOwnDatabase(create, 'shop')).toBe(expected ?? create);
});

// Which rights an account lacks for a restore, from what SHOW GRANTS says: all of them at once, as statements.
import { expect, test } from 'vitest';
import { type AccountFacts, missingGrants } from '../../../src/target/mariadb/restore-rights.ts';

const DATABASES = ['shop_1', 'shop_1_coffre_new', 'shop_1_coffre_old'];
const BESIDE = [
  'GRANT ALL PRIVILEGES ON `shop\\_1\\_coffre\\_new`.* TO `ps`@`%`;',
  'GRANT ALL PRIVILEGES ON `shop\\_1\\_coffre\\_old`.* TO `ps`@`%`;',
];
const OWN = 'GRANT ALL PRIVILEGES ON `shop\\_1`.* TO `ps`@`%`';
const facts = (grants: readonly string[], rest: Partial<AccountFacts> = {}): AccountFacts => ({
  ...{ account: 'ps@%', version: '10.11.6-MariaDB', programs: [] },
  grants: ['GRANT USAGE ON *.* TO `ps`@`%` IDENTIFIED BY PASSWORD "x"', ...grants],
  ...rest,
});
const programs = [
  { kind: 'VIEW', definer: 'root@localhost' },
  { kind: 'PROCEDURE', definer: 'root@localhost' },
];

test('a shop’s own account - the two databases beside, in one go', () => {
  expect(missingGrants(DATABASES, facts([OWN]))).toEqual(BESIDE);
});

test('with programs of somebody else - definers and bodies too, as each server calls them', () => {
  const ask = (version: string) => missingGrants(DATABASES, facts([OWN], { version, programs }));
  expect(ask('10.11.6-MariaDB')).toEqual([...BESIDE, 'GRANT SET USER ON *.* TO `ps`@`%`;', 'GRANT SELECT ON mysql.proc TO `ps`@`%`;']);
  expect(ask('10.4.1-MariaDB-log')).toContain('GRANT SUPER ON *.* TO `ps`@`%`;');
  expect(ask('8.0.36')).toEqual([...BESIDE, 'GRANT SET_USER_ID ON *.* TO `ps`@`%`;', 'GRANT SHOW_ROUTINE ON *.* TO `ps`@`%`;']);
  expect(ask('8.4.0')).toContain('GRANT SET_ANY_DEFINER ON *.* TO `ps`@`%`;');
  expect(missingGrants(DATABASES, facts([OWN], { programs: programs.map((one) => ({ ...one, definer: 'ps@%' })) }))).toEqual(BESIDE);
});

test('an account of backups, which may only read - all three databases', () => {
  const reads = 'GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON `shop\\_1`.* TO `ps`@`%`';
  expect(missingGrants(DATABASES, facts([reads]))).toEqual(['GRANT ALL PRIVILEGES ON `shop\\_1`.* TO `ps`@`%`;', ...BESIDE]);
});

test('enough - root, a pattern over all three, and each right by its name', () => {
  const named =
    'SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EVENT, TRIGGER';
  for (const grants of [
    ['GRANT ALL PRIVILEGES ON *.* TO `ps`@`%` WITH GRANT OPTION'],
    ['GRANT ALL PRIVILEGES ON `shop%`.* TO `ps`@`%`', 'GRANT SELECT ON `mysql`.`proc` TO `ps`@`%`', 'GRANT SET USER ON *.* TO `ps`@`%`'],
    [`GRANT ${named}, SUPER ON *.* TO \`ps\`@\`%\``],
  ]) {
    expect(missingGrants(DATABASES, facts(grants, { programs }))).toEqual([]);
  }
});

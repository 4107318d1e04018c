// Whose the scratch folder of drills and exports may be.
import { expect, test } from 'vitest';
import { howToGive, scratchUserOf, strangerAs, uidOf } from '../../../src/cli/restore-unit/scratch-users.ts';

const users = [
  { name: 'mysql', uid: 101, gid: 101 },
  { name: 'coffre-restore', uid: 990, gid: 990 },
  { name: 'nobody', uid: 65_534, gid: 65_534 },
];
const ask = (uid: number, wanted: string | null = null, shops: readonly number[] = []) => strangerAs(uid, { wanted, users, shops });

test('nobody said whose - the package’s user, nobody, or a number that is nobody’s; no other user, and no owner of a shop', () => {
  expect(ask(990)).toBeNull();
  expect(ask(65_534)).toBeNull();
  expect(ask(12_345)).toBeNull();
  expect(ask(101)).toContain('belongs to mysql: a drill would run with the rights of that user');
  expect(ask(12_345, null, [12_345])).toContain('owns a shop');
});

test('restore.scratchUser - that one alone, by name or number', () => {
  expect(ask(101, 'mysql')).toBeNull();
  expect(ask(101, '101')).toBeNull();
  expect(ask(12_345, '12345', [12_345])).toBeNull();
  expect(ask(990, 'mysql')).toBe('belongs to coffre-restore, and restore.scratchUser is mysql');
  expect(ask(990, 'gone')).toContain('is no user of this machine');
  expect(uidOf('nobody', users)).toBe(65_534);
});

test('who is to own it - the one that is named, else the package’s user, else nobody; never the database server’s', () => {
  expect(scratchUserOf(null, users)?.name).toBe('coffre-restore');
  expect(
    scratchUserOf(
      null,
      users.filter(({ name }) => name !== 'coffre-restore'),
    )?.name,
  ).toBe('nobody');
  expect(scratchUserOf(null, users.slice(0, 1))).toBeNull();
  expect(scratchUserOf('101', users)?.name).toBe('mysql');
});

test('what to type - names a user that there is', () => {
  const unpackaged = users.filter(({ name }) => name !== 'coffre-restore');
  expect(howToGive('/s', null, users)).toContain('chown -R coffre-restore: /s');
  expect(howToGive('/s', null, unpackaged)).toContain('chown -R nobody: /s');
  expect(howToGive('/s', '12345', unpackaged)).toContain('chown -R 12345: /s');
  expect(howToGive('/s', 'coffre-restore', unpackaged)).toMatch(/^restore\.scratchUser: nobody .*chown -R nobody: \/s/);
});

// A login that was refused to whoever restores: told with the place where that account stands.
import { expect, test } from 'vitest';
import { CoffreError } from '../../../src/errors.ts';
import { refusedLogin } from '../../../src/restore/drill/run.ts';
import { type RestoringAccount, refusedAccount } from '../../../src/source/shop/restoring-account.ts';

const password = { from: '/etc/coffre/x.password', read: () => 'hunter2' };
const refused = new CoffreError('E_DB_AUTH', 'the database server refused ps@/run/mysqld/mysqld.sock: Access denied (1045)');
const account = (from: string, secret: typeof password | null): RestoringAccount => ({
  ...{ name: 'dupont', prefix: 'ps_', from },
  address: { user: 'ps', password: secret, host: null, port: 3306, socketPath: '/run/mysqld/mysqld.sock' },
});

test('by the shop’s own settings - that file; without a password also that the server may know it by the system’s user', () => {
  const file = '/var/www/dupont/app/config/parameters.php';
  const told = refusedAccount(refused, account(file, password)) as CoffreError;
  expect(told).toMatchObject({ code: 'E_DB_AUTH', message: expect.stringContaining(`that account is from ${file}`) });
  expect(told.hint).toBe(`check user and password in ${file}; or name another account under database.restore`);
  expect((refusedAccount(refused, account(file, null)) as CoffreError).hint).toContain('the owner of the shop’s tree');
  expect(told.message + told.hint).not.toContain('hunter2');
});

test('of a server for drills - its key, and the file of its password; any other error as it is', () => {
  expect((refusedLogin(refused, password) as CoffreError).hint).toBe(
    'check the user in restore.drillDatabase; its password is from /etc/coffre/x.password',
  );
  const other = new CoffreError('E_DB_CONNECT', 'x');
  expect([refusedLogin(other, null), refusedAccount(other, account('x', null)), refusedAccount(refused, null)]).toEqual([
    other,
    other,
    refused,
  ]);
});

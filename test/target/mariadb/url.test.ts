// The URL of --to-database is read whole or refused, and never repeated in a message.
import { expect, test } from 'vitest';
import { parseDatabaseUrl } from '../../../src/target/mariadb/url.ts';

test.each([
  ['mysql://shop@db.example.net/dupont', { user: 'shop', host: 'db.example.net', port: 3306, socketPath: null, database: 'dupont' }],
  ['mysql://shop@127.0.0.1:3307/dupont', { user: 'shop', host: '127.0.0.1', port: 3307, socketPath: null, database: 'dupont' }],
  [
    'mariadb://root@localhost/x?socketPath=/run/mysqld/mysqld.sock',
    { user: 'root', host: null, port: 3306, socketPath: '/run/mysqld/mysqld.sock', database: 'x' },
  ],
  ['mysql://a%40b@[::1]:1/d%C3%A9%2Fj%C3%A0', { user: 'a@b', host: '::1', port: 1, socketPath: null, database: 'dé/jà' }],
])('%s', (text, expected) => {
  expect(parseDatabaseUrl(text)).toEqual(expected);
});

test.each([
  ['not a URL', 'dupont'],
  ['another protocol', 'postgres://shop@host/dupont'],
  ['no user', 'mysql://host/dupont'],
  ['no database', 'mysql://shop@host/'],
  ['no host', 'mysql://shop@/dupont'],
  ['a socket that is not absolute', 'mysql://shop@localhost/x?socketPath=run.sock'],
  ['an unknown parameter', 'mysql://shop@localhost/x?ssl=1'],
  ['an encoding that is none', 'mysql://shop@localhost/%E9'],
])('%s: E_USAGE', (_, text) => {
  expect(() => parseDatabaseUrl(text)).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
});

test('a password in it: E_USAGE that does not repeat it', () => {
  try {
    parseDatabaseUrl('mysql://shop:hunter2@host/dupont');
    expect.fail('it was taken');
  } catch (error) {
    const { code, message, hint } = error as { code: string; message: string; hint: string };
    expect(code).toBe('E_USAGE');
    expect(`${message} ${hint}`).not.toContain('hunter2');
    expect(hint).toContain('COFFRE_DB_PASSWORD');
  }
});

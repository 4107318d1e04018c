// Which paths the patterns match.
import { expect, test } from 'vitest';
import { compilePatterns } from '../../src/source/path-pattern.ts';

test.each([
  ['*.log', 'error.log', true],
  ['*.log', 'var/logs/error.log', true],
  ['*.log', 'error.log.gz', false],
  ['*.log', 'var/error.log/file', false],
  ['/error.log', 'error.log', true],
  ['/error.log', 'var/error.log', false],
  ['./error.log', 'error.log', true],
  ['var/cache', 'var/cache', true],
  ['var/cache', 'app/var/cache', false],
  ['var/cache/**', 'var/cache', false],
  ['var/cache/**', 'var/cache/prod', true],
  ['var/cache/**', 'var/cache/a/b', true],
  ['**/cache/*.php', 'cache/x.php', true],
  ['**/cache/*.php', 'a/b/cache/x.php', true],
  ['**/cache/*.php', 'a/b/cache/c/x.php', false],
  ['a/**/b', 'a/b', true],
  ['a/**/b', 'a/x/y/b', true],
  ['a?c', 'abc', true],
  ['a?c', 'a/c', false],
  ['a.c', 'abc', false],
  ['[ab]', '[ab]', true],
  ['[ab]', 'a', false],
  ['\\*', '*', true],
  ['\\*', 'x', false],
  ['(a|b)+$^{}', '(a|b)+$^{}', true],
  ['line*', 'line\nbreak', true],
  ['é*', 'ete', false],
  ['é*', Buffer.from('éte').toString('latin1'), true],
  ['*', 'anything/at/all', true],
  ['/', 'a', false],
  ['', 'a', false],
])('pattern %j and path %j - matches: %j', (pattern, path, excluded) => {
  expect(compilePatterns([pattern])(path, false)).toBe(excluded);
});

test('a pattern with a trailing slash - matches directories alone', () => {
  const excluded = compilePatterns(['node_modules/']);
  expect(excluded('a/node_modules', true)).toBe(true);
  expect(excluded('a/node_modules', false)).toBe(false);
});

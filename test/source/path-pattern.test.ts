// Which paths the patterns match.
import fc from 'fast-check';
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
  ['*a*b*c', 'x/1a2b3c', true],
  ['*a*b*c', 'x/1a2c3b', false],
  ['a/**/*x*/**', 'a/b/1x2/c', true],
  ['a/**/*x*/**', 'a/b/1x2', false],
  ['**/\\**/a*b*', 'q/*7/a1b', true],
  ['*/*/*.php', 'a/b/c/d.php', false],
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

test('any pattern of many stars - matches what its regular expression does', () => {
  const name = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 });
  const component = fc.oneof(fc.constant('**'), fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), minLength: 1, maxLength: 5 }));
  const components = fc.array(component, { minLength: 1, maxLength: 5 });
  const path = fc.array(name, { minLength: 1, maxLength: 5 }).map((names) => names.join('/'));
  fc.assert(
    fc.property(components, path, (parts, tried) => {
      const pattern = `/${parts.join('/')}`;
      const source = parts.map((part, at) => {
        const isLast = at === parts.length - 1;
        if (part === '**') return isLast ? '.+' : '(?:[^/]+/)*';
        const text = part.replace(/\*+/g, '[^/]*').replaceAll('?', '[^/]');
        return isLast ? text : `${text}/`;
      });
      expect(compilePatterns([pattern])(tried, true)).toBe(new RegExp(`^${source.join('')}$`).test(tried));
    }),
    { numRuns: 2000 },
  );
});

test('stars that could share a name in more ways than anybody can try - answered at once', () => {
  const name = 'a'.repeat(250);
  const path = Array.from({ length: 12 }, () => name).join('/');
  for (const pattern of [`${'*a'.repeat(60)}*b`, `${'*a*/'.repeat(11)}*b`, `${'**/*a*/'.repeat(20)}b`]) {
    expect(compilePatterns([pattern])(path, true)).toBe(false);
  }
});

// Exclude patterns as tests of GNU find, so that it does not even look into a large cache.
import type { PathPattern } from '../path-pattern.ts';

/**
 * The tests whose match find may prune, for paths below `root` (absolute, no trailing slash): [] when there are none. They match
 * nothing that the patterns do not exclude; patterns that find cannot express safely are left out, so what find prints must still
 * be matched. For the C locale.
 */
export function pruneTests(root: string, patterns: readonly PathPattern[]): string[] {
  const base = literal(root === '/' ? '' : root);
  const tests: string[][] = [];
  for (const pattern of patterns) {
    const test = testOf(base, pattern);
    if (test) tests.push(test);
  }
  return tests.flatMap((test, index) => (index === 0 ? test : ['-o', ...test]));
}

/** The same as what stands before find's other tests, so that they see only what is left. */
export function pruneArguments(root: string, patterns: readonly PathPattern[]): string[] {
  const tests = pruneTests(root, patterns);
  return tests.length === 0 ? [] : ['(', ...tests, ')', '-prune', '-o'];
}

/** See path-pattern.ts for what patterns mean. */
function testOf(base: string, pattern: PathPattern): string[] | null {
  if (pattern.replaceAll('/', '') === '' || pattern.includes('\0')) return null;
  const trimmed = pattern.replace(/^(?:\.?\/)+/, '').replace(/\/+$/, '');
  const anchored = trimmed.includes('/') || /^\.?\//.test(pattern);
  const kind = pattern.endsWith('/') ? ['-type', 'd'] : [];
  const components = trimmed.split(/\/+/);
  const last = components.pop() as string;
  if (last === '') return null;
  if (!anchored) return last === '**' ? null : [...kind, '-name', glob(last)];
  // A * of find's -path runs across slashes.
  if (components.some(hasWildcard)) return null;
  const directory = [base, ...components.map(glob)].join('/');
  if (last === '**') return components.length === 0 ? null : [...kind, '-path', `${directory}/*`];
  const test = [...kind, '-path', `${directory}/${glob(last)}`];
  return hasWildcard(last) ? [...test, '!', '-path', `${directory}/*/*`] : test;
}

const hasWildcard = (component: string): boolean => /[*?]/.test(component.replace(/\\./gs, ''));

/** One component in the words of fnmatch(3), where brackets have a meaning too. */
function glob(component: string): string {
  return component.replace(/\\(.)|\*+|\?|[^\\*?]+|\\/gs, (token, escaped: string | undefined) => {
    if (escaped !== undefined) return literal(escaped);
    if (token.startsWith('*')) return '*';
    return token === '?' ? '?' : literal(token);
  });
}

const literal = (text: string): string => text.replace(/[\\*?[\]]/g, '\\$&');

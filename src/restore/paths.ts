// What --path selects: the same patterns as a shop's excludes; a directory that matches is taken with everything below it.
import { compilePatterns } from '../source/path-pattern.ts';
import type { BytePath } from '../source/source.ts';

/** null selects everything. */
export function compilePaths(patterns: readonly string[]): ((path: BytePath) => boolean) | null {
  if (patterns.length === 0) return null;
  const matches = compilePatterns(patterns);
  return (path) => {
    for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) if (matches(path.slice(0, at), true)) return true;
    // whether it is a directory is not known here; a pattern for directories alone then takes a file of that name too
    return matches(path, true);
  };
}

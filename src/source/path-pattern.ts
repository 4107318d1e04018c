// Patterns over the paths of a tree: what a shop's `exclude` leaves out, what `restore --path` takes.
import type { BytePath } from './source.ts';

/**
 * Patterns are relative to the tree's root:
 * - `*` stands for any run of bytes within one name, `?` for one byte, `**` as a whole component for any number of directories;
 *   a backslash takes the next character literally; everything else is itself.
 * - without a slash (`*.log`) a pattern matches a name at any depth; with one (`var/cache`, `/error.log`) it matches from the root;
 * - a trailing slash (`node_modules/`) matches directories alone;
 * - a directory that matches stands for everything below it too; `var/cache/**` means what is below without the directory.
 */
export type PathPattern = string;

export type PathMatch = (path: BytePath, isDirectory: boolean) => boolean;

/** Compiles patterns (text, matched as UTF-8 bytes). */
export function compilePatterns(patterns: readonly PathPattern[]): PathMatch {
  const compiled = patterns.filter((pattern) => pattern.replaceAll('/', '') !== '').map(compile);
  return (path, isDirectory) => compiled.some((one) => (isDirectory || !one.directoriesOnly) && one.regex.test(path));
}

function compile(pattern: PathPattern): { regex: RegExp; directoriesOnly: boolean } {
  const bytes = Buffer.from(pattern, 'utf8').toString('latin1');
  const directoriesOnly = bytes.endsWith('/');
  const trimmed = bytes.replace(/^(?:\.?\/)+/, '').replace(/\/+$/, '');
  const anchored = trimmed.includes('/') || /^\.?\//.test(bytes);
  const components = trimmed.split(/\/+/);
  let source = anchored ? '^' : '^(?:.*/)?';
  components.forEach((component, index) => {
    const last = index === components.length - 1;
    if (component === '**') source += last ? '.+' : '(?:[^/]+/)*';
    else source += componentSource(component) + (last ? '' : '/');
  });
  return { regex: new RegExp(`${source}$`, 's'), directoriesOnly };
}

function componentSource(component: string): string {
  return component.replace(/\\(.)|\*+|\?|[^\\*?]+|\\/gs, (token, escaped: string | undefined) => {
    if (escaped !== undefined) return literal(escaped);
    if (token.startsWith('*')) return '[^/]*';
    if (token === '?') return '[^/]';
    return literal(token);
  });
}

const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');

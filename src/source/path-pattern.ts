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
  return (path, isDirectory) => compiled.some((one) => (isDirectory || !one.directoriesOnly) && one.test(path));
}

/**
 * A regular expression tries every way in which stars could share a name: with many of them that takes for ever, and whoever asks for a restore
 * may write any. From here on the slower matcher, whose time is bounded, takes the pattern.
 */
const MOST_STARS = 2;

function compile(pattern: PathPattern): { test: (path: BytePath) => boolean; directoriesOnly: boolean } {
  const bytes = Buffer.from(pattern, 'utf8').toString('latin1');
  const directoriesOnly = bytes.endsWith('/');
  const trimmed = bytes.replace(/^(?:\.?\/)+/, '').replace(/\/+$/, '');
  const anchored = trimmed.includes('/') || /^\.?\//.test(bytes);
  const components = trimmed.split(/\/+/);
  if ((trimmed.match(/\*+/g)?.length ?? 0) > MOST_STARS) return { test: boundedTest(components, anchored), directoriesOnly };
  let source = anchored ? '^' : '^(?:.*/)?';
  components.forEach((component, index) => {
    const last = index === components.length - 1;
    if (component === '**') source += last ? '.+' : '(?:[^/]+/)*';
    else source += componentSource(component) + (last ? '' : '/');
  });
  const regex = new RegExp(`${source}$`, 's');
  return { test: (path) => regex.test(path), directoriesOnly };
}

/** One token of a component's pattern. */
const TOKEN = /\\(.)|\*+|[\s\S]/gs;

function componentSource(component: string): string {
  return component.replace(TOKEN, (token, escaped: string | undefined) => {
    if (escaped !== undefined) return literal(escaped);
    if (token.startsWith('*')) return '[^/]*';
    return token === '?' ? '[^/]' : literal(token);
  });
}

const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');

/** Any number of items, none too. */
const MANY: unique symbol = Symbol('many');
type Step<T> = typeof MANY | ((item: T) => boolean);

/** As the regular expression, within the product of both lengths: of several stars only the last one is ever taken back. */
function boundedTest(components: readonly string[], anchored: boolean): (path: BytePath) => boolean {
  const steps = components.flatMap((component, index): Step<string>[] => {
    if (component !== '**') {
      const letters = lettersOf(component);
      return [(name) => matchSteps(letters, name)];
    }
    // the last one stands for what is below, not for the folder itself
    return index === components.length - 1 ? [() => true, MANY] : [MANY];
  });
  const all: readonly Step<string>[] = anchored ? steps : [MANY, ...steps];
  return (path) => matchSteps(all, path.split('/'));
}

function lettersOf(component: string): Step<string>[] {
  return Array.from(component.matchAll(TOKEN), ([token, escaped]): Step<string> => {
    if (escaped === undefined && token.startsWith('*')) return MANY;
    if (escaped === undefined && token === '?') return () => true;
    const letter = escaped ?? token;
    return (other) => other === letter;
  });
}

function matchSteps(steps: readonly Step<string>[], items: ArrayLike<string>): boolean {
  let at = 0;
  let step = 0;
  let many = -1;
  let manyAt = 0;
  while (at < items.length) {
    const next = steps[step];
    if (next === MANY) {
      many = step++;
      manyAt = at;
    } else if (next?.(items[at] as string)) {
      step++;
      at++;
    } else if (many >= 0) {
      step = many + 1;
      at = ++manyAt;
    } else return false;
  }
  while (steps[step] === MANY) step++;
  return step === steps.length;
}

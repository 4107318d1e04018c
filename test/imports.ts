// Reads the import statements of a source tree and says where they break the order of the folders, name an adapter, or turn in a circle.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** From top to bottom: each may import itself and what stands below it. Single files stand under their own name. */
export const ORDER: readonly string[] = [
  'main.ts',
  'restore-main.ts',
  'cli',
  'http',
  'notify',
  'report',
  'schedule',
  'backup',
  'restore',
  'retention',
  'billing',
  'catalog',
  'vault',
  'segment',
  'source',
  'target',
  'host',
  'config',
  'document',
  'clock.ts',
  'events.ts',
  'errors.ts',
];

/** The composition roots: nobody imports them, and they alone name adapters. */
const ROOTS: readonly string[] = ['main.ts', 'restore-main.ts'];

/** Files behind a port, and who else may import them: their own folder, but never the port itself. */
const ADAPTERS: readonly (readonly [files: RegExp, home: RegExp])[] = [
  [/^vault\/(s3|filesystem)[^/]*\.ts$/, /^vault\/(?!vault\.ts$)/],
  [/^source\/mariadb\//, /^source\/mariadb\//],
  [/^source\/files\//, /^source\/files\//],
  // reading and writing back speak the same protocol: what both need stands in target, the lower one
  // (how a name is quoted is SQL's, and hides no server)
  [/^target\/mariadb\/(?!names\.ts$)/, /^(source|target)\/mariadb\//],
  [/^target\/files\//, /^(source|target)\/files\//],
  [/^host\/(local|ssh)/, /^host\/(local|ssh)/],
];

/** Upwards, and allowed: importer, imported. */
const EXCEPTIONS: readonly (readonly [from: RegExp, to: RegExp])[] = [
  // what is read and what is written back are described once
  [/^target\//, /^source\/source\.ts$/],
  // what a shop's tree is, and what stands in its settings, is recognised in one place
  [/^target\/shop\//, /^source\/shop\//],
];

/** Downwards, and forbidden all the same. */
const FORBIDDEN: readonly (readonly [from: RegExp, to: RegExp, why: string])[] = [
  [/^vault\//, /^(segment|source|target|host)\//, 'a vault sees opaque bytes'],
];

/** Names that say nothing about what is inside. */
const EMPTY_NAMES = /(^|\/)(utils?|helpers?|common|misc|shared|managers?|index)(\.ts$|\/|$)/;

export interface Import {
  /** As written. */
  readonly specifier: string;
  /** `export … from`. */
  readonly reexport: boolean;
}

/** Paths below `root`, with `/`. */
export function sourceFiles(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .sort();
}

/** The imports of one file: static, side-effect, re-exports, dynamic ones, and types named by `import('…')`. */
export function importsOf(text: string): Import[] {
  const code = withoutComments(text);
  const found: Import[] = [];
  // formatted by Biome: a statement begins its line, and its clause holds neither quote nor semicolon
  for (const match of code.matchAll(/^(import|export)\b(?:[^'";]*?\bfrom)?\s*(['"])([^'"\n]+)\2/gm)) {
    found.push({ specifier: match[3] ?? '', reexport: match[1] === 'export' });
  }
  for (const match of code.matchAll(/\bimport\(\s*(['"`])([^'"`\n]+)\1/g)) found.push({ specifier: match[2] ?? '', reexport: false });
  for (const match of code.matchAll(/\brequire\(\s*(['"`])([^'"`\n]+)\1/g)) found.push({ specifier: match[2] ?? '', reexport: false });
  return found;
}

/** Comments become blanks; strings stay, and what looks like a comment inside them too. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g, (piece) =>
    piece.startsWith('/*') || piece.startsWith('//') ? ' ' : piece,
  );
}

const rank = (file: string): number => ORDER.indexOf(file.split('/')[0] ?? '');

/** Every broken rule of the tree below `root` (the folder `src`), one sentence each. */
export function brokenRules(root: string): string[] {
  const broken: string[] = [];
  const graph = new Map<string, string[]>();
  const files = sourceFiles(root);
  for (const file of files) {
    if (rank(file) < 0) broken.push(`${file}: its folder is not in the order of folders`);
    if (EMPTY_NAMES.test(file)) broken.push(`${file}: a name that does not say what is inside`);
    const text = readFileSync(path.join(root, file), 'utf8');
    if (!/^(#![^\n]*\n)?\/\/ \S/.test(text)) broken.push(`${file}: does not open with a sentence that says what it is for`);
    const imports = importsOf(text);
    if (imports.length > 0 && imports.every((it) => it.reexport) && /^(?:export[^;]*from[^;]*;|\s)*$/.test(withoutComments(text))) {
      broken.push(`${file}: a barrel, it only hands on what others export`);
    }
    const targets: string[] = [];
    for (const { specifier } of imports) {
      if (!specifier.startsWith('.')) {
        if (specifier.startsWith('/') || specifier.startsWith('#'))
          broken.push(`${file}: imports ${specifier}: only relative paths and packages`);
        continue;
      }
      const target = path.posix.join(path.posix.dirname(file), specifier);
      targets.push(target);
      broken.push(...judge(file, target, files));
    }
    graph.set(file, targets);
  }
  return [...broken, ...circles(graph)];
}

function judge(file: string, target: string, files: readonly string[]): string[] {
  if (!files.includes(target)) {
    // package.json, for the version
    return target === '../package.json' ? [] : [`${file}: imports ${target}, which is not in src`];
  }
  const broken: string[] = [];
  if (rank(target) < rank(file) && !EXCEPTIONS.some(([from, to]) => from.test(file) && to.test(target))) {
    broken.push(`${file}: imports ${target}, which stands above it`);
  }
  for (const [from, to, why] of FORBIDDEN) if (from.test(file) && to.test(target)) broken.push(`${file}: imports ${target}: ${why}`);
  if (!ROOTS.includes(file) && ADAPTERS.some(([adapter, home]) => adapter.test(target) && !home.test(file))) {
    broken.push(`${file}: names the adapter ${target}; only ${ROOTS.join(' and ')} may`);
  }
  if (ROOTS.includes(target)) broken.push(`${file}: imports the composition root ${target}`);
  return broken;
}

/** Each circle once, from its first file in the alphabet. */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const found = new Set<string>();
  const done = new Set<string>();
  const visit = (file: string, trail: readonly string[]): void => {
    const at = trail.indexOf(file);
    if (at >= 0) {
      const circle = trail.slice(at);
      const first = circle.indexOf([...circle].sort()[0] ?? '');
      found.add(`a circle: ${[...circle.slice(first), ...circle.slice(0, first), circle[first]].join(' > ')}`);
      return;
    }
    if (done.has(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...trail, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  return [...found];
}

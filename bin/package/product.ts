// The product as packages carry it: sources without their types, and nothing that only a developer needs.
import { chmodSync, copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import path from 'node:path';

export interface Product {
  readonly version: string;
  readonly description: string;
}

/** Files that the program reads, or that whoever installs it wants beside it. */
const BESIDE = [
  ...['LICENSE', 'README.md', 'CHANGELOG.md', 'config/coffre.example.yaml', 'config/prometheus-alerts.yml'],
  'src/segment/FORMAT.md',
];

/** Makes `to` the root of an npm package from the checkout at `top`. */
export function stageProduct(top: string, to: string): Product {
  for (const file of [...BESIDE, 'bin/coffre']) copy(path.join(top, file), path.join(to, file));
  chmodSync(path.join(to, 'bin/coffre'), 0o755);
  cpSync(path.join(top, 'systemd'), path.join(to, 'systemd'), { recursive: true });
  stripSources(path.join(top, 'src'), path.join(to, 'src'));
  const source = JSON.parse(readFileSync(path.join(top, 'package.json'), 'utf8')) as PackageJson;
  writeFileSync(path.join(to, 'package.json'), json(productPackage(source)));
  writeFileSync(
    path.join(to, 'npm-shrinkwrap.json'),
    json(shrinkwrap(JSON.parse(readFileSync(path.join(top, 'package-lock.json'), 'utf8')))),
  );
  return { version: source.version, description: source.description };
}

/**
 * Every module of `from` as JavaScript in `to`. Node strips no types below a node_modules folder, which is where npm puts a package;
 * so it is done here, by the same Node in the same way: blanks take the place of types, lines and columns stay what they are.
 */
export function stripSources(from: string, to: string): void {
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts')) continue;
    const file = path.join(entry.parentPath, entry.name);
    const target = path.join(to, path.relative(from, file)).replace(/\.ts$/, '.js');
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, javascriptOf(readFileSync(file, 'utf8')));
  }
}

/**
 * Relative paths of modules end in .js then, in imports and in the URLs that threads and units are started by. Throws when a module is named
 * in another way: it would not be there.
 */
export function javascriptOf(source: string): string {
  const script = stripTypeScriptTypes(source, { mode: 'strip' }).replace(/(['"])(\.{1,2}\/[^'"\n]*)\.ts\1/g, '$1$2.js$1');
  const unknown = /(['"`])[^'"`\n]*\.ts\1/.exec(script);
  if (unknown !== null) throw new Error(`${unknown[0]} names a module, but not by a path that begins with ./ or ../`);
  return script;
}

interface PackageJson extends Record<string, unknown> {
  readonly version: string;
  readonly description: string;
}

/** `private` stays: coffre comes as a file, from whoever made it; a slip of the hand must not publish it under a name that is not ours. */
function productPackage({ scripts: _scripts, devDependencies: _development, ...kept }: PackageJson): object {
  return { ...kept, os: ['linux'], man: ['man/coffre.1', 'man/coffre.yaml.5'] };
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly devDependencies?: unknown }>>;
}

/** What was tested is what is installed, to the last package below: npm obeys this file in a tarball, not a package-lock.json. */
function shrinkwrap({ packages, ...lock }: Lock): object {
  const kept = Object.entries(packages).filter(([, it]) => !it.dev);
  return { ...lock, packages: Object.fromEntries(kept.map(([name, { devDependencies: _, ...it }]) => [name, it])) };
}

function copy(from: string, to: string): void {
  mkdirSync(path.dirname(to), { recursive: true });
  copyFileSync(from, to);
}

const json = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;

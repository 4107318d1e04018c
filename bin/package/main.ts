// npm run package [-- FOLDER] [--prefix DIR] [--arch amd64|arm64] [--compress xz|zstd|gzip|none]: the Debian package and the npm
// tarball of this commit, into dist/ or FOLDER. The same commit gives the same bytes.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { CommandNode } from '../../src/cli/completion/command-tree.ts';
import { configPage } from './config-page.ts';
import { type Architecture, buildDebian, type DebianOptions } from './debian.ts';
import { installDependencies, pruneDependencies } from './dependencies.ts';
import { manPage } from './man-page.ts';
import { packNpm } from './npm-tarball.ts';
import { stageProduct } from './product.ts';

const top = path.resolve(import.meta.dirname, '../..');
const COMPRESSIONS = ['xz', 'zstd', 'gzip', 'none'] as const;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    prefix: { type: 'string', default: '/usr' },
    arch: { type: 'string', default: process.arch === 'arm64' ? 'arm64' : 'amd64' },
    compress: { type: 'string', default: 'xz' },
  },
});
const { prefix, arch, compress } = values;
if (!/^(\/[\w.+-]+)+$/.test(prefix)) usage('--prefix: an absolute path without a slash at its end is expected');
if (arch !== 'amd64' && arch !== 'arm64') usage('--arch: amd64 or arm64 is expected');
const compression = COMPRESSIONS.find((it) => it === compress) ?? usage(`--compress: ${COMPRESSIONS.join(', ')} is expected`);
if (positionals.length > 1) usage('one folder is expected');
const output = path.resolve(positionals[0] ?? path.join(top, 'dist'));

const work = mkdtempSync(path.join(tmpdir(), 'coffre-package-'));
try {
  makePackages(arch, compression);
} finally {
  rmSync(work, { recursive: true, force: true });
}

function makePackages(architecture: Architecture, compression: DebianOptions['compression']): void {
  const epoch = sourceDate();
  const staged = path.join(work, 'coffre');
  const product = stageProduct(top, staged);
  documentProduct(staged, product.version, epoch);

  const tarball = packNpm(staged, output);
  say(tarball);

  installDependencies(staged, architecture === 'amd64' ? 'x64' : 'arm64');
  pruneDependencies(staged);
  const to = path.join(output, `coffre_${product.version}_${architecture}.deb`);
  buildDebian({ product, staged, templates: path.join(import.meta.dirname, 'debian'), architecture, prefix, compression, work, to, epoch });
  say(to);
}

/** Man pages and completions, made by the program that they are about. */
function documentProduct(staged: string, version: string, epoch: number): void {
  const tree = (shell: string): { readonly script: string; readonly program: CommandNode } =>
    JSON.parse(execFileSync(path.join(top, 'bin/coffre'), ['--json', 'completion', shell], { encoding: 'utf8' }));
  const page = { version, date: new Date(epoch * 1000).toISOString().slice(0, 10) };
  const readme = readFileSync(path.join(top, 'README.md'), 'utf8');
  const exits = [...readme.matchAll(/^\| (\d+) \| (.+) \|$/gm)].map((row) => [row[1] as string, `${row[2]}.`] as const);
  const short = /^<!-- example configuration -->\n```yaml\n([\s\S]*?)^```/m.exec(readme)?.[1];
  if (exits.length === 0 || short === undefined) throw new Error('README.md has no table of exit statuses, or no example configuration');

  mkdirSync(path.join(staged, 'man'));
  writeFileSync(path.join(staged, 'man/coffre.1'), manPage(page, tree('bash').program, exits));
  writeFileSync(
    path.join(staged, 'man/coffre.yaml.5'),
    configPage(page, readFileSync(path.join(top, 'config/coffre.example.yaml'), 'utf8'), short),
  );
  mkdirSync(path.join(staged, 'completion'));
  writeFileSync(path.join(staged, 'completion/coffre.bash'), tree('bash').script);
  writeFileSync(path.join(staged, 'completion/_coffre'), tree('zsh').script);
  writeFileSync(path.join(staged, 'completion/coffre.fish'), tree('fish').script);
}

/** When the last commit was made, unless the environment says: https://reproducible-builds.org/specs/source-date-epoch/ */
function sourceDate(): number {
  const said = process.env.SOURCE_DATE_EPOCH ?? execFileSync('git', ['-C', top, 'log', '-1', '--format=%ct'], { encoding: 'utf8' });
  const epoch = Number(said);
  return Number.isSafeInteger(epoch) && epoch > 0 ? epoch : usage(`SOURCE_DATE_EPOCH: seconds since 1970 are expected, not ${said}`);
}

function say(file: string): void {
  console.log(`${path.relative(process.cwd(), file)}  ${(statSync(file).size / 1e6).toFixed(1)} MB`);
}

function usage(problem: string): never {
  console.error(
    `${problem}\nusage: npm run package [-- FOLDER] [--prefix DIR] [--arch amd64|arm64] [--compress ${COMPRESSIONS.join('|')}]`,
  );
  process.exit(2);
}

// Packages that consist of hundreds of small modules, each as one file: finding and opening those modules is a fifth of what a start of
// bin/coffre costs, and a test run has two thousand starts. The code is the package's own, from the copy that the lock file names.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, VERSION } from 'rolldown';

const top = path.resolve(import.meta.dirname, '../..');
const cache = path.join(top, 'node_modules/.cache/coffre-flat');

/** Named exports only, and nobody but us imports them: no other package could meet a second copy. */
const PACKAGES = ['kysely', 'age-encryption'] as const;

/** Makes the files that are not there yet, and gives the NODE_OPTIONS by which a process takes them; `given` stands before. */
export async function withFlatPackages(given = ''): Promise<string> {
  mkdirSync(cache, { recursive: true });
  const hook = new URL('./flat-packages-hook.mjs', import.meta.url);
  for (const name of PACKAGES) hook.searchParams.append(name, pathToFileURL(await flatFile(name)).href);
  return `${given} --import=${hook.href}`.trimStart();
}

async function flatFile(name: string): Promise<string> {
  const { version } = JSON.parse(readFileSync(path.join(top, 'node_modules', name, 'package.json'), 'utf8')) as { version: string };
  const file = path.join(cache, `${name}-${version}-${VERSION}.mjs`);
  if (existsSync(file)) return file;
  // under a name of its own first: another run may look for it meanwhile
  const making = path.join(cache, `.${name}-${process.pid}.mjs`);
  try {
    await build({ input: { flat: name }, cwd: top, platform: 'node', output: { file: making, format: 'esm' }, logLevel: 'warn' });
    renameSync(making, file);
  } finally {
    rmSync(making, { force: true });
  }
  return file;
}

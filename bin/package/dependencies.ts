// node_modules of a package: what the lock file names for running, without what only developers of those packages read.
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';

/** Installs into the staged product, for another machine's processor if need be. No package's own script runs. */
export function installDependencies(staged: string, cpu: 'x64' | 'arm64'): void {
  execFileSync(
    'npm',
    [
      'ci',
      '--omit=dev',
      '--include=optional',
      '--ignore-scripts',
      '--os=linux',
      '--libc=glibc',
      `--cpu=${cpu}`,
      '--prefer-offline',
      '--no-audit',
      '--no-fund',
      '--no-bin-links',
      '--loglevel=error',
    ],
    { cwd: staged, stdio: ['ignore', 'ignore', 'inherit'] },
  );
}

/** Types, source maps, what tools of developers are configured by, and TypeScript that was compiled to what lies beside it: no program reads them. */
const UNREAD_FILE = /^\.|\.(d\.[cm]?ts|[cm]?ts|tsx|map|flow|tsbuildinfo)$/;
/** Folders of every package that no import reaches; the test of the package imports everything that is left. */
const UNREAD_FOLDER = /^(tests?|__tests__|benchmarks?|examples?|docs|\.github|\.vscode|dist-types|\.tap|coverage)$/;
/** ssh2 looks for these at run time and does without: they are built by a compiler when they are installed, and no script runs here. */
const NATIVE = ['cpu-features', 'buildcheck', 'nan'];

/** Of Node: its headers, its manual and npm's marks. */
const NODE_UNREAD = ['include', 'share', 'README.md', 'CHANGELOG.md'];

export function pruneDependencies(staged: string): void {
  const modules = path.join(staged, 'node_modules');
  rmSync(path.join(modules, '.package-lock.json'), { force: true });
  for (const name of NATIVE) rmSync(path.join(modules, name), { recursive: true, force: true });
  for (const name of readdirSync(modules)) {
    if (/^node-linux-/.test(name)) for (const gone of NODE_UNREAD) rmSync(path.join(modules, name, gone), { recursive: true, force: true });
  }
  pruneFolder(modules);
}

function pruneFolder(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) {
      // a package may be called `test`: only folders within packages go
      const isPackage = path.basename(folder) === 'node_modules' || path.basename(folder).startsWith('@');
      if (!isPackage && UNREAD_FOLDER.test(entry.name)) rmSync(file, { recursive: true });
      else pruneFolder(file);
    } else if (UNREAD_FILE.test(entry.name)) {
      rmSync(file);
    }
  }
}

// What may happen to a tree between two backups, as values that fast-check makes and shrinks.
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import fc from 'fast-check';

export type Change =
  | { readonly op: 'write' | 'append' | 'truncate'; readonly path: string; readonly size: number }
  | { readonly op: 'mkdir' | 'remove' | 'chmod' | 'chown' | 'attribute' | 'acl' | 'touch' | 'hole'; readonly path: string }
  | { readonly op: 'link' | 'rename' | 'swap' | 'copy' | 'symlink'; readonly path: string; readonly to: string };

/** Few names, so that files become directories and back, and what moves meets what was there. */
const path = fc.array(fc.constantFrom('a', 'b', 'é\xe9', '-x'), { minLength: 1, maxLength: 3 }).map((names) => names.join('/'));
/** Few sizes, so that different files look alike. */
const size = fc.constantFrom(0, 1, 3000, 3000, 200_000);

export const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ op: fc.constant('write' as const), path, size }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constantFrom('append' as const, 'truncate' as const), path, size }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constantFrom('mkdir' as const, 'remove' as const), path }) },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constantFrom('chmod' as const, 'chown' as const, 'attribute' as const, 'acl' as const, 'touch' as const, 'hole' as const),
      path,
    }),
  },
  { weight: 5, arbitrary: fc.record({ op: fc.constantFrom('rename' as const, 'rename' as const, 'swap' as const), path, to: path }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constantFrom('link' as const, 'copy' as const, 'symlink' as const), path, to: path }) },
);

/** Does what can be done; the rest (a parent that is a file …) is no change. */
export function apply(root: string, step: Change): void {
  const at = (name: string): Buffer => Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name, 'latin1')]);
  const it = at(step.path);
  // one character per byte: a program's arguments are text, so it is told by its stdin
  const run = (script: string): void =>
    void execFileSync('xargs', ['-0', 'sh', '-c', `${script} || :`, 'sh'], { input: it, stdio: ['pipe', 'ignore', 'ignore'] });
  try {
    const stats = lstatSync(it, { throwIfNoEntry: false });
    if (step.op === 'write') writeFileSync(it, Buffer.alloc(step.size, `${step.path} `));
    else if (step.op === 'mkdir') mkdirSync(it, { recursive: true });
    else if (!stats) return;
    else if (step.op === 'append') stats.isFile() && appendFileSync(it, Buffer.alloc(step.size, '+'));
    else if (step.op === 'truncate') stats.isFile() && truncateSync(it, step.size);
    else if (step.op === 'remove') rmSync(it, { recursive: true });
    else if (step.op === 'chmod') stats.isSymbolicLink() || chmodSync(it, stats.isDirectory() ? 0o711 : 0o640);
    else if (step.op === 'chown') process.getuid?.() === 0 && !stats.isSymbolicLink() && chownSync(it, 1234, 4_000_000);
    else if (step.op === 'touch') (stats.isSymbolicLink() ? lutimesSync : utimesSync)(it, 1_500_000_000, 1_500_000_000);
    else if (step.op === 'attribute') run('setfattr -h -n user.coffre -v changed "$1"');
    else if (step.op === 'acl') stats.isSymbolicLink() || run('setfacl -m u:65534:r "$1"');
    else if (step.op === 'hole') stats.isFile() && run('fallocate --punch-hole --offset 4096 --length 131072 "$1"');
    else if (step.op === 'link') linkSync(it, at(step.to));
    else if (step.op === 'rename') renameSync(it, at(step.to));
    else if (step.op === 'copy') copy(it, at(step.to));
    else if (step.op === 'swap') swap(root, it, at(step.to));
    else if (step.op === 'symlink') retarget(at(step.to), Buffer.from(step.path, 'latin1'));
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error;
  }
}

function retarget(link: Buffer, target: Buffer): void {
  if (lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink()) rmSync(link);
  symlinkSync(target, link);
}

/** With its time, as an upload from somewhere else would be: it looks like the other one. */
function copy(from: Buffer, to: Buffer): void {
  const { atimeMs, mtimeMs } = lstatSync(from);
  writeFileSync(to, readFileSync(from));
  utimesSync(to, atimeMs / 1000, mtimeMs / 1000);
}

function swap(root: string, one: Buffer, other: Buffer): void {
  const between = `${root}/between`;
  lstatSync(other);
  renameSync(one, between);
  try {
    renameSync(other, one);
  } catch (error) {
    renameSync(between, one);
    throw error;
  }
  renameSync(between, other);
}

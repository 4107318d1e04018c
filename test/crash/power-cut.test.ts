import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tempDir } from '../temp-dir.ts';
import { cutPower, UnsyncedFiles } from './power-cut.ts';

/** Loses whatever may be lost, all of it. */
const worst = (below: number): number => (below === 2 ? 1 : 0);

async function setting(): Promise<{ readonly dir: string; readonly files: UnsyncedFiles; readonly at: (name: string) => string }> {
  const root = await tempDir();
  const dir = join(root, 'vault');
  mkdirSync(dir);
  return { dir, files: new UnsyncedFiles(join(root, 'graves')), at: (name) => join(dir, name) };
}

function write(files: UnsyncedFiles, path: string, content: string): void {
  files.made(path);
  files.wrote(path);
  writeFileSync(path, content);
}

function rename(files: UnsyncedFiles, from: string, to: string): void {
  const saved = files.save(to);
  renameSync(from, to);
  files.renamed(from, to, saved);
}

test('written, synced, renamed, folder synced - nothing can be taken', async () => {
  const { dir, files, at } = await setting();
  write(files, at('tmp'), 'content');
  files.synced(at('tmp'));
  rename(files, at('tmp'), at('object'));
  files.synced(dir);
  expect(cutPower(files.left(), worst)).toEqual([]);
  expect(readFileSync(at('object'), 'utf8')).toBe('content');
});

test('renamed before its contents were synced - an empty object under its name', async () => {
  const { dir, files, at } = await setting();
  write(files, at('tmp'), 'content');
  rename(files, at('tmp'), at('object'));
  files.synced(dir);
  expect(cutPower(files.left(), worst)).toHaveLength(1);
  expect(readFileSync(at('object'), 'utf8')).toBe('');
});

test('renamed over another, folder not synced - the other one is back', async () => {
  const { dir, files, at } = await setting();
  write(files, at('lock'), 'old');
  files.synced(at('lock'));
  files.synced(dir);
  write(files, at('tmp'), 'new');
  files.synced(at('tmp'));
  rename(files, at('tmp'), at('lock'));
  cutPower(files.left(), worst);
  expect(readFileSync(at('lock'), 'utf8')).toBe('old');
});

test('removed, folder not synced - there again, with its time; synced - gone for good', async () => {
  const { dir, files, at } = await setting();
  for (const name of ['first', 'second']) write(files, at(name), name);
  for (const path of [at('first'), at('second'), dir]) files.synced(path);
  const remove = (name: string): void => {
    const saved = files.save(at(name));
    rmSync(at(name));
    files.removed(at(name), saved);
  };
  remove('first');
  files.synced(dir);
  remove('second');
  cutPower(files.left(), worst);
  expect(existsSync(at('first'))).toBe(false);
  expect(readFileSync(at('second'), 'utf8')).toBe('second');
});

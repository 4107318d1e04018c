// Opening and checking a tree: what doctor says, and what a run refuses.
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { ExtendedFiles } from '../../../src/host/extended.ts';
import { localHost } from '../../../src/host/local.ts';
import { END_OF_ARCHIVE } from '../../../src/host/ustar.ts';
import { FilesSource } from '../../../src/source/files/files-source.ts';
import { Scratch } from '../../../src/source/files/scratch.ts';
import { TailPart } from '../../../src/source/files/tail-part.ts';
import { statRoot } from '../../../src/source/files/walk.ts';
import { walk } from '../../../src/source/files/walk-here.ts';
import type { FileEntry } from '../../../src/source/source.ts';
import { DirectoryTarget } from '../../../src/target/files/directory-target.ts';
import { bytes, each } from '../../target/files/restore.ts';
import { tempDir } from '../../temp-dir.ts';
import { asNobody, bash, take } from './tree.ts';

const NEVER = new AbortController().signal;
const source = (root: string): FilesSource => new FilesSource({ root, profile: 'generic', exclude: [] }, localHost, systemClock);

test('a root that is missing, a file, or closed - is refused by name', async () => {
  const dir = await tempDir();
  chmodSync(dir, 0o755);
  writeFileSync(join(dir, 'file'), 'x');
  mkdirSync(join(dir, 'closed'), { mode: 0o700 });
  const options = { signal: NEVER, previous: [], scratchDir: dir };
  for (const name of ['missing', 'file'])
    await expect(source(join(dir, name)).open(options)).rejects.toMatchObject({ code: 'E_FILES_ROOT' });
  await asNobody(async () => {
    if (process.geteuid?.() !== 0) await expect(source(join(dir, 'closed')).open(options)).rejects.toMatchObject({ code: 'E_FILES_ROOT' });
  });
});

test('a root that is a symbolic link - is followed once, and a switch meanwhile changes nothing', async () => {
  const dir = await tempDir();
  for (const release of ['one', 'two']) {
    mkdirSync(join(dir, release));
    writeFileSync(join(dir, release, 'version'), release);
  }
  symlinkSync('one', join(dir, 'current'));
  const snapshot = await take(join(dir, 'current'), new Map(), {
    onPart: (_, phase) => {
      if (phase !== 'files') return;
      rmSync(join(dir, 'current'));
      symlinkSync('two', join(dir, 'current'));
    },
  });
  expect(snapshot.segments[0]?.bytes.includes('one')).toBe(true);
  expect(snapshot.summary.warnings).toEqual([]);
});

test('doctor on a readable tree - is green', async () => {
  const dir = await tempDir();
  writeFileSync(join(dir, 'file'), 'x');
  expect(await source(dir).check()).toMatchObject([
    { name: 'tar', ok: true },
    { name: 'files', ok: true },
  ]);
});

test('doctor on a tree with closed files - is red, counts them and names the first', async () => {
  const dir = await tempDir();
  chmodSync(dir, 0o755);
  for (const name of ['a', 'b', 'c']) writeFileSync(join(dir, name), 'x');
  for (const name of ['b', 'c']) chmodSync(join(dir, name), 0);
  const findings = await asNobody(() => source(dir).check());
  expect(findings[1]).toMatchObject({ ok: false, detail: expect.stringContaining('2 of 3 entries'), hint: expect.any(String) });
  expect(findings[1]?.detail).toContain('first b: EACCES');
});

test('doctor on a missing tree - is red with a hint', async () => {
  expect((await source('/nonexistent/shop').check())[1]).toMatchObject({ name: 'files', ok: false, hint: expect.any(String) });
});

test('directories in several tails - extracted one after the other, every time and mode is right', async () => {
  const dir = await tempDir();
  const root = join(dir, 'tree');
  bash(
    `mkdir "$TREE"; cd "$TREE"; mkdir -p a/{1..5}/x b/c/d e; chmod 500 b/c; find . -mindepth 1 -depth -exec touch -d '2020-02-02 02:02:02.22' {} +; touch -d '2019-01-01' .`,
    { TREE: root },
  );
  const scratch = new Scratch(dir);
  for await (const step of walk(
    root,
    await statRoot(root),
    () => false,
    () => {},
    NEVER,
  )) {
    if (step.type === 'directory') scratch.addDirectory(step.directory, step.dumpdir);
  }
  const target = new DirectoryTarget(join(dir, 'restored'), localHost);
  await target.prepare('snapshot');
  const entries: FileEntry[] = [];
  const extended = new ExtendedFiles(localHost, root, systemClock);
  const deps = { tree: { host: localHost, root }, scratch, clock: systemClock, extended, onOutcome: () => {} };
  for (let from = 0; from < scratch.directories; from += 3) {
    const part = new TailPart(deps, from, Math.min(from + 3, scratch.directories), 0n);
    const chunks: Buffer[] = [];
    for await (const chunk of part.read(NEVER)) chunks.push(Buffer.from(chunk));
    expect(chunks.at(-1)).toEqual(END_OF_ARCHIVE);
    await target.extract({ id: `tail-${from}`, phase: 'tail', plaintext: bytes(Buffer.concat(chunks)), unverified: false }, null, NEVER);
    entries.push(...(part.outcome().entries as FileEntry[]));
  }
  scratch.close();
  expect(entries.length).toBe(16);
  expect(await target.compare(each(entries))).toEqual([]);
});

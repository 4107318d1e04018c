// A shop goes on living while it is read: what changes, grows, shrinks, vanishes or cannot be read is said, and nothing breaks.
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { restore } from '../../target/files/restore.ts';
import { tempDir } from '../../temp-dir.ts';
import { asNobody, bash, describeTree, take } from './tree.ts';

/** Larger than all buffers between tar and its reader: what is changed at the first chunk is changed under tar. */
const MIB = 1024 * 1024;

async function tree(): Promise<{ root: string; restored: string }> {
  const dir = await tempDir();
  chmodSync(dir, 0o755);
  const root = join(dir, 'tree');
  mkdirSync(root);
  writeFileSync(join(root, 'before'), 'before');
  writeFileSync(join(root, 'log'), Buffer.alloc(8 * MIB, 'a'));
  writeFileSync(join(root, 'zlast'), 'last');
  return { root, restored: join(dir, 'restored') };
}

const sha256 = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex');

test('a file changed once while it was read - is read again, the newer content is what is kept', async () => {
  const { root, restored } = await tree();
  const snapshot = await take(root, new Map(), {
    onChunk: (name, chunk) => {
      if (name === 'before' && chunk === 1) writeFileSync(join(root, 'log'), Buffer.alloc(8 * MIB, 'b'));
    },
  });
  expect(snapshot.summary).toMatchObject({ complete: true, warnings: [] });
  expect(snapshot.entries.find((entry) => entry.path === 'log')).toMatchObject({ sha256: sha256(Buffer.alloc(8 * MIB, 'b')) });
  expect(await restore(snapshot, restored)).toEqual([]);
  expect(describeTree(restored)).toBe(describeTree(root));
});

test('a file that grows during both readings - is kept as read, marked unstable, and the archive holds', async () => {
  const { root, restored } = await tree();
  const snapshot = await take(root, new Map(), { onChunk: () => appendFileSync(join(root, 'log'), 'more') });
  expect(snapshot.summary.complete).toBe(true);
  expect(snapshot.summary.warnings).toEqual([{ kind: 'changed', where: 'log', message: 'file changed as we read it' }]);
  const entry = snapshot.entries.find(({ path }) => path === 'log');
  expect(entry?.unstable).toBe(true);
  expect(await restore(snapshot, restored)).toEqual([]);
  expect(sha256(readFileSync(join(restored, 'log')))).toBe(entry?.sha256);
  expect(readFileSync(join(restored, 'zlast'), 'utf8')).toBe('last');
});

test('a file that shrinks during both readings - is kept with zeros in place of what was lost, marked unstable', async () => {
  const { root, restored } = await tree();
  let sizeBytes = 8 * MIB;
  const snapshot = await take(root, new Map(), {
    onChunk: (_, chunk) => {
      if (chunk === 0) return;
      sizeBytes -= 16 * 1024;
      truncateSync(join(root, 'log'), sizeBytes);
    },
  });
  expect(snapshot.summary.warnings.map(({ kind, where }) => `${kind} ${where}`)).toEqual(['changed log']);
  const entry = snapshot.entries.find(({ path }) => path === 'log');
  expect(entry?.unstable).toBe(true);
  expect(await restore(snapshot, restored)).toEqual([]);
  expect(sha256(readFileSync(join(restored, 'log')))).toBe(entry?.sha256);
});

test('hard links to a file that changed while it was read - are still links to one file afterwards', async () => {
  const { root, restored } = await tree();
  mkdirSync(join(root, 'sub'));
  linkSync(join(root, 'log'), join(root, 'sub', 'other'));
  const snapshot = await take(root, new Map(), {
    onChunk: (name, chunk) => {
      if (name === 'log' && chunk === 1) writeFileSync(join(root, 'log'), Buffer.alloc(8 * MIB, 'b'));
    },
  });
  expect(snapshot.summary.warnings).toEqual([]);
  expect(await restore(snapshot, restored)).toEqual([]);
  expect(describeTree(restored)).toBe(describeTree(root));
});

test('a large file that changes while it is read - is not read twice, and marked unstable', async () => {
  const { root, restored } = await tree();
  writeFileSync(join(root, 'log'), Buffer.alloc(60 * MIB, 'a'));
  const snapshot = await take(root, new Map(), {
    onChunk: (name, chunk) => {
      if (name === 'log' && chunk === 1) appendFileSync(join(root, 'log'), 'more');
    },
  });
  expect(snapshot.segments.find(({ name }) => name === 'log')?.bytes.length).toBeLessThan(61 * MIB);
  expect(snapshot.entries.find(({ path }) => path === 'log')).toMatchObject({ unstable: true, sizeBytes: 60 * MIB });
  expect(snapshot.summary.warnings).toMatchObject([{ kind: 'changed', where: 'log' }]);
  expect(await restore(snapshot, restored)).toEqual([]);
});

test('a file that vanishes between scan and reading - is left out with a warning', async () => {
  const { root, restored } = await tree();
  writeFileSync(join(root, 'line\nbreak: \\ colon'), 'x');
  const { atime, mtime } = statSync(root);
  const snapshot = await take(root, new Map(), { onPart: (_, phase) => phase === 'files' && rmSync(join(root, 'line\nbreak: \\ colon')) });
  expect(snapshot.summary.complete).toBe(true);
  expect(snapshot.summary.warnings).toMatchObject([{ kind: 'vanished', where: 'line\\012break: \\ colon' }]);
  expect(await restore(snapshot, restored)).toEqual([]);
  // the directory is kept as the scan saw it, to a microsecond here
  for (const path of [root, restored]) utimesSync(path, atime, mtime);
  expect(describeTree(restored)).toBe(describeTree(root));
});

test('a file that vanishes while it is read - is kept as it was', async () => {
  const { root, restored } = await tree();
  const snapshot = await take(root, new Map(), { onChunk: (name, chunk) => name === 'before' && chunk === 1 && rmSync(join(root, 'log')) });
  expect(snapshot.summary).toMatchObject({ complete: true });
  expect(await restore(snapshot, restored)).toEqual([]);
  expect(sha256(readFileSync(join(restored, 'log')))).toBe(sha256(Buffer.alloc(8 * MIB, 'a')));
});

test('a file that became a directory or a link after the scan - is left out, and the rest restores', async () => {
  const { root, restored } = await tree();
  const snapshot = await take(root, new Map(), {
    onPart: (_, phase) => {
      if (phase !== 'files') return;
      rmSync(join(root, 'before'));
      mkdirSync(join(root, 'before'));
      rmSync(join(root, 'zlast'));
      symlinkSync('/etc/passwd', join(root, 'zlast'));
    },
  });
  expect(snapshot.summary.warnings).toEqual([
    { kind: 'changed', where: 'before', message: 'became a directory after the scan' },
    { kind: 'changed', where: 'zlast', message: 'became a symlink after the scan' },
  ]);
  expect(await restore(snapshot, restored)).toEqual([]);
  expect(bash('ls "$TREE"', { TREE: restored })).toBe('log\n');
});

test('a directory that vanishes before the end - is kept as the scan saw it, with its files', async () => {
  const { root, restored } = await tree();
  mkdirSync(join(root, 'gone'));
  writeFileSync(join(root, 'gone', 'file'), 'x');
  const snapshot = await take(root, new Map(), {
    onPart: (_, phase) => phase === 'tail' && renameSync(join(root, 'gone'), join(root, 'other')),
  });
  expect(snapshot.summary).toMatchObject({ complete: true, warnings: [] });
  expect(await restore(snapshot, restored)).toEqual([]);
  expect(readFileSync(join(restored, 'gone', 'file'), 'utf8')).toBe('x');
});

test('a directory that became a link before the end - is kept as the scan saw it, the link is not followed', async () => {
  const { root, restored } = await tree();
  mkdirSync(join(root, 'gone'));
  writeFileSync(join(root, 'gone', 'file'), 'x');
  const snapshot = await take(root, new Map(), {
    onPart: (_, phase) => {
      if (phase !== 'tail') return;
      rmSync(join(root, 'gone'), { recursive: true });
      symlinkSync('/tmp', join(root, 'gone'));
    },
  });
  expect(snapshot.summary).toMatchObject({ complete: true, warnings: [] });
  expect(await restore(snapshot, restored)).toEqual([]);
  expect(readFileSync(join(restored, 'gone', 'file'), 'utf8')).toBe('x');
});

test('files and directories without the right to read them - each is named, the rest is kept, the reading is not complete', async () => {
  const { root, restored } = await tree();
  mkdirSync(join(root, 'closed'));
  writeFileSync(join(root, 'closed', 'file'), 'x');
  chmodSync(join(root, 'closed'), 0o000);
  chmodSync(join(root, 'before'), 0o000);
  const snapshot = await asNobody(() => take(root, new Map()));
  expect(snapshot.summary.complete).toBe(false);
  expect(snapshot.summary.warnings.toSorted((a, b) => (a.where < b.where ? -1 : 1))).toEqual([
    { kind: 'unreadable', where: 'before', message: 'EACCES' },
    { kind: 'unreadable', where: 'closed', message: 'EACCES' },
  ]);
  expect(snapshot.entries.map(({ path }) => path)).toEqual(['log', 'zlast', '.', 'closed']);
  expect(await restore(snapshot, restored)).toEqual([]);
});

test('a socket - is skipped with a warning, the reading stays complete', async () => {
  const { root, restored } = await tree();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(root, 'socket'), resolve));
  try {
    const snapshot = await take(root, new Map());
    expect(snapshot.summary).toMatchObject({ complete: true, warnings: [{ kind: 'skipped', where: 'socket', message: 'a socket' }] });
    expect(await restore(snapshot, restored)).toEqual([]);
  } finally {
    server.close();
  }
});

test('a reading that is given up in the middle of a part - leaves no process behind', async () => {
  const { root } = await tree();
  await expect(
    take(root, new Map(), {
      onChunk: (_, chunk) => {
        if (chunk === 1) throw new Error('enough');
      },
    }),
  ).rejects.toThrow('enough');
  expect(
    bash(`pgrep -f -- "--directory=$TREE" || true`, { TREE: root })
      .trim()
      .split('\n')
      .filter((pid) => pid && Number(pid) !== process.pid && bash(`cat /proc/${pid}/comm 2>/dev/null || true`).trim() === 'tar'),
  ).toEqual([]);
});

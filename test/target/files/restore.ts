// Restores snapshots taken by tests: through the target, and by hand with GNU tar alone.
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import type { BytePath, FileEntry } from '../../../src/source/source.ts';
import { DirectoryTarget } from '../../../src/target/files/directory-target.ts';
import type { TakenSnapshot } from '../../source/files/tree.ts';

const NEVER = new AbortController().signal;

export async function* bytes(content: Uint8Array, chunkBytes = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += chunkBytes) yield content.subarray(at, at + chunkBytes);
}

export async function* each<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}

/** Files of several segments at once, then the tail; returns what the target finds different from the index. */
export async function restore(snapshot: TakenSnapshot, directory: string, unverified = false): Promise<readonly string[]> {
  const members = new Map<string, BytePath[]>();
  for (const { path, segment } of snapshot.entries) {
    const list = members.get(segment as string) ?? [];
    list.push(path);
    members.set(segment as string, list);
  }
  const target = new DirectoryTarget(directory);
  try {
    await target.prepare();
    const extract = async (segment: TakenSnapshot['segments'][number]): Promise<void> => {
      const incoming = { id: segment.id, phase: segment.phase, plaintext: bytes(segment.bytes), unverified };
      await target.extract(incoming, members.get(segment.id) ?? [], NEVER);
    };
    await Promise.all(snapshot.segments.filter((segment) => segment.phase !== 'tail').map(extract));
    for (const segment of snapshot.segments.filter((segment) => segment.phase === 'tail')) await extract(segment);
    return await target.compare(each<FileEntry>(snapshot.entries));
  } finally {
    await target.close();
  }
}

/** The procedure of FORMAT.md, once zstd and age are done: every segment in manifest order, the tail with -G. */
export function restoreByHand(snapshot: TakenSnapshot, directory: string): void {
  mkdirSync(directory, { recursive: true });
  for (const segment of snapshot.segments) {
    const tail = segment.phase === 'tail' ? ['--incremental'] : ['--recursive-unlink'];
    execFileSync('tar', ['-xpf', '-', '--numeric-owner', '--xattrs', '--xattrs-include=*', '--acls', ...tail, '-C', directory], {
      input: segment.bytes,
      env: { PATH: process.env.PATH, LC_ALL: 'C' },
    });
  }
}

// Restores snapshots taken by tests: through the target, and by hand with GNU tar alone.

import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { localHost } from '../../../src/host/local.ts';
import type { FileEntry } from '../../../src/source/source.ts';
import { DirectoryTarget } from '../../../src/target/files/directory-target.ts';
import type { WantedMember } from '../../../src/target/target.ts';
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
  const members = new Map<string, WantedMember[]>();
  for (const { path, segment, member, mtimeNs } of snapshot.entries) {
    const list = members.get(segment as string) ?? [];
    list.push(member === undefined ? path : { member, path, mtimeNs });
    members.set(segment as string, list);
  }
  const target = new DirectoryTarget(directory, localHost);
  try {
    await target.prepare('snapshot');
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

/**
 * The procedure of FORMAT.md, once zstd and age are done: every segment in manifest order, then the tail with -G. When a segment
 * complains, a path changed between file and directory: the tail with -G clears the way, and the segment comes again.
 */
export function restoreByHand(snapshot: TakenSnapshot, directory: string): void {
  mkdirSync(directory, { recursive: true });
  const extract = (content: Buffer, ...more: string[]): boolean => {
    const args = ['-xpf', '-', '--numeric-owner', '--xattrs', '--xattrs-include=*', '--acls', ...more, '-C', directory];
    return spawnSync('tar', args, { input: content, env: { PATH: process.env.PATH, LC_ALL: 'C' } }).status === 0;
  };
  const tails = snapshot.segments.filter((segment) => segment.phase === 'tail');
  for (const { phase, bytes: content } of snapshot.segments) {
    if (phase === 'tail' || extract(content)) continue;
    for (const tail of tails) extract(tail.bytes, '--incremental');
    extract(content);
  }
  for (const tail of tails) if (!extract(tail.bytes, '--incremental')) throw new Error('the tail could not be extracted');
}

// More older entries than memory may hold: those in the scratch database answer as those in memory do.
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { OlderEntries } from '../../../src/source/files/older-entries.ts';
import type { Found } from '../../../src/source/files/walk.ts';
import type { FileEntry } from '../../../src/source/source.ts';

/** A little more than fit into memory. */
const COUNT = 100_050;

function entryAt(i: number): FileEntry {
  return {
    ...{ type: 'file', path: `img/${i}/caf\xc3\xa9-${i}.jpg`, sizeBytes: 1000 + i, mode: 0o644, uid: 33, gid: 33 },
    ...{ mtimeNs: 1_700_000_000_123_456_789n + BigInt(i), ctimeNs: 1_700_000_000_223_456_789n, inode: 2n ** 60n + BigInt(i) },
    ...{ sha256: String(i).padStart(64, '0'), segment: 'segment' },
  } as FileEntry;
}

const foundAt = (i: number): Found => ({ ...(entryAt(i) as unknown as Found), occupiedBytes: 4096, device: 1n, links: 1 });

test('entries beyond what memory holds - unchanged, touched and moved files are found among them as among the first', () => {
  const db = new DatabaseSync(':memory:');
  try {
    const older = new OlderEntries(db);
    for (let i = 0; i < COUNT; i++) older.add(entryAt(i));
    // a second index says otherwise of the same paths: the first one serves
    for (const i of [3, COUNT - 3]) older.add({ ...entryAt(i), segment: 'less preferred' });
    for (const i of [0, 3, COUNT - 3, COUNT - 1]) {
      const found = foundAt(i);
      expect(older.unchanged(found)).toEqual(entryAt(i));
      for (const other of [{ ctimeNs: 0n }, { mtimeNs: 0n }, { inode: 1n }, { sizeBytes: 1 }, { type: 'symlink' as const }]) {
        expect(older.unchanged({ ...found, ...other })).toBeNull();
      }
      const stored = { path: found.path, member: found.path, restamped: false, mtimeNs: found.mtimeNs, segment: 'segment' };
      expect(older.sameIfEqual({ ...found, mtimeNs: 5n })).toMatchObject(stored);
      expect(older.sameIfEqual({ ...found, mode: 0o600 })).toBeNull();
      expect(older.movedFrom({ ...found, path: 'elsewhere' })).toMatchObject([stored]);
      expect(older.movedFrom(found)).toEqual([]);
      expect(older.movedFrom({ ...found, path: 'elsewhere', uid: 0 })).toEqual([]);
    }
    expect(older.unchanged({ ...foundAt(0), path: 'unknown' })).toBeNull();
  } finally {
    db.close();
  }
});

test('any number of files that look alike - one that kept its name is found, and none is looked for among all of them', () => {
  const db = new DatabaseSync(':memory:');
  try {
    const older = new OlderEntries(db);
    const alike = (i: number, folder: string) => ({ ...entryAt(0), path: `${folder}/tiny-${i}.gif` });
    for (let i = 0; i < 2 * COUNT; i++) older.add(alike(i, 'old'));
    for (const i of [0, 50, COUNT - 60, COUNT + 60, 2 * COUNT - 1]) {
      const candidates = older.movedFrom({ ...foundAt(0), path: alike(i, 'new').path });
      expect(candidates[0]?.path).toBe(alike(i, 'old').path);
      expect(candidates.length).toBeLessThanOrEqual(16);
    }
  } finally {
    db.close();
  }
});

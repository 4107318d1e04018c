import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compressIndex, decodeIndex, IndexWriter, readIndex } from '../../src/segment/index-file.ts';
import { encodeEntry } from '../../src/segment/index-line.ts';
import type { FileEntry, IndexEntry } from '../../src/source/source.ts';
import { until } from '../servers/rig.ts';
import { chunked, run } from './bytes.ts';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coffre-index-'));
  path = join(folder, 'index.ndjson');
});
afterEach(() => rm(folder, { recursive: true }));

const entry = (number: number): FileEntry => ({
  type: 'file',
  path: `d/${number}${number % 7 === 0 ? '\xe9' : ''}`,
  sizeBytes: number,
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtimeNs: BigInt(number),
  ctimeNs: 1n,
  inode: 1n,
});
const range = (from: number, to: number): FileEntry[] => Array.from({ length: to - from }, (_, i) => entry(from + i));

async function all(entries: AsyncIterable<IndexEntry>): Promise<IndexEntry[]> {
  const list: IndexEntry[] = [];
  for await (const one of entries) list.push(one);
  return list;
}

describe('index file', () => {
  it('entries come back in order, plain, compressed, and through zstd alone', async () => {
    const writer = await IndexWriter.open(path);
    await writer.append(range(0, 10));
    await writer.append([]);
    await writer.append(range(10, 30_000));
    expect(writer.entries).toBe(30_000);
    await writer.close();
    const expected = range(0, 30_000);
    expect(await all(readIndex(path))).toEqual(expected);
    const target = join(folder, 'x.ndjson.zst');
    await compressIndex(path, target);
    expect(await all(readIndex(target))).toEqual(expected);
    const plain = await readFile(path);
    const stored = await readFile(target);
    expect((await run('zstd', ['-d', '-q', '-c'], stored)).equals(plain)).toBe(true);
    expect((await readdir(folder)).sort()).toEqual(['index.ndjson', 'x.ndjson.zst']);
    for (const size of [1009, 1 << 20]) expect(await all(decodeIndex(chunked(plain, size), 'k'))).toEqual(expected);
  });

  it('an empty index is an index', async () => {
    await (await IndexWriter.open(path)).close();
    expect(await all(readIndex(path))).toEqual([]);
    await compressIndex(path, `${path}.zst`);
    expect(await all(readIndex(`${path}.zst`))).toEqual([]);
  });

  it('appends that overlap keep their order and their lines', async () => {
    const writer = await IndexWriter.open(path);
    await Promise.all(Array.from({ length: 20 }, (_, i) => writer.append(range(i * 1000, (i + 1) * 1000))));
    await writer.flush();
    expect(await all(readIndex(path))).toEqual(range(0, 20_000));
    await writer.close();
  });

  it('a torn last line is left out when read, and cut off when resumed', async () => {
    const writer = await IndexWriter.open(path);
    await writer.append(range(0, 5));
    await writer.close();
    for (const torn of [encodeEntry(entry(5)).slice(0, -10), '{', '\0\0\0\0']) {
      await appendFile(path, torn);
      expect(await all(readIndex(path))).toEqual(range(0, 5));
      const resumed = await IndexWriter.resume(path);
      expect(resumed.entries).toBe(5);
      await resumed.close();
      expect(await all(readIndex(path))).toEqual(range(0, 5));
    }
    const resumed = await IndexWriter.resume(path);
    await resumed.append(range(5, 9));
    expect(resumed.entries).toBe(9);
    await resumed.close();
    expect(await all(readIndex(path))).toEqual(range(0, 9));
  });

  it('a torn line is an error where the index was complete', async () => {
    await writeFile(path, encodeEntry(entry(1)).slice(0, -1));
    await compressIndex(path, `${path}.zst`);
    await expect(all(readIndex(`${path}.zst`))).rejects.toMatchObject({ code: 'E_FORMAT' });
    await expect(all(decodeIndex(chunked(await readFile(path), 9), 'k'))).rejects.toMatchObject({ code: 'E_FORMAT' });
  });

  it('garbage is E_FORMAT with file and line', async () => {
    await writeFile(path, `${encodeEntry(entry(1))}${encodeEntry(entry(2))}garbage\n${encodeEntry(entry(3))}`);
    await expect(all(readIndex(path))).rejects.toMatchObject({ code: 'E_FORMAT', message: expect.stringContaining(`${path}: line 3`) });
    await writeFile(path, Buffer.from([0x7b, 0xff, 0x7d, 0x0a]));
    await expect(all(readIndex(path))).rejects.toMatchObject({ code: 'E_FORMAT' });
    await writeFile(`${path}.zst`, 'garbage');
    await expect(all(readIndex(`${path}.zst`))).rejects.toMatchObject({ code: 'E_FORMAT' });
  });

  it('a missing file or folder is E_STATE', async () => {
    await expect(all(readIndex(join(folder, 'none')))).rejects.toMatchObject({ code: 'E_STATE' });
    await expect(IndexWriter.open(join(folder, 'none', 'x'))).rejects.toMatchObject({ code: 'E_STATE' });
    await expect(IndexWriter.resume(join(folder, 'none'))).rejects.toMatchObject({ code: 'E_STATE' });
    await expect(compressIndex(join(folder, 'none'), join(folder, 'y'))).rejects.toMatchObject({ code: 'E_STATE' });
    expect(await readdir(folder)).toEqual([]);
  });

  it('a full disk is E_STATE_SPACE, and later appends fail too', async () => {
    const writer = await IndexWriter.open('/dev/full');
    await expect(writer.append(range(0, 10))).rejects.toMatchObject({ code: 'E_STATE_SPACE' });
    await expect(writer.append(range(10, 20))).rejects.toMatchObject({ code: 'E_STATE_SPACE' });
    await writer.close().catch(() => {});
  });

  it('a reader that stops early leaves nothing open', async () => {
    const writer = await IndexWriter.open(path);
    await writer.append(range(0, 20_000));
    await writer.close();
    await compressIndex(path, `${path}.zst`);
    for (const file of [path, `${path}.zst`]) {
      for await (const one of readIndex(file)) {
        expect((one as FileEntry).path).toBe('d/0\xe9');
        break;
      }
    }
    const { readlinkSync, readdirSync } = await import('node:fs');
    const open = (): string[] =>
      readdirSync('/proc/self/fd').flatMap((fd) => {
        try {
          return [readlinkSync(`/proc/self/fd/${fd}`)];
        } catch {
          return [];
        }
      });
    // a thread of libuv's closes it
    await until('it is closed', 10_000, () => !open().some((name) => name.startsWith(folder)));
  });
});

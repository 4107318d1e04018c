import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EntryLine, EntryLines } from '../../src/segment/entry-line.ts';
import { decodeEntry, encodeEntry } from '../../src/segment/index-line.ts';
import type { FileEntry, FileStat } from '../../src/source/source.ts';

const IDS = ['01aryz6s41tsv4rrffq69g5fav', '01aryz6s41tsv4rrffq69g5faw'] as const;

const usual: FileEntry = {
  ...{ type: 'file', path: 'img/p/1/1-home.jpg', sizeBytes: 1234, mode: 0o644, uid: 33, gid: 33 },
  ...{ mtimeNs: 1732280000123456789n, ctimeNs: 1732280000123456790n, inode: 18446744073709551615n },
  ...{ sha256: 'ab'.repeat(32), segment: IDS[0] },
};

const paths = fc.oneof(
  fc.constantFrom('a', 'a/b.php', '..a', 'a..', 'quote"', 'back\\slash', 'new\nline', 'é', '\xff', 'a","s":1', '{"t":"f","p":"x', ' '),
  fc
    .uint8Array({ minLength: 1, maxLength: 12 })
    .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 ? 1 : byte))).toString('latin1'))
    .filter((path) => !path.startsWith('/') && !path.split('/').includes('..')),
);
const entries = fc
  .record(
    {
      type: fc.constantFrom('file', 'directory', 'fifo', 'device' as const),
      path: paths,
      sizeBytes: fc.maxSafeNat(),
      mode: fc.nat(0o177777),
      uid: fc.nat(2 ** 31),
      gid: fc.nat(2 ** 31),
      mtimeNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n }),
      ctimeNs: fc.bigInt({ min: 0n, max: 2n ** 63n }),
      inode: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      sha256: fc.constant('0f'.repeat(32)),
      segment: fc.constantFrom(...IDS),
      member: paths,
      extended: fc.constant(true as const),
      unstable: fc.constant(true as const),
    },
    { requiredKeys: ['type', 'path', 'sizeBytes', 'mode', 'uid', 'gid', 'mtimeNs', 'ctimeNs', 'inode'] },
  )
  .map((entry) => entry as FileEntry);

const FIELDS = ['type', 'path', 'sizeBytes', 'mode', 'uid', 'gid', 'mtimeNs', 'ctimeNs', 'inode', 'sha256', 'segment'] as const;
const RARE = ['target', 'member', 'extended', 'unstable'] as const;

const lineOf = (entry: FileEntry): string => encodeEntry(entry).slice(0, -1);
const read = (line: string, lines = new EntryLines()): EntryLine | null => lines.read(line, false);

describe('a line read only as far as needed', () => {
  it('any entry - says what the decoded one says, or leaves it to be decoded', () => {
    const lines = new EntryLines();
    fc.assert(
      fc.property(entries, (entry) => {
        const line = lineOf(entry);
        const short = read(line, lines);
        if (short === null) return;
        const whole = decodeEntry(line, () => 'here') as FileEntry;
        for (const field of [...FIELDS, ...RARE]) expect((short as FileEntry)[field]).toEqual(whole[field]);
        expect(short.saysOf(entry)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it('a usual file or directory - is one of those that need no decoding', () => {
    expect(read(lineOf(usual))).toBeInstanceOf(EntryLine);
    const { sha256: _, ...directory } = usual;
    expect(read(lineOf({ ...directory, type: 'directory' }))).toBeInstanceOf(EntryLine);
  });

  it('one field of what was found differs - says so', () => {
    const line = read(lineOf(usual));
    const differing: Partial<FileStat>[] = [
      ...[{ type: 'directory' } as const, { sizeBytes: 123 }, { sizeBytes: 12345 }, { mode: 0o600 }, { uid: 3 }, { gid: 333 }],
      ...[{ mtimeNs: usual.mtimeNs + 1n }, { ctimeNs: usual.ctimeNs - 1n }, { inode: 1n }, { inode: 1844674407370955161n }],
    ];
    expect(line?.saysOf(usual)).toBe(true);
    for (const other of differing) expect(line?.saysOf({ ...usual, ...other }), JSON.stringify(Object.keys(other))).toBe(false);
  });

  it('something between inode and segment that coffre does not write - is not taken for unchanged, and refused when it is read', () => {
    const good = lineOf(usual);
    for (const bad of [good.replace('"h":"abab', '"h":"ABAB'), good.replace('"h":"ab', '"h":"'), good.replace(',"h"', ',"z":1,"h"')]) {
      expect(read(bad)?.saysOf(usual), bad).toBe(false);
    }
    expect(() => read(good.replace('"h":"ab', '"h":"'))?.sha256).toThrow(/a wrong SHA-256/);
  });

  it('a path out of the tree, a wrong segment, a torn line - none of them is read', () => {
    const good = lineOf(usual);
    for (const bad of [
      ...[good.replace('img/p', '../p'), good.replace('img/p', '/img'), good.replace(IDS[0], 'x'.repeat(26)), good.slice(0, -1), '', '{}'],
      ...[good.replace('"s":1234', '"s":-1'), good.replace('"s":1234', '"s":'), good.replace('"s":1234', '"s":99999999999999999999')],
    ]) {
      expect(read(bad), bad).toBeNull();
    }
  });
});

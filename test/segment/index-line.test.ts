import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeEntry, encodeEntry } from '../../src/segment/index-line.ts';
import type { FileEntry, IndexEntry } from '../../src/source/source.ts';

const ID = '01aryz6s41tsv4rrffq69g5fav';
const decode = (line: string): IndexEntry => decodeEntry(line.replace(/\n$/, ''), () => 'here');

const file: FileEntry = {
  type: 'file',
  path: 'img/p/1/1-home.jpg',
  sizeBytes: 1234,
  mode: 0o644,
  uid: 33,
  gid: 33,
  mtimeNs: 1732280000123456789n,
  ctimeNs: 1732280000123456790n,
  inode: 18446744073709551615n,
  sha256: 'ab'.repeat(32),
  segment: ID,
};

/** A relative path in bytes, one character a byte, as file systems allow it. */
const bytePath = fc
  .uint8Array({ minLength: 1, maxLength: 40 })
  .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 ? 1 : byte))).toString('latin1'))
  .filter((path) => !path.startsWith('/') && !path.split('/').includes('..'));
const utf8Path = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
  .map((text) => Buffer.from(text.replaceAll('\0', '_')).toString('latin1'))
  .filter((path) => !path.startsWith('/') && !path.split('/').includes('..'));

const entries: fc.Arbitrary<IndexEntry> = fc.oneof(
  fc
    .record(
      {
        type: fc.constantFrom('file', 'directory', 'fifo', 'device' as const),
        path: fc.oneof(bytePath, utf8Path),
        sizeBytes: fc.maxSafeNat(),
        mode: fc.nat(0o177777),
        uid: fc.nat(2 ** 31),
        gid: fc.nat(2 ** 31),
        mtimeNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n }),
        ctimeNs: fc.bigInt({ min: 0n, max: 2n ** 63n }),
        inode: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        sha256: fc.constant('0f'.repeat(32)),
        segment: fc.constant(ID),
        unstable: fc.constant(true as const),
      },
      { requiredKeys: ['type', 'path', 'sizeBytes', 'mode', 'uid', 'gid', 'mtimeNs', 'ctimeNs', 'inode'] },
    )
    .map((entry) => entry as FileEntry),
  fc
    .record({ type: fc.constantFrom('symlink' as const, 'hardlink' as const), target: fc.oneof(bytePath, utf8Path) })
    .map((link) => ({ ...file, ...link })),
  fc
    .record(
      {
        type: fc.constantFrom('sql' as const, 'rows' as const),
        name: fc.string({ unit: 'grapheme' }),
        rows: fc.dictionary(fc.string({ unit: 'grapheme' }), fc.maxSafeNat()),
        table: fc.string(),
        segment: fc.constant(ID),
      },
      { requiredKeys: ['type', 'name', 'rows'] },
    )
    .map((entry) => entry as IndexEntry),
);

describe('index line', () => {
  it('every entry comes back, on one line', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        const line = encodeEntry(entry);
        expect(line.indexOf('\n')).toBe(line.length - 1);
        expect(Buffer.from(line).toString('utf8')).toBe(line);
        const decoded = decode(line);
        if ('rows' in decoded && 'rows' in entry)
          expect({ ...decoded, rows: { ...decoded.rows } }).toEqual({ ...entry, rows: { ...entry.rows } });
        else expect(decoded).toEqual(entry);
      }),
      { numRuns: 500 },
    );
  });

  it('the line of a file is the one that FORMAT.md shows', () => {
    expect(encodeEntry(file)).toBe(
      `{"t":"f","p":"img/p/1/1-home.jpg","s":1234,"m":420,"u":33,"g":33,"mt":"1732280000123456789","ct":"1732280000123456790","i":"18446744073709551615","h":"${'ab'.repeat(32)}","sg":"${ID}"}\n`,
    );
  });

  it('names: UTF-8 is text, anything else base64, and both keep their bytes', () => {
    const withPath = (bytes: number[] | Buffer): [string, string] => {
      const path = Buffer.from(bytes).toString('latin1');
      const line = encodeEntry({ ...file, path });
      return [line, (decode(line) as FileEntry).path === path ? 'same' : 'other'];
    };
    expect(withPath(Buffer.from('é\n"\ufeff\u{1f600}'))).toEqual([expect.stringContaining('"p":"é\\n\\"\ufeff\u{1f600}"'), 'same']);
    expect(withPath([0x65, 0xcc, 0x81])).toEqual([expect.stringContaining('"p":"e\u0301"'), 'same']);
    // Latin-1 é, an overlong slash, half a surrogate, a cut character: not UTF-8.
    for (const bytes of [[0xe9], [0x61, 0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) {
      expect(withPath(bytes)).toEqual([expect.stringContaining(`"pb":"${Buffer.from(bytes).toString('base64')}"`), 'same']);
    }
  });

  it('garbage is E_FORMAT and says where', () => {
    const good = JSON.parse(encodeEntry(file));
    const link = JSON.parse(encodeEntry({ ...file, type: 'symlink', target: 'x' }));
    const lines = [
      '',
      '{',
      'null',
      '1',
      '[]',
      '{"t":"z"}',
      ...[
        { ...good, t: 1 },
        { ...good, t: 'constructor' },
        { ...good, p: undefined },
        { ...good, p: '' },
        { ...good, p: '/etc/passwd' },
        { ...good, p: 'a/../../b' },
        { ...good, p: '..' },
        { ...good, p: 'a\0b' },
        { ...good, p: '\ud800' },
        { ...good, p: undefined, pb: Buffer.from('../x').toString('base64') },
        { ...good, s: -1 },
        { ...good, s: 1.5 },
        { ...good, s: '1' },
        { ...good, mt: 1732280000 },
        { ...good, mt: '1e3' },
        { ...good, i: '0x10' },
        { ...good, h: 'AB'.repeat(32) },
        { ...good, sg: '../x' },
        { ...good, x: true },
        { ...link, l: undefined },
        { ...link, t: 'h', l: '/etc/shadow' },
        { t: 'rows', n: 'x' },
        { t: 'rows', n: 'x', r: [1] },
        { t: 'rows', n: 'x', r: { a: -1 } },
        { t: 'sql', r: {} },
        { t: 'sql', n: 'x', r: {}, tb: 1 },
      ].map((value) => JSON.stringify(value)),
    ];
    for (const line of lines) {
      expect(() => decode(line), line).toThrow(expect.objectContaining({ code: 'E_FORMAT', message: expect.stringMatching(/^here: /) }));
    }
  });

  it('a link may point anywhere, a table may be called __proto__, a file name may hold two dots', () => {
    expect(decode(encodeEntry({ ...file, type: 'symlink', target: '/../etc' }))).toMatchObject({ target: '/../etc' });
    expect((decode(encodeEntry({ ...file, path: 'a..b/..c' })) as FileEntry).path).toBe('a..b/..c');
    const rows = JSON.parse('{"__proto__": 3}');
    const chunk = decode(encodeEntry({ type: 'rows', name: 'x', rows }));
    expect(Object.entries((chunk as { rows: object }).rows)).toEqual([['__proto__', 3]]);
  });
});

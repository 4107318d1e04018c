import { randomBytes } from 'node:crypto';
import { zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compress, decompress, decompressInPlace, FRAME_BYTES, FrameCompressor } from '../../src/segment/zstd.ts';
import { chunked, collect, run, seeded } from './bytes.ts';

const decompressAll = (stored: Uint8Array, chunkBytes = 1 << 16): Promise<Buffer> => collect(decompress(chunked(stored, chunkBytes)));

describe('zstd', () => {
  it('any bytes in any chunks come back', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 20 }),
        fc.integer({ min: 1, max: 5000 }),
        async (chunks, chunkBytes) => {
          const stored = await collect(
            compress(
              (async function* () {
                yield* chunks;
              })(),
            ),
          );
          expect(await decompressAll(stored, chunkBytes)).toEqual(Buffer.concat(chunks));
        },
      ),
      { numRuns: 40 },
    );
  });

  it('sizes around the step come back, and the zstd command agrees', async () => {
    for (const size of [0, 1, 131071, 131072, 131073, 1_000_000]) {
      const plain = seeded(size, size);
      for (const chunkBytes of [997, 131072, 2_000_000]) {
        const stored = await collect(compress(chunked(plain, chunkBytes)));
        expect((await run('zstd', ['-d', '-q', '-c'], stored)).equals(plain)).toBe(true);
        expect((await decompressAll(stored, chunkBytes)).equals(plain)).toBe(true);
      }
    }
    const byCommand = await run('zstd', ['-q', '-3', '-c'], seeded(300_000));
    expect((await decompressAll(byCommand)).equals(seeded(300_000))).toBe(true);
  });

  it('the frame has a checksum that the zstd command verifies', async () => {
    const stored = await collect(compress(chunked(seeded(1000), 100)));
    stored[stored.length - 1] = (stored.at(-1) as number) ^ 1;
    await expect(run('zstd', ['-d', '-q', '-c'], stored)).rejects.toThrow(/checksum/i);
    await expect(decompressAll(stored)).rejects.toMatchObject({ code: 'E_FORMAT' });
  });

  it('several frames one after the other are one plaintext, wherever the chunks are cut', async () => {
    const frames = [zstdCompressSync(seeded(5000, 1)), zstdCompressSync(Buffer.alloc(0)), zstdCompressSync(seeded(200_000, 2))];
    const stored = Buffer.concat(frames);
    for (const chunkBytes of [1, (frames[0] as Buffer).length, 1 << 20]) {
      expect((await decompressAll(stored, chunkBytes)).equals(Buffer.concat([seeded(5000, 1), seeded(200_000, 2)]))).toBe(true);
    }
  });

  it('a truncated frame is E_FORMAT, at every length', async () => {
    const stored = zstdCompressSync(seeded(600));
    for (let length = 0; length < stored.length; length++) {
      await expect(decompressAll(stored.subarray(0, length)), `${length}`).rejects.toMatchObject({ code: 'E_FORMAT' });
    }
  });

  it('trailing garbage is E_FORMAT, in the same chunk and in a later one', async () => {
    const stored = zstdCompressSync(seeded(600));
    for (const garbage of ['x', 'garbage, longer than a frame header', '\0\0\0\0\0\0\0\0']) {
      const both = Buffer.concat([stored, Buffer.from(garbage)]);
      for (const chunkBytes of [both.length, stored.length, 1]) {
        await expect(decompressAll(both, chunkBytes)).rejects.toMatchObject({ code: 'E_FORMAT' });
      }
    }
  });

  it('a frame that wants a larger window than the format allows is E_FORMAT', async () => {
    const stored = await run('zstd', ['-q', '-c', '--long=27', '-1'], Buffer.alloc(17 << 20));
    await expect(decompressAll(stored)).rejects.toMatchObject({ code: 'E_FORMAT' });
  });

  it('a small input that expands enormously is given out piece by piece', async () => {
    const zeros = Buffer.alloc(1 << 20);
    const bomb = await collect(
      compress(
        (async function* () {
          for (let i = 0; i < 256; i++) yield zeros;
        })(),
      ),
    );
    expect(bomb.length).toBeLessThan(64 * 1024);
    let largest = 0;
    let pieces = 0;
    for await (const piece of decompress(chunked(bomb, bomb.length))) {
      largest = Math.max(largest, piece.length);
      pieces += 1;
      if (pieces === 10) break;
    }
    expect(largest).toBeLessThanOrEqual(1 << 20);
  });

  it('a consumer that stops closes the source', async () => {
    let closed = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield seeded(200_000);
      } finally {
        closed = true;
      }
    }
    for await (const _ of compress(endless())) break;
    expect(closed).toBe(true);
  });

  it('an error of the source comes through as it is', async () => {
    const error = new Error('the disk');
    // biome-ignore lint/correctness/useYield: it fails before it could
    async function* failing(): AsyncGenerator<Uint8Array> {
      throw error;
    }
    await expect(collect(compress(failing()))).rejects.toBe(error);
    await expect(collect(decompress(failing()))).rejects.toBe(error);
  });
});

describe('zstd in place', () => {
  const inPlace = async (stored: Uint8Array, chunkBytes: number): Promise<Buffer> => {
    const pieces: Buffer[] = [];
    for await (const chunk of decompressInPlace(chunked(stored, chunkBytes))) pieces.push(Buffer.from(chunk));
    return Buffer.concat(pieces);
  };

  it('frames made one after the other - each is whole by itself, the zstd command and both readers agree', async () => {
    const compressor = new FrameCompressor();
    const sizes = [0, 1, 1000, FRAME_BYTES - 1, FRAME_BYTES, 70_000];
    const plain = sizes.map((size, at) => (at % 2 === 0 ? seeded(size, at) : Buffer.alloc(size, 'row of a shop;')));
    const frames = plain.map((bytes) => Buffer.from(compressor.frame(bytes)));
    compressor.close();
    for (const [at, frame] of frames.entries())
      expect((await run('zstd', ['-d', '-q', '-c'], frame)).equals(plain[at] as Buffer)).toBe(true);
    const stored = Buffer.concat(frames);
    const whole = Buffer.concat(plain);
    expect((await run('zstd', ['-d', '-q', '-c'], stored)).equals(whole)).toBe(true);
    for (const chunkBytes of [997, 1 << 20, stored.length]) {
      expect((await inPlace(stored, chunkBytes)).equals(whole)).toBe(true);
      expect((await decompressAll(stored, chunkBytes)).equals(whole)).toBe(true);
    }
  });

  it('what does not compress - the frame fits all the same', () => {
    const compressor = new FrameCompressor();
    expect(compressor.frame(randomBytes(FRAME_BYTES)).length).toBeGreaterThan(FRAME_BYTES);
    compressor.close();
  });

  it('damaged, no frame, or more history than allowed - E_FORMAT', async () => {
    const good = zstdCompressSync(Buffer.alloc(3_000_000, 'abcdefgh'));
    const damaged = Buffer.from(good);
    damaged[4] = (damaged[4] as number) ^ 0xff;
    for (const stored of [damaged, Buffer.from('this is no frame at all'), Buffer.concat([good, Buffer.from('garbage')])]) {
      await expect(inPlace(stored, 1 << 16)).rejects.toMatchObject({ code: 'E_FORMAT' });
    }
    const long = await run('zstd', ['-q', '--long=27', '-c'], Buffer.alloc(20_000_000, seeded(9_000_000)));
    await expect(inPlace(long, 1 << 16)).rejects.toMatchObject({ code: 'E_FORMAT' });
  });
});

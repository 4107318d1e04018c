import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeIdentity, recipientOf } from '../../src/segment/age.ts';
import { openBuffer, openStream } from '../../src/segment/open.ts';
import { type SealedStream, seal, sealStream } from '../../src/segment/seal.ts';
import { chunked, collect, run, seeded, sha256 } from './bytes.ts';

const identity = await makeIdentity();
const recipient = await recipientOf(identity);

async function stuck(): Promise<never> {
  return new Promise(() => {});
}

describe('seal', () => {
  it.each([0, 1, 65536, 300_001, 5_000_000])('%i bytes: sealed, measured, opened again, encrypted and not', async (size) => {
    const plain = seeded(size, size + 3);
    for (const [recipients, identities] of [
      ['none', 'none'],
      [[recipient], [identity]],
    ] as const) {
      const { stored, facts } = await seal(chunked(plain, 60_000), { recipients });
      expect(facts).toEqual({ plainBytes: size, plainSha256: sha256(plain), storedBytes: stored.length, storedSha256: sha256(stored) });
      const options = { what: 'k', expected: facts, identities };
      expect((await collect(openBuffer(stored, options))).equals(plain)).toBe(true);
      expect((await collect(openStream(chunked(stored, 50_000), options))).equals(plain)).toBe(true);
    }
  });

  it('a list of chunks serves as plaintext, and any estimate does', async () => {
    const plain = randomBytes(300_000);
    for (const estimatedBytes of [0, 1, 300_000, 10 ** 12]) {
      const { stored, facts } = await seal([plain.subarray(0, 1), plain.subarray(1)], { recipients: 'none', estimatedBytes });
      expect(sha256(stored)).toBe(facts.storedSha256);
      expect(facts.plainSha256).toBe(sha256(plain));
      expect(facts.storedBytes).toBeGreaterThan(300_000);
    }
  });

  it('the stream gives the same facts as what came out of it', async () => {
    const plain = seeded(3_000_000);
    const sealing = sealStream(chunked(plain, 100_000), { recipients: [recipient] });
    expect(() => sealing.facts()).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
    const stored = await collect(sealing.stored);
    expect(sealing.facts()).toEqual({
      plainBytes: plain.length,
      plainSha256: sha256(plain),
      storedBytes: stored.length,
      storedSha256: sha256(stored),
    });
  });

  it('what is sealed comes back with age and zstd alone', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'coffre-seal-'));
    try {
      const file = join(folder, 'identity');
      await writeFile(file, `${identity}\n`);
      const plain = seeded(700_000);
      const { stored } = await seal(chunked(plain, 4096), { recipients: [recipient] });
      const compressed = await run('age', ['-d', '-i', file], stored);
      expect((await run('zstd', ['-d', '-q', '-c'], compressed)).equals(plain)).toBe(true);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('any chunks round trip', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 2000 }), { maxLength: 30 }), fc.boolean(), async (chunks, encrypted) => {
        const { stored, facts } = await seal(chunks, { recipients: encrypted ? [recipient] : 'none' });
        const opened = await collect(openBuffer(stored, { what: 'k', expected: facts, identities: encrypted ? [identity] : 'none' }));
        expect(opened.equals(Buffer.concat(chunks))).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it('an empty list of recipients is an error and never a plaintext object', async () => {
    await expect(seal([seeded(10)], { recipients: [] })).rejects.toMatchObject({ code: 'E_KEY' });
  });

  it('an abort ends it at once with its reason, even when the source is stuck', async () => {
    const controller = new AbortController();
    const reason = new Error('stop');
    async function* source(): AsyncGenerator<Uint8Array> {
      yield seeded(500_000);
      queueMicrotask(() => controller.abort(reason));
      await stuck();
    }
    await expect(seal(source(), { recipients: [recipient], signal: controller.signal })).rejects.toBe(reason);
    await expect(seal(source(), { recipients: 'none', signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it('an error of the source comes through as it is', async () => {
    const error = new Error('the table was altered');
    async function* source(): AsyncGenerator<Uint8Array> {
      yield seeded(500_000);
      throw error;
    }
    await expect(seal(source(), { recipients: [recipient] })).rejects.toBe(error);
  });

  it('a consumer that stops closes the source and gets no facts', async () => {
    let closed = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield randomBytes(200_000);
      } finally {
        closed = true;
      }
    }
    const sealing: SealedStream = sealStream(source(), { recipients: [recipient], signal: new AbortController().signal });
    let read = 0;
    for await (const chunk of sealing.stored) {
      read += chunk.length;
      if (read > 300_000) break;
    }
    expect(closed).toBe(true);
    expect(() => sealing.facts()).toThrow();
  });

  it('the source is read no faster than the object is taken', async () => {
    let given = 0;
    async function* source(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 200; i++) {
        given += 1 << 18;
        yield randomBytes(1 << 18);
      }
    }
    let taken = 0;
    for await (const chunk of sealStream(source(), { recipients: [recipient] }).stored) {
      taken += chunk.length;
      expect(given - taken).toBeLessThan(2 << 20);
    }
    expect(taken).toBeGreaterThan(50 << 20);
  });
});

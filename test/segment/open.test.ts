import { zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { makeIdentity, recipientOf } from '../../src/segment/age.ts';
import type { SealedFacts } from '../../src/segment/manifest-types.ts';
import { checkStored, openBuffer, openSelfProving, openStream, readStored } from '../../src/segment/open.ts';
import { seal } from '../../src/segment/seal.ts';
import { chunked, collect, seeded, sha256 } from './bytes.ts';

const identity = await makeIdentity();
const recipient = await recipientOf(identity);
const plain = seeded(400_000);
const { stored, facts } = await seal([plain], { recipients: [recipient] });
const options = { what: 'dupont/segments/x.tar.zst.age', expected: facts, identities: [identity] };

function altered(at: number): Buffer {
  const copy = Buffer.from(stored);
  copy[at] = (copy[at] as number) ^ 0x10;
  return copy;
}

/** What came out before the error. */
async function attempt(opening: AsyncIterable<Uint8Array>): Promise<{ bytes: Buffer; code: string; message: string }> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of opening) chunks.push(chunk);
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return { bytes: Buffer.concat(chunks), code, message };
  }
  return { bytes: Buffer.concat(chunks), code: 'ok', message: '' };
}

const resealed = (bytes: Uint8Array, change: Partial<SealedFacts> = {}): SealedFacts => ({
  ...facts,
  storedBytes: bytes.length,
  storedSha256: sha256(bytes),
  ...change,
});

describe('openBuffer', () => {
  it('an altered, cut, extended or swapped object gives nothing out and is named with both hashes or sizes', async () => {
    const other = (await seal([seeded(400_000, 9)], { recipients: [recipient] })).stored;
    for (const bytes of [
      altered(0),
      altered(stored.length - 1),
      stored.subarray(0, -1),
      Buffer.concat([stored, Buffer.from('x')]),
      other,
    ]) {
      const result = await attempt(openBuffer(bytes, options));
      expect(result.code).toBe('E_OBJECT_ALTERED');
      expect(result.bytes.length).toBe(0);
      expect(result.message).toContain(options.what);
      expect(result.message).toMatch(
        bytes.length === stored.length ? new RegExp(`${sha256(bytes)}.*${facts.storedSha256}`) : /\d+ bytes, expected \d+/,
      );
    }
  });

  it('another identity is E_DECRYPT, naming the object', async () => {
    const result = await attempt(openBuffer(stored, { ...options, identities: [await makeIdentity()] }));
    expect(result).toMatchObject({ code: 'E_DECRYPT', message: expect.stringContaining(options.what) });
  });

  it('an object that was not encrypted is E_FORMAT when it should be, and the reverse', async () => {
    const clear = await seal([plain], { recipients: 'none' });
    expect((await attempt(openBuffer(clear.stored, { ...options, expected: clear.facts }))).code).toBe('E_FORMAT');
    expect((await attempt(openBuffer(stored, { ...options, identities: 'none' }))).code).toBe('E_FORMAT');
  });

  it('a plaintext other than the manifest says is refused although the object is the right one', async () => {
    const hash = { ...facts, plainSha256: sha256(Buffer.from('other')) };
    expect((await attempt(openBuffer(stored, { ...options, expected: hash }))).code).toBe('E_OBJECT_ALTERED');
    const size = { ...facts, plainBytes: facts.plainBytes + 1 };
    expect((await attempt(openBuffer(stored, { ...options, expected: size }))).code).toBe('E_OBJECT_ALTERED');
  });

  it('a plaintext that goes on past its size is stopped there', async () => {
    const bomb = zstdCompressSync(Buffer.alloc(50_000_000));
    const result = await attempt(openBuffer(bomb, { what: 'k', expected: resealed(bomb, { plainBytes: 1000 }), identities: 'none' }));
    expect(result.code).toBe('E_OBJECT_ALTERED');
    expect(result.bytes.length).toBeLessThanOrEqual(1000);
  });
});

describe('openStream', () => {
  it('an altered, cut or extended object ends with an error', async () => {
    const middle = Math.floor(stored.length / 2);
    for (const bytes of [
      altered(middle),
      altered(stored.length - 1),
      stored.subarray(0, -1),
      stored.subarray(0, 70_000),
      Buffer.concat([stored, Buffer.from('x')]),
    ]) {
      const result = await attempt(openStream(chunked(bytes, 10_000), options));
      expect(result.code).toBe('E_OBJECT_ALTERED');
      expect(result.message).toContain(options.what);
      // What came out was authenticated chunk by chunk: a prefix of the truth.
      expect(plain.subarray(0, result.bytes.length).equals(result.bytes)).toBe(true);
    }
  });

  it('without encryption a wrong hash is an error at the end', async () => {
    const clear = await seal([plain], { recipients: 'none' });
    const wrong = { ...clear.facts, storedSha256: sha256(Buffer.from('x')) };
    expect((await attempt(openStream(chunked(clear.stored, 1000), { ...options, identities: 'none', expected: wrong }))).code).toBe(
      'E_OBJECT_ALTERED',
    );
  });

  it('an endless object is refused when it passes its size', async () => {
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield stored;
      for (;;) yield seeded(1000);
    }
    expect((await attempt(openStream(endless(), options))).code).toBe('E_OBJECT_ALTERED');
  });

  it('an abort ends it at once with its reason', async () => {
    const controller = new AbortController();
    const reason = new Error('stop');
    async function* source(): AsyncGenerator<Uint8Array> {
      yield stored.subarray(0, 100_000);
      queueMicrotask(() => controller.abort(reason));
      await new Promise(() => {});
    }
    await expect(collect(openStream(source(), { ...options, signal: controller.signal }))).rejects.toBe(reason);
  });

  it("the vault's error comes through as it is", async () => {
    const error = new Error('connection reset');
    async function* source(): AsyncGenerator<Uint8Array> {
      yield stored.subarray(0, 100_000);
      throw error;
    }
    await expect(collect(openStream(source(), options))).rejects.toBe(error);
  });
});

describe('readStored, checkStored, openSelfProving', () => {
  it('the right object is read, another is refused', async () => {
    expect((await readStored(chunked(stored, 5000), facts, 'k')).equals(stored)).toBe(true);
    await expect(readStored(chunked(altered(7), 5000), facts, 'k')).rejects.toMatchObject({ code: 'E_OBJECT_ALTERED' });
    await expect(readStored(chunked(stored.subarray(1), 5000), facts, 'k')).rejects.toMatchObject({ code: 'E_OBJECT_ALTERED' });
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) yield seeded(100_000);
    }
    await expect(readStored(endless(), facts, 'k')).rejects.toMatchObject({ code: 'E_OBJECT_ALTERED' });
    expect(() => checkStored(stored, facts, 'k')).not.toThrow();
  });

  it('an object without known hashes opens up to a limit', async () => {
    const limits = { what: 'k', identities: [identity] };
    expect((await collect(openSelfProving(stored, { ...limits, maxPlainBytes: plain.length }))).equals(plain)).toBe(true);
    await expect(collect(openSelfProving(stored, { ...limits, maxPlainBytes: plain.length - 1 }))).rejects.toMatchObject({
      code: 'E_OBJECT_ALTERED',
    });
    expect((await attempt(openSelfProving(altered(stored.length - 5), { ...limits, maxPlainBytes: 1e9 }))).code).toBe('E_OBJECT_ALTERED');
  });
});

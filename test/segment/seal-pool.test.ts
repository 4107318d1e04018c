import { execFileSync } from 'node:child_process';
import { closeSync, constants, existsSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeIdentity, recipientOf } from '../../src/segment/age.ts';
import { openBuffer, openStream } from '../../src/segment/open.ts';
import { SealPool } from '../../src/segment/seal-pool.ts';
import { FRAME_BYTES } from '../../src/segment/zstd.ts';
import { until } from '../servers/rig.ts';
import { chunked, collect, run, seeded, sha256 } from './bytes.ts';

const identity = await makeIdentity();
const recipient = await recipientOf(identity);
const MIB = 1024 * 1024;

let folder: string;
let files = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coffre-seal-pool-'));
});
afterAll(() => rm(folder, { recursive: true }));

const overflow = (aboveBytes = 64 * MIB) => ({ aboveBytes, path: join(folder, `${++files}.spill`) });

/** A source that never gives anything more. */
async function* stuckAfter(first: Uint8Array): AsyncGenerator<Uint8Array> {
  yield first;
  await new Promise(() => {});
}

/** The real thread, which ends at its first message while `marker` is there. */
async function mortal(marker: string): Promise<URL> {
  const script = join(folder, `mortal-${++files}.mjs`);
  const real = pathToFileURL(join(import.meta.dirname, '../../src/segment/seal-worker.ts')).href;
  await writeFile(
    script,
    `import { existsSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
await import(${JSON.stringify(real)});
parentPort.on('message', (message) => { if (message.type === 'piece' && existsSync(${JSON.stringify(marker)})) process.exit(3); });`,
  );
  return pathToFileURL(script);
}

describe('the sealing threads', () => {
  it('no plaintext, a frame, one byte less and more, several - measured, opened again, encrypted and not', async () => {
    await using pool = new SealPool({ threads: 2 });
    for (const size of [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 3 * FRAME_BYTES + 12_345]) {
      const plain = seeded(size, size + 3);
      for (const [recipients, identities] of [
        ['none', 'none'],
        [[recipient], [identity]],
      ] as const) {
        const { stored, facts } = await pool.seal(chunked(plain, 300_000), { recipients, estimatedBytes: size }, overflow());
        if (stored === null) throw new Error('spilled');
        expect(facts).toEqual({ plainBytes: size, plainSha256: sha256(plain), storedBytes: stored.length, storedSha256: sha256(stored) });
        const options = { what: 'k', expected: facts, identities };
        expect((await collect(openBuffer(stored, options))).equals(plain)).toBe(true);
        expect((await collect(openStream(chunked(stored, 50_000), options))).equals(plain)).toBe(true);
      }
    }
  });

  it('what they seal comes back with age and zstd alone', async () => {
    await using pool = new SealPool({ threads: 1 });
    const file = join(folder, 'identity');
    await writeFile(file, `${identity}\n`);
    const plain = seeded(5_000_000);
    const { stored } = await pool.seal(chunked(plain, 65_536), { recipients: [recipient] }, overflow());
    const compressed = await run('age', ['-d', '-i', file], stored as Buffer);
    expect((await run('zstd', ['-d', '-q', '-c'], compressed)).equals(plain)).toBe(true);
  });

  it('a source that writes each chunk into the same buffer - nothing of it is taken by reference', async () => {
    await using pool = new SealPool({ threads: 1 });
    const plain = seeded(9_000_000);
    async function* source(): AsyncGenerator<Uint8Array> {
      const buffer = Buffer.alloc(FRAME_BYTES);
      for (let at = 0; at < plain.length; at += buffer.length) {
        const part = plain.subarray(at, at + buffer.length);
        buffer.set(part);
        yield buffer.subarray(0, part.length);
      }
    }
    const { facts } = await pool.seal(source(), { recipients: 'none' }, overflow());
    expect(facts.plainSha256).toBe(sha256(plain));
  });

  it('more segments at once than threads - each is its own', async () => {
    await using pool = new SealPool({ threads: 2 });
    const plains = Array.from({ length: 7 }, (_, i) => seeded(2_500_000 + i * 400_000, i + 1));
    const sealed = await Promise.all(plains.map((plain) => pool.seal(chunked(plain, 100_000), { recipients: [recipient] }, overflow())));
    expect(pool.threads).toBe(2);
    for (const [i, { stored, facts }] of sealed.entries()) {
      const opened = await collect(openBuffer(stored as Buffer, { what: 'k', expected: facts, identities: [identity] }));
      expect(opened.equals(plains[i] as Buffer)).toBe(true);
    }
  });

  it('an object that grows beyond what memory may hold - it is whole in its file', async () => {
    await using pool = new SealPool({ threads: 1 });
    const plain = seeded(12_000_000);
    const target = overflow(3_000_000);
    const { stored, facts } = await pool.seal(chunked(plain, 65_536), { recipients: [recipient], estimatedBytes: 1000 }, target);
    expect(stored).toBeNull();
    const spilled = await readFile(target.path);
    expect(sha256(spilled)).toBe(facts.storedSha256);
    const opened = await collect(openBuffer(spilled, { what: 'k', expected: facts, identities: [identity] }));
    expect(opened.equals(plain)).toBe(true);
  });

  it('that file cannot be written - E_STATE, and the thread serves the next one', async () => {
    await using pool = new SealPool({ threads: 1 });
    const nowhere = { aboveBytes: 1_000_000, path: join(folder, 'missing', 'x') };
    const plain = seeded(9_000_000);
    await expect(pool.seal(chunked(plain, 65_536), { recipients: 'none' }, nowhere)).rejects.toMatchObject({ code: 'E_STATE' });
    expect((await pool.seal(chunked(plain, 65_536), { recipients: 'none' }, overflow())).facts.plainBytes).toBe(plain.length);
  });

  it('no recipient, or one that is none - E_KEY, never an object', async () => {
    await using pool = new SealPool({ threads: 1 });
    for (const recipients of [[], ['age1nonsense']]) {
      await expect(pool.seal(chunked(seeded(10), 10), { recipients }, overflow())).rejects.toMatchObject({ code: 'E_KEY' });
    }
  });

  it('the thread takes nothing - the source is asked for no more than a few pieces', async () => {
    const script = join(folder, 'idle.mjs');
    await writeFile(script, `import { parentPort } from 'node:worker_threads'; parentPort.on('message', () => {});`);
    const pool = new SealPool({ threads: 1, script: pathToFileURL(script) });
    let given = 0;
    async function* source(): AsyncGenerator<Uint8Array> {
      for (;;) {
        given += MIB;
        yield Buffer.alloc(MIB);
      }
    }
    const sealing = pool.seal(source(), { recipients: 'none' }, overflow());
    const failed = expect(sealing).rejects.toMatchObject({ code: 'E_INTERNAL' });
    await until('it has begun', 10_000, () => given >= 2 * FRAME_BYTES);
    // many turns in which a source that is asked for more would give it
    for (let turn = 0; turn < 1000; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(given).toBeLessThanOrEqual(2 * FRAME_BYTES + MIB);
    await pool.close();
    await failed;
  });

  it('a thread hangs in the kernel - told to stop it is left behind, E_FILES_STUCK, and another one serves the next', async () => {
    // open(2) of a fifo that nobody writes to: nothing that Node can do ends it, as with a network file system whose server is gone
    const fifo = join(folder, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const begun = join(folder, 'begun');
    const module = join(folder, 'stuck.mjs');
    await writeFile(
      module,
      `import { openSync, writeFileSync } from 'node:fs';
export function* pack({ fifo, begun }) { yield Buffer.alloc(100); writeFileSync(begun, ''); openSync(fifo, 'r'); return null; }`,
    );
    const work = { module: pathToFileURL(module).href, input: { fifo, begun }, done: () => {} };
    const pool = new SealPool({ threads: 1, answersWithinMs: 200 });
    const controller = new AbortController();
    try {
      const options = { recipients: 'none', signal: controller.signal } as const;
      const sealing = pool.seal(chunked(seeded(10), 10), options, overflow(), work);
      const failed = expect(sealing).rejects.toMatchObject({ code: 'E_FILES_STUCK', cause: { message: 'the deadline' } });
      await until('it hangs', 10_000, () => existsSync(begun));
      // behind it, in the same thread
      const other = pool.seal(chunked(seeded(3 * MIB), MIB), { recipients: 'none' }, overflow());
      const otherFailed = expect(other).rejects.toMatchObject({ code: 'E_FILES_STUCK' });
      controller.abort(new Error('the deadline'));
      await failed;
      await otherFailed;
      expect(pool.stuck).toMatchObject({ code: 'E_FILES_STUCK' });
      expect(pool.threads).toBe(0);
      const plain = seeded(3 * MIB);
      const { facts } = await pool.seal(chunked(plain, MIB), { recipients: 'none' }, overflow());
      expect(facts.plainSha256).toBe(sha256(plain));
      await pool.close();
    } finally {
      // lets the thread go
      closeSync(openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK));
    }
  });

  it('an error of the source comes through as it is, and leaves no file', async () => {
    await using pool = new SealPool({ threads: 1 });
    const error = new Error('the table was altered');
    const target = overflow(1_000_000);
    async function* source(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 8; i++) yield seeded(MIB, i + 1);
      await until('the file was begun', 10_000, () => existsSync(target.path));
      throw error;
    }
    await expect(pool.seal(source(), { recipients: 'none' }, target)).rejects.toBe(error);
    expect(existsSync(target.path)).toBe(false);
  });

  it('an abort ends it with its reason, even when the source is stuck, and the thread serves the next one', async () => {
    await using pool = new SealPool({ threads: 1 });
    const controller = new AbortController();
    const reason = new Error('stop');
    const options = { recipients: [recipient], signal: controller.signal };
    const sealing = pool.seal(stuckAfter(seeded(5 * MIB)), options, overflow());
    queueMicrotask(() => controller.abort(reason));
    await expect(sealing).rejects.toBe(reason);
    await expect(pool.seal(chunked(seeded(10), 10), options, overflow())).rejects.toBe(reason);
    expect((await pool.seal(chunked(seeded(10), 10), { recipients: 'none' }, overflow())).facts.plainBytes).toBe(10);
    expect(pool.threads).toBe(1);
  });

  it('an abort at any moment, the last ones included - it ends, with the object or the reason', async () => {
    await using pool = new SealPool({ threads: 2 });
    const plain = seeded(2 * FRAME_BYTES);
    const reason = new Error('stop');
    const outcomes = new Set<unknown>();
    for (let turns = 0; turns < 60; turns++) {
      const controller = new AbortController();
      let over = false;
      const sealing = pool
        .seal(chunked(plain, MIB), { recipients: 'none', signal: controller.signal }, overflow())
        .then(({ facts }) => facts.plainBytes)
        .finally(() => {
          over = true;
        });
      const settled = Promise.allSettled([sealing]);
      // by waiting for a millisecond more each time, until a whole one fits in
      const until = performance.now() + turns;
      while (!over && performance.now() < until) await new Promise((resolve) => setImmediate(resolve));
      controller.abort(reason);
      const [outcome] = await settled;
      outcomes.add(outcome.status === 'fulfilled' ? outcome.value : outcome.reason);
    }
    expect([...outcomes]).toEqual(expect.arrayContaining([reason]));
    expect([...outcomes].filter((it) => it !== reason && it !== plain.length)).toEqual([]);
  });

  it('a thread dies - what it was sealing fails with E_INTERNAL, even while its source is stuck, and another takes the next one', async () => {
    const marker = join(folder, 'die');
    await using pool = new SealPool({ threads: 1, script: await mortal(marker) });
    const one = () => pool.seal(chunked(seeded(5 * MIB), 65_536), { recipients: 'none' }, overflow());
    await one();
    await writeFile(marker, '');
    const stuck = pool.seal(stuckAfter(seeded(5 * MIB)), { recipients: 'none' }, overflow());
    await expect(stuck).rejects.toMatchObject({ code: 'E_INTERNAL', message: expect.stringContaining('sealing thread') });
    await rm(marker);
    expect((await one()).facts.plainBytes).toBe(5 * MIB);
    expect(pool.threads).toBe(1);
  });

  it('closed - its threads are gone, what was being sealed fails, and nothing more is taken', async () => {
    const pool = new SealPool({ threads: 2 });
    const sealing = pool.seal(stuckAfter(seeded(5 * MIB)), { recipients: 'none' }, overflow());
    const failed = expect(sealing).rejects.toMatchObject({ code: 'E_INTERNAL' });
    await pool.close();
    await failed;
    expect(pool.threads).toBe(0);
    await expect(pool.seal(chunked(seeded(1), 1), { recipients: 'none' }, overflow())).rejects.toMatchObject({ code: 'E_INTERNAL' });
    await pool.close();
  });
});

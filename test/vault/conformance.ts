// What every vault must do, whatever it is made of: each kind of vault runs this suite with a factory of its own.
import { createHash, randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { Temporal } from 'temporal-polyfill';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { CoffreError, type ErrorCode } from '../../src/errors.ts';
import type { ListedUpload, ListedVersion, StoredObject, Vault } from '../../src/vault/vault.ts';
import { until } from '../servers/rig.ts';

/** An empty vault, with an independent way to look at what it holds. */
export interface VaultBench {
  readonly vault: Vault;
  /** The same place, listing few rows at a time. */
  readonly smallPages: Vault;
  /** Bytes held for us, counted without any of coffre's code. */
  heldBytes(): Promise<number>;
  /** Leaves what a killed write leaves: an unfinished upload of `bytes` for `key`. */
  leaveUnfinished(key: string, bytes: Buffer): Promise<void>;
  release(): Promise<void>;
}

export interface VaultTraits {
  /** Whether a second write of a key makes a second version (S3) or is refused (a file system). */
  readonly keepsVersions: boolean;
  /** Bytes of a part: streams are tried around it. */
  readonly partBytes: number;
}

export const randomKey = (folder: string, extension = 'bin'): string => `${folder}/${randomBytes(8).toString('hex')}.${extension}`;

export const inSeconds = (seconds: number): Temporal.Instant => systemClock.now().add({ milliseconds: Math.round(seconds * 1000) });

/** Expects `work` to fail with this code, and gives the error. */
export async function failure(work: Promise<unknown>, code: ErrorCode): Promise<CoffreError> {
  const error = await work.then(
    (value) => expect.fail(`expected ${code}, but it succeeded with ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(CoffreError);
  expect(`${(error as CoffreError).code}: ${(error as CoffreError).message}`).toMatch(new RegExp(`^${code}:`));
  return error as CoffreError;
}

export async function versionsBelow(vault: Vault, prefix: string): Promise<ListedVersion[]> {
  return await Array.fromAsync(vault.listVersions(prefix));
}

export async function uploadsBelow(vault: Vault, prefix: string): Promise<ListedUpload[]> {
  return await Array.fromAsync(vault.listUploads(prefix));
}

/** `bytes` pseudo-random bytes in pieces of awkward length, and their digest. */
export function someStream(bytes: number): { body(): AsyncGenerator<Buffer>; sha256: string } {
  const block = randomBytes(Math.max(1, Math.min(bytes, 199_999)));
  const pieces = function* (): Generator<Buffer> {
    for (let left = bytes; left > 0; left -= block.length) yield left >= block.length ? block : block.subarray(0, left);
  };
  const hash = createHash('sha256');
  for (const piece of pieces()) hash.update(piece);
  return {
    async *body() {
      yield* pieces();
    },
    sha256: hash.digest('hex'),
  };
}

async function sha256At(vault: Vault, object: StoredObject): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of await vault.get(object.key, object.versionId)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** Deletes a version as soon as the vault allows it. */
export async function deleteAfterLock(vault: Vault, object: StoredObject): Promise<void> {
  await until(`the lock of ${object.key} ends`, 15_000, async () => {
    try {
      await vault.deleteVersion(object.key, object.versionId);
      return true;
    } catch (error) {
      if (error instanceof CoffreError && error.code === 'E_LOCKED') return false;
      throw error;
    }
  });
}

export function describeVault(kind: string, open: () => Promise<VaultBench>, traits: VaultTraits): void {
  describe(`any vault - ${kind}`, () => {
    let bench: VaultBench;
    let vault: Vault;
    beforeAll(async () => {
      bench = await open();
      vault = bench.vault;
    });
    afterAll(async () => {
      await bench?.release();
    });

    describe('objects', () => {
      it('an object that was put - is read back by its version, with size and lock', async () => {
        const key = randomKey('objects');
        const body = randomBytes(100_000);
        const retainUntil = inSeconds(2.5);
        const object = await vault.put({ key, body, retainUntil });
        expect(object).toMatchObject({ key, sizeBytes: body.length });
        expect(object.versionId).not.toBe('');
        expect(object.lock?.mode).toBe(vault.lockMode);
        expect(Temporal.Instant.compare(object.lock?.retainUntil ?? retainUntil, retainUntil)).toBeGreaterThanOrEqual(0);
        expect(await vault.stat(key, object.versionId)).toEqual(object);
        expect((await buffer(await vault.get(key, object.versionId))).equals(body)).toBe(true);
      });

      it('an empty object - is stored like any other', async () => {
        const object = await vault.put({ key: randomKey('objects'), body: Buffer.alloc(0), retainUntil: null });
        expect(object).toMatchObject({ sizeBytes: 0, lock: null });
        expect(await buffer(await vault.get(object.key, object.versionId))).toHaveLength(0);
      });

      it('a version that does not exist - stat says null, get that it is gone or (in a folder) another, delete succeeds', async () => {
        const key = randomKey('objects');
        const object = await vault.put({ key, body: Buffer.from('there'), retainUntil: null });
        for (const [at, versionId, code] of [
          [key, `${object.versionId.slice(0, -1)}0x`, vault.type === 'filesystem' ? 'E_OBJECT_ALTERED' : 'E_OBJECT_MISSING'],
          [randomKey('nowhere'), object.versionId, 'E_OBJECT_MISSING'],
        ] as const) {
          expect(await vault.stat(at, versionId)).toBeNull();
          await failure(vault.get(at, versionId), code);
          await failure(vault.extendLock(at, versionId, inSeconds(5)), code);
          await vault.deleteVersion(at, versionId);
        }
        expect(await vault.stat(key, object.versionId)).toEqual(object);
      });

      it('a signal that aborted before - nothing is stored', async () => {
        const key = randomKey('aborted');
        const stop = new CoffreError('E_INTERRUPTED', 'stopped by the test');
        await failure(vault.put({ key, body: Buffer.from('x'), retainUntil: null, signal: AbortSignal.abort(stop) }), 'E_INTERRUPTED');
        expect(await versionsBelow(vault, key)).toEqual([]);
      });

      it('a reader that gives up - ends without an error of its own, and the next reader gets all', async () => {
        const body = randomBytes(3_000_000);
        const object = await vault.put({ key: randomKey('objects'), body, retainUntil: null });
        const first = await vault.get(object.key, object.versionId);
        for await (const _chunk of first) break;
        const unread = await vault.get(object.key, object.versionId);
        unread.destroy();
        const stopped = new AbortController();
        const third = await vault.get(object.key, object.versionId, stopped.signal);
        stopped.abort(new CoffreError('E_INTERRUPTED', 'stopped by the test'));
        await failure(buffer(third), 'E_INTERRUPTED');
        expect((await buffer(await vault.get(object.key, object.versionId))).equals(body)).toBe(true);
      });

      it('keys with the characters coffre uses - come back from the listing as they went in', async () => {
        const folder = randomBytes(4).toString('hex');
        const keys = [`${folder}/_coffre/probe/1-a`, `${folder}/shop-1.fr/index/01J.ndjson.zst.age`, `${folder}/é à/percent%20 + plus`];
        for (const key of keys) await vault.put({ key, body: Buffer.from(key), retainUntil: null });
        expect((await versionsBelow(vault, `${folder}/`)).map((row) => row.key)).toEqual(keys);
      });
    });

    // They wait for locks to end, all at once. Locks are long enough for a busy machine to try what they must refuse.
    describe.concurrent('locks', () => {
      it('a locked version - deletion is refused with E_LOCKED until its end and works afterwards', async () => {
        const object = await vault.put({ key: randomKey('locks'), body: Buffer.from('locked'), retainUntil: inSeconds(5) });
        const refusal = await failure(vault.deleteVersion(object.key, object.versionId), 'E_LOCKED');
        expect(refusal.message).toContain(String(object.lock?.retainUntil));
        expect((await buffer(await vault.get(object.key, object.versionId))).toString()).toBe('locked');
        await deleteAfterLock(vault, object);
        expect(systemClock.nowMs()).toBeGreaterThanOrEqual((object.lock?.retainUntil.epochMilliseconds ?? 0) - 1_000);
        expect(await vault.stat(object.key, object.versionId)).toBeNull();
        expect(await versionsBelow(vault, object.key)).toEqual([]);
      });

      it('an unlocked version - deletes at once, and once more', async () => {
        const object = await vault.put({ key: randomKey('locks'), body: Buffer.from('free'), retainUntil: null });
        expect(object.lock).toBeNull();
        await vault.deleteVersion(object.key, object.versionId);
        await vault.deleteVersion(object.key, object.versionId);
        expect(await versionsBelow(vault, object.key)).toEqual([]);
      });

      it('an extension - is read back, keeps until the new end, and an earlier date changes nothing', async () => {
        const first = inSeconds(4);
        const object = await vault.put({ key: randomKey('locks'), body: Buffer.from('x'), retainUntil: first });
        const later = first.add({ seconds: 2 });
        const extended = await vault.extendLock(object.key, object.versionId, later);
        expect(extended.mode).toBe(vault.lockMode);
        expect(Temporal.Instant.compare(extended.retainUntil, later)).toBeGreaterThanOrEqual(0);
        expect(await vault.extendLock(object.key, object.versionId, first)).toEqual(extended);
        expect(await vault.extendLock(object.key, object.versionId, later)).toEqual(extended);
        expect((await vault.stat(object.key, object.versionId))?.lock).toEqual(extended);
        await until('the first lock would have ended', 15_000, () => systemClock.nowMs() > first.epochMilliseconds + 1_100);
        await failure(vault.deleteVersion(object.key, object.versionId), 'E_LOCKED');
        await deleteAfterLock(vault, object);
      });

      it('an extension by less than a second - leaves the lock at least that long', async () => {
        const first = inSeconds(5);
        const object = await vault.put({ key: randomKey('locks'), body: Buffer.from('x'), retainUntil: first });
        const later = (object.lock?.retainUntil ?? first).add({ milliseconds: 10 });
        const extended = await vault.extendLock(object.key, object.versionId, later);
        expect(Temporal.Instant.compare(extended.retainUntil, later)).toBeGreaterThanOrEqual(0);
      });

      it('an object stored without lock - can be locked later', async () => {
        const object = await vault.put({ key: randomKey('locks'), body: Buffer.from('x'), retainUntil: null });
        const lock = await vault.extendLock(object.key, object.versionId, inSeconds(5));
        expect((await vault.stat(object.key, object.versionId))?.lock).toEqual(lock);
        await failure(vault.deleteVersion(object.key, object.versionId), 'E_LOCKED');
      });
    });

    describe('one key written twice', () => {
      it(
        traits.keepsVersions
          ? 'both versions are kept, listed newest first, read and deleted apart'
          : 'the second write is refused and changes nothing',
        async () => {
          const key = randomKey('twice');
          const first = await vault.put({ key, body: Buffer.from('first'), retainUntil: null });
          if (!traits.keepsVersions) {
            await failure(vault.put({ key, body: Buffer.from('second'), retainUntil: null }), 'E_VERSION_FOREIGN');
            expect((await buffer(await vault.get(key, first.versionId))).toString()).toBe('first');
            expect(await uploadsBelow(vault, 'twice/')).toEqual([]);
            return;
          }
          const second = await vault.put({ key, body: Buffer.from('second'), retainUntil: null });
          const rows = await versionsBelow(vault, key);
          expect(rows.map((row) => [row.versionId, row.isLatest])).toEqual([
            [second.versionId, true],
            [first.versionId, false],
          ]);
          expect((await buffer(await vault.get(key, first.versionId))).toString()).toBe('first');
          await vault.deleteVersion(key, second.versionId);
          expect((await versionsBelow(vault, key)).map((row) => row.versionId)).toEqual([first.versionId]);
          expect((await buffer(await vault.get(key, first.versionId))).toString()).toBe('first');
        },
      );
    });

    describe('listings', () => {
      it('more than 1000 keys - each is listed once, in the order of their bytes, with exact sizes', async () => {
        const folder = `many-${randomBytes(4).toString('hex')}`;
        const keys = Array.from({ length: 1_037 }, (_, i) => `${folder}/${i % 2 ? 'a-b' : 'a'}/${(i * 7919) % 1_037}.x`);
        const waiting = [...keys.entries()];
        await Promise.all(
          Array.from({ length: 12 }, async () => {
            for (let next = waiting.pop(); next; next = waiting.pop()) {
              await vault.put({ key: next[1], body: Buffer.alloc(next[0] % 5, 1), retainUntil: null });
            }
          }),
        );
        const rows = await versionsBelow(vault, `${folder}/`);
        const sorted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect(rows.map((row) => row.key)).toEqual(sorted);
        expect(rows.reduce((sum, row) => sum + row.sizeBytes, 0)).toBe(keys.reduce((sum, _, i) => sum + (i % 5), 0));
        expect(await versionsBelow(bench.smallPages, `${folder}/a-b/1`)).toEqual(
          rows.filter((row) => row.key.startsWith(`${folder}/a-b/1`)),
        );
      }, 180_000);

      it('a prefix that ends within a name - selects by characters, not by folders', async () => {
        const folder = randomBytes(4).toString('hex');
        for (const name of ['shop/x', 'shop-b/x', 'sho/x', 'shop.x']) {
          await vault.put({ key: `${folder}/${name}`, body: Buffer.from('x'), retainUntil: null });
        }
        const names = async (prefix: string) => (await versionsBelow(vault, `${folder}/${prefix}`)).map((row) => row.key.slice(9));
        expect(await names('shop')).toEqual(['shop-b/x', 'shop.x', 'shop/x']);
        expect(await names('shop/')).toEqual(['shop/x']);
        expect(await names('none/')).toEqual([]);
      });

      it('names at the top - each folder and object once, in the order of their bytes, however much is in them', async () => {
        const own = `names-${randomBytes(4).toString('hex')}`;
        for (let i = 0; i < 4; i++) {
          for (let n = 0; n < 9; n++) await vault.put({ key: `${own}-${i}/deep/${n}`, body: Buffer.from('x'), retainUntil: null });
        }
        await vault.put({ key: `${own}-2x`, body: Buffer.from('x'), retainUntil: null });
        for (const it of [vault, bench.smallPages]) {
          const names: string[] = [];
          for await (const name of it.listNames()) if (name.startsWith(own)) names.push(name.slice(own.length));
          expect(names).toEqual(['-0/', '-1/', '-2/', '-2x', '-3/']);
        }
      });

      it('all it holds - is what an independent count finds, to the byte', async () => {
        await bench.leaveUnfinished(randomKey('unfinished'), randomBytes(70_001));
        const versions = await versionsBelow(vault, '');
        const uploads = await uploadsBelow(vault, '');
        const sum = [...versions, ...uploads].reduce((total, row) => total + row.sizeBytes, 0);
        expect(sum).toBe(await bench.heldBytes());
      });
    });

    describe('streams', () => {
      const { partBytes } = traits;
      const sizes = [0, 1, partBytes - 1, partBytes, partBytes + 1, 20 * 1024 * 1024];
      it.each(sizes)('a stream of %i bytes - is stored whole, locked, and told to the byte', async (bytes) => {
        const key = randomKey('streams');
        const { body, sha256 } = someStream(bytes);
        const told: number[] = [];
        let uploadIds = 0;
        const object = await vault.putStream({
          key,
          body: body(),
          estimatedBytes: bytes,
          retainUntil: inSeconds(30),
          onUpload: async () => {
            expect(told).toEqual([]);
            uploadIds++;
          },
          onParts: async (sum) => {
            told.push(sum);
          },
        });
        expect(object).toMatchObject({ key, sizeBytes: bytes });
        expect(object.lock?.mode).toBe(vault.lockMode);
        await failure(vault.deleteVersion(key, object.versionId), 'E_LOCKED');
        expect(await sha256At(vault, object)).toBe(sha256);
        expect(told).toEqual(told.toSorted((a, b) => a - b));
        if (told.length > 0) expect(uploadIds).toBe(1);
        if (told.length > 0) expect(told.at(-1)).toBe(bytes);
        expect(await uploadsBelow(vault, key)).toEqual([]);
      });

      it('an estimate that was far too low - makes no difference', async () => {
        const { body, sha256 } = someStream(3 * partBytes + 7);
        const object = await vault.putStream({ key: randomKey('streams'), body: body(), estimatedBytes: 0, retainUntil: null });
        expect(object.sizeBytes).toBe(3 * partBytes + 7);
        expect(await sha256At(vault, object)).toBe(sha256);
      });

      it.each([10, 3 * partBytes])('a source that fails after %i bytes - its error comes out, and nothing stays behind', async (bytes) => {
        const key = randomKey('failing');
        async function* source(): AsyncGenerator<Buffer> {
          for (let sent = 0; sent < bytes; sent += 500_000) yield Buffer.alloc(Math.min(500_000, bytes - sent), 7);
          throw new CoffreError('E_DB_READ', 'the source broke');
        }
        await failure(vault.putStream({ key, body: source(), estimatedBytes: bytes * 2, retainUntil: inSeconds(60) }), 'E_DB_READ');
        expect(await versionsBelow(vault, key)).toEqual([]);
        expect(await uploadsBelow(vault, key)).toEqual([]);
      });

      it('a stop while the source gives nothing - ends at once, and nothing stays behind', async () => {
        const key = randomKey('stopped');
        const stop = new AbortController();
        async function* source(): AsyncGenerator<Buffer> {
          yield Buffer.alloc(2 * partBytes + 1, 7);
          stop.abort(new CoffreError('E_DEADLINE', 'the run is over'));
          await new Promise(() => {});
        }
        const began = systemClock.monotonicMs();
        await failure(
          vault.putStream({ key, body: source(), estimatedBytes: 4 * partBytes, retainUntil: null, signal: stop.signal }),
          'E_DEADLINE',
        );
        expect(systemClock.monotonicMs() - began).toBeLessThan(10_000);
        expect(await versionsBelow(vault, key)).toEqual([]);
        expect(await uploadsBelow(vault, key)).toEqual([]);
      });

      it('a ledger that fails while parts are told - ends the upload', async () => {
        const key = randomKey('ledger');
        const { body } = someStream(4 * partBytes);
        const onParts = async (): Promise<void> => {
          throw new CoffreError('E_STATE_SPACE', 'the catalog is full');
        };
        await failure(vault.putStream({ key, body: body(), estimatedBytes: 4 * partBytes, retainUntil: null, onParts }), 'E_STATE_SPACE');
        expect(await versionsBelow(vault, key)).toEqual([]);
        expect(await uploadsBelow(vault, key)).toEqual([]);
      });
    });

    describe('unfinished uploads', () => {
      it('what a killed write left - is listed with its bytes, is no object, and aborting it removes it', async () => {
        const key = randomKey('killed');
        await bench.leaveUnfinished(key, randomBytes(12_345));
        await bench.leaveUnfinished(key, randomBytes(1));
        const listed = await uploadsBelow(bench.smallPages, 'killed/');
        expect(listed.map((upload) => upload.key)).toEqual([key, key]);
        expect(listed.map((upload) => upload.sizeBytes).toSorted((a, b) => a - b)).toEqual([1, 12_345]);
        expect(Math.abs((listed[0]?.startedAt.epochMilliseconds ?? 0) - systemClock.nowMs())).toBeLessThan(60_000);
        expect(await versionsBelow(vault, 'killed/')).toEqual([]);
        for (const { uploadId } of listed) {
          await vault.abortUpload(key, uploadId);
          await vault.abortUpload(key, uploadId);
        }
        expect(await uploadsBelow(vault, 'killed/')).toEqual([]);
      });
    });
  });
}

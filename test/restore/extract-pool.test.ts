// Segments extracted by threads: what they check, in which order they may come, and that a stop leaves nothing running.
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { CoffreError } from '../../src/errors.ts';
import { localHost } from '../../src/host/local.ts';
import { ExtractPool } from '../../src/restore/extract-pool.ts';
import { makeIdentity, recipientOf, sealAge } from '../../src/segment/age.ts';
import type { SealedFacts } from '../../src/segment/manifest-types.ts';
import { DirectoryTarget } from '../../src/target/files/directory-target.ts';
import type { ThreadedTarget, WantedMember } from '../../src/target/target.ts';
import { bash } from '../source/files/tree.ts';
import { tempDir } from '../temp-dir.ts';

const NEVER = new AbortController().signal;
const HOST_MODULE = new URL('../../src/host/local.ts', import.meta.url);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** An archive made by GNU tar from a tree that `script` builds in an empty directory. */
async function archive(script: string, ...args: string[]): Promise<Buffer> {
  const dir = await tempDir();
  const out = join(await tempDir(), 'tar');
  bash(`cd "$TREE"; ${script}`, { TREE: dir });
  bash(`cd "$TREE"; tar -cf "$OUT" --format=pax --xattrs --acls -P ${args.join(' ')}`, { TREE: dir, OUT: out });
  return readFileSync(out);
}

interface Setting {
  readonly directory: string;
  readonly outside: string;
  readonly target: DirectoryTarget;
  extract(plaintext: Buffer, options?: ExtractOptions): Promise<void>;
  /** After what was extracted: then it is written. */
  start(): void;
  finish(): Promise<void>;
  close(): Promise<void>;
}

interface ExtractOptions {
  readonly wanted?: readonly WantedMember[];
  readonly identity?: string;
  readonly change?: (stored: Buffer) => void;
  readonly facts?: Partial<SealedFacts>;
  readonly signal?: AbortSignal;
}

async function prepared(size = 2): Promise<Setting> {
  const dir = await tempDir();
  const directory = join(dir, 'restored');
  const outside = join(dir, 'outside');
  mkdirSync(outside);
  const target = new DirectoryTarget(directory, localHost, HOST_MODULE);
  await target.prepare('snapshot');
  const pool = new ExtractPool(target.threads as ThreadedTarget, size);
  onTestFinished(async () => {
    await pool.close();
    await target.close();
  });
  return {
    directory,
    outside,
    target,
    start: () => pool.start(),
    finish: async () => void (await pool.finish(NEVER)),
    close: () => pool.close(),
    async extract(plaintext, { wanted, identity, change, facts, signal } = {}) {
      let object: Buffer = zstdCompressSync(plaintext);
      if (identity !== undefined) {
        const sealer = await sealAge([await recipientOf(identity)]);
        object = Buffer.concat([sealer.header, sealer.push(object), sealer.finish()]);
      }
      const expected = {
        ...{ plainBytes: plaintext.length, plainSha256: sha256(plaintext), storedBytes: object.length, storedSha256: sha256(object) },
        ...facts,
      };
      change?.(object);
      const stored = new SharedArrayBuffer(object.length);
      Buffer.from(stored).set(object);
      let opened = 0;
      const work = {
        what: 'segment',
        expected,
        identities: identity === undefined ? ('none' as const) : [identity],
        stored,
        wanted: wanted ?? null,
      };
      await pool.extract(work, signal ?? NEVER, () => opened++).finally(() => expect(opened).toBe(1));
    },
  };
}

const files = (directory: string): string =>
  bash('cd "$TREE"; find . -type f -printf "%P " | tr " " "\\n" | sort | tr "\\n" " "', { TREE: directory }).trim();
const code = (wanted: string): object => expect.objectContaining({ code: wanted });

test('many segments below the same directories, side by side - all of them come out', async () => {
  const { extract, finish, directory } = await prepared(3);
  const parts = await Promise.all(
    Array.from({ length: 12 }, (_, i) =>
      archive(
        `mkdir -p a/b/c/d; for n in {1..40}; do printf ${i}-$n > a/b/c/d/f${i}-$n; done; printf x > a/b/g${i}`,
        'a/b/c/d/f*',
        `a/b/g${i}`,
      ),
    ),
  );
  await Promise.all(parts.map((part) => extract(part)));
  await finish();
  expect(bash('cd "$TREE"; find . -type f | wc -l', { TREE: directory }).trim()).toBe(String(12 * 41));
  expect(readFileSync(join(directory, 'a/b/c/d/f7-40'), 'latin1')).toBe('7-40');
  expect(bash('stat -c %a "$TREE"/a/b', { TREE: directory }).trim()).toBe('700');
}, 60_000);

test('all threads started ahead, work for one of them - it comes out, and finish waits for nobody else', async () => {
  const { start, extract, finish, directory } = await prepared(3);
  start();
  start();
  await extract(await archive('printf x > file', 'file'));
  await finish();
  expect(readFileSync(join(directory, 'file'), 'latin1')).toBe('x');
});

test('threads started ahead, and closed with nothing done - nothing is left that runs', async () => {
  const { start, close } = await prepared(2);
  start();
  await close();
});

test('an encrypted segment of several chunks and pieces - comes out', async () => {
  const { extract, finish, directory } = await prepared();
  const content = randomBytes(3_000_000);
  const dir = await tempDir();
  writeFileSync(join(dir, 'file'), content);
  await extract(await archive(`cp ${join(dir, 'file')} file`, 'file'), { identity: await makeIdentity() });
  await finish();
  expect(readFileSync(join(directory, 'file')).equals(content)).toBe(true);
});

test('extended attributes and ACLs - come back where a segment has some; a default ACL above the target reaches no file', async () => {
  const dir = await tempDir();
  bash('setfacl -d -m u:65534:rwx "$TREE"', { TREE: dir });
  const target = new DirectoryTarget(join(dir, 'restored'), localHost, HOST_MODULE);
  await target.prepare('snapshot');
  const pool = new ExtractPool(target.threads as ThreadedTarget, 2);
  onTestFinished(async () => {
    await pool.close();
    await target.close();
  });
  const extract = async (plaintext: Buffer): Promise<void> => {
    const object = zstdCompressSync(plaintext);
    const stored = new SharedArrayBuffer(object.length);
    Buffer.from(stored).set(object);
    const expected = {
      plainBytes: plaintext.length,
      plainSha256: sha256(plaintext),
      storedBytes: object.length,
      storedSha256: sha256(object),
    };
    await pool.extract({ what: 'segment', expected, identities: 'none', stored, wanted: null }, NEVER, () => {});
  };
  await extract(await archive('mkdir d; printf x > d/plain', 'd/plain'));
  await extract(await archive('mkdir d; printf x > d/rich; setfattr -n user.a -v b d/rich; setfacl -m u:12:r d/rich', 'd/rich'));
  await pool.finish(NEVER);
  const said = bash('cd "$TREE"; getfacl -ncp d/plain d/rich | grep -v "^$" | tr "\\n" " "; getfattr -n user.a --only-values d/rich', {
    TREE: join(dir, 'restored'),
  });
  expect(said).toBe('user::rw- group::r-- other::r-- user::rw- user:12:r-- group::r-- mask::r-- other::r-- b');
});

describe('a segment that is not what the manifest says', () => {
  test.each([
    ['a stored byte changed', { change: (stored: Buffer) => stored.writeUInt8(stored.readUInt8(20) ^ 1, 20) }, 'E_OBJECT_ALTERED'],
    ['more plaintext than it should be', { facts: { plainBytes: 512 } }, 'E_FORMAT'],
    ['less plaintext than it should be', { facts: { plainBytes: 1_000_000 } }, 'E_OBJECT_ALTERED'],
  ])('%s - is refused, and nothing of it is written', async (_, options, wanted) => {
    const { extract, finish, directory } = await prepared();
    await expect(extract(await archive('mkdir d; printf x > d/file', 'd/file'), options)).rejects.toEqual(code(wanted));
    await finish();
    expect(readdirSync(directory).filter((name) => !name.startsWith('.coffre-'))).toEqual([]);
  });

  test('sealed to somebody else - is E_DECRYPT', async () => {
    const { extract } = await prepared();
    const part = await archive('printf x > file', 'file');
    const identity = await makeIdentity();
    const other = await makeIdentity();
    let object: Buffer = zstdCompressSync(part);
    const sealer = await sealAge([await recipientOf(other)]);
    object = Buffer.concat([sealer.header, sealer.push(object), sealer.finish()]);
    await expect(
      extract(part, {
        identity,
        change: (stored) => stored.set(object.subarray(0, stored.length)),
        facts: { storedSha256: sha256(object), storedBytes: object.length },
      }),
    ).rejects.toEqual(code('E_DECRYPT'));
  });
});

test('a symbolic link in one segment, a way through it in another - is refused whichever thread comes first', async () => {
  const link = await archive('ln -s ../outside l', 'l');
  const through = await archive('mkdir l; printf x > l/escaped', 'l/escaped');
  for (let round = 0; round < 6; round++) {
    const { extract, finish, outside } = await prepared();
    const ends = await Promise.allSettled([extract(link), extract(through)]);
    expect(ends.map((end) => end.status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(ends.find((end) => end.status === 'rejected')).toMatchObject({ reason: { code: 'E_FORMAT' } });
    await finish();
    expect(readdirSync(outside)).toEqual([]);
  }
}, 60_000);

test('chosen members, moved ones, a link to a moved one, one wanted twice - each comes out where it is now, with its time', async () => {
  const { extract, finish, directory } = await prepared();
  const long = `${'n'.repeat(120)}/${'m'.repeat(120)}`;
  const part = await archive(
    `printf content > old; ln old link; printf same > stays; printf not > unwanted; truncate -s 3M sparse; printf end >> sparse; touch -d @5 *`,
    '--sparse',
    ...['old', 'link', 'stays', 'unwanted', 'sparse'],
  );
  await extract(part, {
    wanted: [
      { member: 'old', path: long, mtimeNs: 1_600_000_000_123_456_789n },
      { member: 'link', path: 'other/link', mtimeNs: 1_600_000_000_123_456_789n },
      'stays',
      { member: 'stays', path: 'copy', mtimeNs: 1_500_000_000n },
      { member: 'sparse', path: 'caf\xe9/sparse', mtimeNs: 7n },
    ],
  });
  await finish();
  const said = bash(`cd "$TREE"; find . -type f -printf '%p %s %T@ %n\\n' | sort | sed 's/nn*/n/; s/mm*/m/'`, { TREE: directory });
  expect(said.split('\n').filter((line) => line !== '')).toEqual([
    './caf\xe9/sparse 3145731 0.0000000070 1',
    './copy 4 1.5000000000 1',
    './n/m 7 1600000000.1234567890 2',
    './other/link 7 1600000000.1234567890 2',
    './stays 4 5.0000000000 1',
  ]);
  expect(files(directory)).not.toContain('unwanted');
});

test('a member that is wanted and missing - is an error', async () => {
  const { extract } = await prepared();
  await expect(extract(await archive('printf x > a', 'a'), { wanted: ['a', 'b'] })).rejects.toEqual(code('E_FORMAT'));
});

test('a restore that is stopped - rejects with the reason, what waits does not begin, and no tar is left', async () => {
  const { extract, close, directory } = await prepared(1);
  const part = await archive('head -c 40000000 /dev/zero > file', 'file');
  const stop = new AbortController();
  const ends = [extract(part, { signal: stop.signal }), extract(await archive('printf x > late', 'late'), { signal: stop.signal })];
  stop.abort(new CoffreError('E_INTERRUPTED', 'enough'));
  for (const end of await Promise.allSettled(ends)) expect(end).toMatchObject({ status: 'rejected', reason: { code: 'E_INTERRUPTED' } });
  await close();
  expect(existsSync(join(directory, 'late'))).toBe(false);
  expect(bash('pgrep -f -- "--directory=$TREE" || true', { TREE: directory })).toBe('');
});

test('a full disk, told by a tar that goes on - is E_TARGET_SPACE at the next segment or at the end', async () => {
  const dir = await tempDir();
  bash('mount -t tmpfs -o size=1m coffre-test "$TREE"', { TREE: dir });
  onTestFinished(() => void bash('umount "$TREE"', { TREE: dir }));
  const target = new DirectoryTarget(join(dir, 'restored'), localHost, HOST_MODULE);
  await target.prepare('snapshot');
  const pool = new ExtractPool(target.threads as ThreadedTarget, 1);
  onTestFinished(async () => {
    await pool.close();
    await target.close();
  });
  const part = await archive('head -c 3000000 /dev/urandom > file; printf x > small', 'file', 'small');
  const object = zstdCompressSync(part);
  const stored = new SharedArrayBuffer(object.length);
  Buffer.from(stored).set(object);
  const expected = { plainBytes: part.length, plainSha256: sha256(part), storedBytes: object.length, storedSha256: sha256(object) };
  const extract = (): Promise<unknown> =>
    pool.extract({ what: 'segment', expected, identities: 'none', stored, wanted: null }, NEVER, () => {});
  const run = async (): Promise<void> => {
    await extract();
    await pool.finish(NEVER);
  };
  await expect(run()).rejects.toEqual(code('E_TARGET_SPACE'));
});

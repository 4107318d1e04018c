// What is the file system's own: the marker, replaced files, full disks, killed writes, keys that try to leave.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { FilesystemVault } from '../../src/vault/filesystem.ts';
import { until } from '../servers/rig.ts';
import { failure, inSeconds, uploadsBelow, versionsBelow } from './conformance.ts';
import { movedClock } from './s3-bench.ts';

const vaultAt = (path: string, clock = systemClock): FilesystemVault =>
  new FilesystemVault({ name: 'nas', type: 'filesystem', path, media: 'disk', site: null, offsite: false }, clock);

/** Waits until a file written now gets a later time than the one at `path`: kernels stamp files with a tick of some ms. */
async function afterTick(path: string): Promise<void> {
  const { mtimeNs } = await stat(path, { bigint: true });
  const sample = await mkdtemp(join(tmpdir(), 'coffre-tick-'));
  await until('the file system’s clock moves on', 1_000, async () => {
    await writeFile(join(sample, 'x'), 'x');
    return (await stat(join(sample, 'x'), { bigint: true })).mtimeNs > mtimeNs;
  });
  await rm(sample, { recursive: true });
}

describe('filesystem vault', () => {
  let folder: string;
  let vault: FilesystemVault;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coffre-vault-'));
    vault = vaultAt(folder);
    await vault.initialise();
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  describe('its folder', () => {
    it('missing - E_VAULT_UNREACHABLE for everything, and nothing is created', async () => {
      const missing = vaultAt(join(folder, 'sub/missing'));
      for (const work of [
        () => missing.ready(),
        () => missing.put({ key: 'a', body: Buffer.from('x'), retainUntil: null }),
        () => missing.stat('a', '1-1'),
        () => missing.get('a', '1-1'),
        () => missing.deleteVersion('a', '1-1'),
        () => versionsBelow(missing, ''),
        () => uploadsBelow(missing, ''),
        () => missing.freeBytes(),
      ]) {
        const error = await failure(work(), 'E_VAULT_UNREACHABLE');
        expect(error.message).toContain('sub/missing is not there');
      }
      expect(await readdir(folder)).not.toContain('sub');
    });

    it('without its marker, as the mount point of a disk that is not mounted - E_VAULT_UNREACHABLE, and it stays empty', async () => {
      const empty = join(folder, 'mnt');
      await mkdir(empty);
      const unmounted = vaultAt(empty);
      const error = await failure(unmounted.put({ key: 'a', body: Buffer.from('x'), retainUntil: null }), 'E_VAULT_UNREACHABLE');
      expect(error.message).toContain('.coffre-vault');
      expect(error.hint).toContain('mount');
      expect(await readdir(empty)).toEqual([]);
    });

    it('initialised twice - the second time changes nothing', async () => {
      const before = await stat(join(folder, '.coffre-vault'), { bigint: true });
      expect(await vault.initialise()).toBe(false);
      expect((await stat(join(folder, '.coffre-vault'), { bigint: true })).mtimeNs).toBe(before.mtimeNs);
    });

    it('coffre’s own files - are in no listing', async () => {
      await mkdir(join(folder, 'lost+found'));
      await writeFile(join(folder, 'lost+found/x'), 'x');
      await vault.put({ key: 'shop/a', body: Buffer.from('x'), retainUntil: inSeconds(60) });
      expect((await versionsBelow(vault, '')).map((row) => row.key)).toEqual(['shop/a']);
      expect(await uploadsBelow(vault, '')).toEqual([]);
    });
  });

  describe('stored files', () => {
    it('are read-only, and their folders closed to others', async () => {
      await vault.put({ key: 'shop/segments/a', body: Buffer.from('x'), retainUntil: inSeconds(60) });
      expect((await stat(join(folder, 'shop/segments/a'))).mode & 0o777).toBe(0o444);
      expect((await stat(join(folder, 'shop'))).mode & 0o777).toBe(0o700);
      expect(await readdir(join(folder, 'shop/segments'))).toEqual(['a']);
    });

    it.each([
      ['../x'],
      ['a/../../x'],
      ['/etc/x'],
      ['a//b'],
      ['a/'],
      [''],
      ['.locks/x'],
      ['a/.tmp-0123456789abcdef-x'],
      ['a\0b'],
      ['a\nb'],
      ['..\\x'],
      [`a/${'x'.repeat(300)}`],
    ])('a key like %j - is refused before anything is touched', async (key) => {
      await failure(vault.put({ key, body: Buffer.from('x'), retainUntil: null }), 'E_INTERNAL');
      await failure(vault.get(key, '1-1'), 'E_INTERNAL');
      await failure(vault.deleteVersion(key, '1-1'), 'E_INTERNAL');
      expect(await readdir(folder)).toEqual(['.coffre-vault', '.locks']);
    });

    it('an upload id that is no upload of that key - is refused', async () => {
      await writeFile(join(folder, 'precious'), 'x');
      await failure(vault.abortUpload('a', '../precious'), 'E_INTERNAL');
      await failure(vault.abortUpload('a', 'precious'), 'E_INTERNAL');
      await failure(vault.abortUpload('a', '.tmp-0123456789abcdef-b'), 'E_INTERNAL');
      expect(await readFile(join(folder, 'precious'), 'utf8')).toBe('x');
    });

    it('one that was replaced by equal length - is another version: E_OBJECT_ALTERED, the other is listed and not deleted', async () => {
      const ours = await vault.put({ key: 'a/b', body: Buffer.from('ours!'), retainUntil: inSeconds(60) });
      await afterTick(join(folder, 'a/b'));
      await writeFile(join(folder, 'foreign'), 'their');
      await rename(join(folder, 'foreign'), join(folder, 'a/b'));
      expect(await vault.stat('a/b', ours.versionId)).toBeNull();
      const error = await failure(vault.get('a/b', ours.versionId), 'E_OBJECT_ALTERED');
      expect(error.message).toContain('a/b was altered');
      expect(error.hint).toContain('another vault');
      await failure(vault.extendLock('a/b', ours.versionId, inSeconds(90)), 'E_OBJECT_ALTERED');
      await vault.deleteVersion('a/b', ours.versionId);
      const [row] = await versionsBelow(vault, 'a/');
      expect(row?.versionId).not.toBe(ours.versionId);
      expect((await buffer(await vault.get('a/b', row?.versionId ?? ''))).toString()).toBe('their');
      expect((await vault.stat('a/b', row?.versionId ?? ''))?.lock).toBeNull();
    });

    it('one that was rewritten in place, or touched - is another version', async () => {
      const ours = await vault.put({ key: 'a', body: Buffer.from('ours!'), retainUntil: null });
      await afterTick(join(folder, 'a'));
      await chmod(join(folder, 'a'), 0o600);
      await writeFile(join(folder, 'a'), 'their');
      expect(await vault.stat('a', ours.versionId)).toBeNull();
      const touched = await vault.put({ key: 'b', body: Buffer.from('x'), retainUntil: null });
      await utimes(join(folder, 'b'), 1, 1);
      expect(await vault.stat('b', touched.versionId)).toBeNull();
    });

    it('one that a link, a folder or a pipe took the place of - is missing, at once', async () => {
      const ours = await vault.put({ key: 'a', body: Buffer.from('x'), retainUntil: null });
      await rename(join(folder, 'a'), join(folder, 'elsewhere'));
      await symlink(join(folder, 'elsewhere'), join(folder, 'a'));
      await mkdir(join(folder, 'd'));
      execFileSync('mkfifo', [join(folder, 'p')]);
      for (const key of ['a', 'd', 'p', 'elsewhere/x']) {
        expect(await vault.stat(key, ours.versionId)).toBeNull();
        await failure(vault.get(key, ours.versionId), 'E_OBJECT_MISSING');
      }
      expect((await versionsBelow(vault, '')).map((row) => row.key)).toEqual(['elsewhere']);
    });
  });

  describe('locks', () => {
    it('left by killed writers, unfinished or without their object - gone with a deletion a day later, those of others stay', async () => {
      const kept = await vault.put({ key: 'dupont/segments/kept', body: Buffer.from('kept'), retainUntil: inSeconds(60) });
      const gone = await vault.put({ key: 'dupont/segments/gone', body: Buffer.from('gone'), retainUntil: null });
      const locks = join(folder, '.locks/dupont/segments');
      for (const name of ['.tmp-0123456789abcdef-x.json', 'no-object.json']) await writeFile(join(locks, name), '{}');
      await vault.deleteVersion(gone.key, gone.versionId);
      expect((await readdir(locks)).sort()).toEqual(['.tmp-0123456789abcdef-x.json', 'kept.json', 'no-object.json']);
      const again = vaultAt(folder, movedClock(25 * 3600_000));
      await again.deleteVersion(gone.key, gone.versionId);
      expect(await readdir(locks)).toEqual(['kept.json']);
      expect((await again.stat(kept.key, kept.versionId))?.lock).not.toBeNull();
    });

    it('end by our clock', async () => {
      const object = await vault.put({ key: 'a', body: Buffer.from('x'), retainUntil: inSeconds(3600) });
      await failure(vault.deleteVersion('a', object.versionId), 'E_LOCKED');
      await vaultAt(folder, movedClock(3_601_000)).deleteVersion('a', object.versionId);
      expect(await versionsBelow(vault, '')).toEqual([]);
      expect(await readdir(join(folder, '.locks'))).toEqual([]);
    });

    it('a damaged lock file - E_OBJECT_ALTERED, and nothing is deleted', async () => {
      const object = await vault.put({ key: 'a', body: Buffer.from('x'), retainUntil: inSeconds(60) });
      await chmod(join(folder, '.locks/a.json'), 0o600);
      await writeFile(join(folder, '.locks/a.json'), '{"versionId":');
      await failure(vault.deleteVersion('a', object.versionId), 'E_OBJECT_ALTERED');
      await failure(vault.stat('a', object.versionId), 'E_OBJECT_ALTERED');
      expect((await buffer(await vault.get('a', object.versionId))).toString()).toBe('x');
    });
  });

  describe('killed writes', () => {
    it('a process killed while it writes a stream - leaves an upload with its bytes, and no object', async () => {
      const child = spawn(process.execPath, [join(import.meta.dirname, 'write-for-ever.ts'), folder, 'shop/big'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(child.stdout, 'data');
      child.kill('SIGKILL');
      await once(child, 'exit');
      expect(await versionsBelow(vault, '')).toEqual([]);
      const [upload, ...others] = await uploadsBelow(vault, 'shop/');
      expect(others).toEqual([]);
      expect(upload?.key).toBe('shop/big');
      expect(upload?.sizeBytes).toBeGreaterThanOrEqual(8 * 1024 * 1024);
      await vault.abortUpload('shop/big', upload?.uploadId ?? '');
      expect(await readdir(join(folder, 'shop'))).toEqual([]);
    });
  });
});

describe('filesystem vault on a small disk', () => {
  let disk: string;
  let isMounted = false;
  const mounted = async (sizeMB: number): Promise<FilesystemVault | null> => {
    disk = await mkdtemp(join(tmpdir(), 'coffre-disk-'));
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMB}m`, 'coffre-test', disk], { stdio: 'pipe' });
    } catch {
      return null;
    }
    isMounted = true;
    const vault = vaultAt(disk);
    await vault.initialise();
    return vault;
  };
  const unmount = (): void => {
    if (isMounted) execFileSync('umount', [disk]);
    isMounted = false;
  };
  afterEach(async () => {
    unmount();
    await rm(disk, { recursive: true });
  });
  const WHY = 'this process may not mount a tmpfs';

  it('full - E_VAULT_SPACE for objects and streams, nothing left behind, and it goes on once there is space', async (context) => {
    const vault = await mounted(4);
    if (vault === null) return context.skip(WHY);
    const first = await vault.put({ key: 's/first', body: Buffer.alloc(2_500_000, 1), retainUntil: null });
    const body = Buffer.alloc(2_500_000, 2);
    await failure(vault.put({ key: 's/second', body, retainUntil: inSeconds(60) }), 'E_VAULT_SPACE');
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) yield Buffer.alloc(100_000, 3);
    }
    await failure(vault.putStream({ key: 's/third', body: endless(), estimatedBytes: 0, retainUntil: null }), 'E_VAULT_SPACE');
    expect((await versionsBelow(vault, '')).map((row) => row.key)).toEqual(['s/first']);
    expect(await uploadsBelow(vault, '')).toEqual([]);
    expect(await readdir(join(disk, 's'))).toEqual(['first']);
    await vault.deleteVersion('s/first', first.versionId);
    const second = await vault.put({ key: 's/second', body, retainUntil: inSeconds(60) });
    expect(second.sizeBytes).toBe(body.length);
  });

  it('full but for the object itself - its lock does not fit, and the object goes again', async (context) => {
    const vault = await mounted(1);
    if (vault === null) return context.skip(WHY);
    const free = await vault.freeBytes();
    await failure(vault.put({ key: 'a', body: Buffer.alloc(free, 1), retainUntil: inSeconds(60) }), 'E_VAULT_SPACE');
    expect(await versionsBelow(vault, '')).toEqual([]);
    expect(await vault.freeBytes()).toBe(free);
  });

  it('unmounted while in use - E_VAULT_UNREACHABLE, and nothing is written beside it', async (context) => {
    const vault = await mounted(1);
    if (vault === null) return context.skip(WHY);
    const object = await vault.put({ key: 'a', body: Buffer.from('x'), retainUntil: null });
    unmount();
    await failure(vault.put({ key: 'b', body: Buffer.from('x'), retainUntil: null }), 'E_VAULT_UNREACHABLE');
    await failure(vault.stat('a', object.versionId), 'E_VAULT_UNREACHABLE');
    await failure(versionsBelow(vault, ''), 'E_VAULT_UNREACHABLE');
    expect(await readdir(disk)).toEqual([]);
  });

  it('compared with a path - same device only for what lies on it, also for what does not exist yet', async (context) => {
    const vault = await mounted(1);
    if (vault === null) return context.skip(WHY);
    expect(await vault.sameDeviceAs(join(disk, 'not/there'))).toBe(true);
    expect(await vault.sameDeviceAs(tmpdir())).toBe(false);
    expect(await vault.sameDeviceAs('/not/there/either')).toBe(false);
  });

  it('read-only - E_VAULT_DENIED', async (context) => {
    const vault = await mounted(1);
    if (vault === null) return context.skip(WHY);
    execFileSync('mount', ['-o', 'remount,ro', disk]);
    await failure(vault.put({ key: 'a', body: Buffer.from('x'), retainUntil: null }), 'E_VAULT_DENIED');
    expect(await versionsBelow(vault, '')).toEqual([]);
  });
});

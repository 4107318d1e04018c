// The fault matrix of a vault in a folder, on file systems that really fill up, turn read-only and fail: loop devices and tmpfs. Needs root.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { flipped, inCatalog } from './attack.ts';
import { faultySetting, metersExactly, type Scene, scene } from './fault-matrix.ts';

const setting = faultySetting();

const NAS = { vaults: ['nas'] } as const;
const BACKUP = ['backup', 'dupont', '--full'] as const;
const VERIFY = ['verify', 'dupont', '--read-data'] as const;

interface Row {
  readonly kind: string;
  readonly key: string;
}

/** The files of the objects that the catalog calls stored, by kind. */
function storedFiles({ world }: Scene): Map<string, string> {
  const rows = inCatalog(world, (database) =>
    database
      .prepare(
        "select kind, key from objects where vault = 'nas' and state = 'stored' and kind in ('segment', 'index', 'manifest') order by id",
      )
      .all(),
  ) as unknown as Row[];
  return new Map(rows.map(({ kind, key }) => [kind, join(world.nasPath, key)]));
}

/** The cause is gone: what is there is whole and metered to the byte, and temporary files are nowhere. */
async function recovers(scene: Scene, backup: readonly string[] = BACKUP): Promise<void> {
  await scene.ok(...backup);
  await scene.ok(...VERIFY);
  await metersExactly(scene);
  expect(execFileSync('find', [scene.world.nasPath, '-name', '.tmp-*']).toString()).toBe('');
}

async function restores(scene: Scene, code: ErrorCode | null, ...more: readonly string[]): Promise<void> {
  const directory = join(scene.world.dir, 'back');
  const command = ['restore', 'dupont', '--source', 'files', '--to-dir', directory, ...more];
  if (code === null) await scene.ok(...command);
  else await scene.fails(code, ...command);
  rmSync(directory, { recursive: true, force: true });
}

describe('a file that changed behind our back', { timeout: 300_000 }, () => {
  const ways: [string, (path: string) => void, ErrorCode][] = [
    ['other bytes', (path) => writeFileSync(path, flipped(readFileSync(path))), 'E_OBJECT_ALTERED'],
    ['cut short', (path) => truncateSync(path, 10), 'E_OBJECT_ALTERED'],
    ['removed', (path) => rmSync(path), 'E_OBJECT_MISSING'],
    ['a folder in its place', (path) => replaceByFolder(path), 'E_OBJECT_MISSING'],
    // its time forged: only its hash tells
    ['other bytes under the old time', (path) => forge(path), 'E_OBJECT_ALTERED'],
  ];
  it.each(ways)(
    '%s, of a segment, an index, a manifest - a code on verify and restore, never green; from another vault it is mended',
    async (_way, spoil, code) => {
      await using it = await scene(setting.gateway, setting.trees.small, { vaults: ['nas', 'offsite'] });
      await it.ok(...BACKUP);
      for (const kind of ['segment', 'index', 'manifest']) {
        const path = storedFiles(it).get(kind) as string;
        chmodSync(path, 0o600);
        spoil(path);
        const { json } = await it.fails(code, ...VERIFY);
        expect(json.ok, kind).toBe(false);
        const status = (await it.run('status', 'dupont')).json.shops[0];
        expect(status.ok).toBe(false);
        expect(status.sources[0].newestGood, kind).toBeNull();
        await restores(it, code, '--from', 'nas');
        await restores(it, null);
        if (existsSync(path) && code === 'E_OBJECT_MISSING') rmSync(path, { recursive: true });
        await it.fails(code, ...VERIFY, '--repair');
        await it.ok(...VERIFY);
        await restores(it, null, '--from', 'nas');
      }
      await recovers(it);
    },
  );
});

function replaceByFolder(path: string): void {
  rmSync(path);
  mkdirSync(path);
}

/** Other bytes of the same number, and the time to the nanosecond that the file had. */
function forge(path: string): void {
  const reference = `${path}.reference`;
  execFileSync('touch', ['-r', path, reference]);
  writeFileSync(path, flipped(readFileSync(path)));
  execFileSync('touch', ['-r', reference, path]);
  rmSync(reference);
}

describe.skipIf(process.getuid?.() !== 0)('a disk', () => {
  it('that is remounted read-only - E_VAULT_DENIED for what writes, verify and restore go on; writable again all is well', async () => {
    await using it = await scene(setting.gateway, setting.trees.small, NAS);
    using disk = new Disk(it.world.nasPath, 'tmpfs');
    await it.ok(...BACKUP);
    disk.remount('ro');
    await it.fails('E_VAULT_DENIED', ...BACKUP);
    await it.ok(...VERIFY);
    await restores(it, null);
    const status = (await it.run('status', 'dupont')).json.shops[0];
    expect(status.red.join('\n')).toMatch(/the last backup failed.*\[E_VAULT_DENIED\]/);
    disk.remount('rw');
    await recovers(it);
  });

  it('that is full - E_VAULT_SPACE, the snapshot before stays whole; with room again all is well', async () => {
    await using it = await scene(setting.gateway, setting.trees.large, NAS);
    using disk = new Disk(it.world.nasPath, 'tmpfs');
    await it.ok(...BACKUP);
    for (const free of [0, 4_000_000]) {
      disk.leave(free);
      await it.fails('E_VAULT_SPACE', ...BACKUP);
      await it.ok(...VERIFY);
      await metersExactly(it);
    }
    disk.remount('size=500m');
    await recovers(it);
  });

  it('that fails to read - E_VAULT_IO on verify and restore, and status is red', async () => {
    await using it = await scene(setting.gateway, setting.trees.large, NAS);
    using disk = new Disk(it.world.nasPath, 'loop');
    await it.ok(...BACKUP);
    disk.loseEnd();
    await it.fails('E_VAULT_IO', ...VERIFY);
    await restores(it, 'E_VAULT_IO');
    const status = (await it.run('status', 'dupont')).json.shops[0];
    expect(status.ok).toBe(false);
  });

  it('that fails to write what it took (a thin volume whose pool is full: fsync says it) - E_VAULT_SPACE, and no snapshot', async () => {
    await using it = await scene(setting.gateway, setting.trees.large, NAS);
    using disk = new Disk(it.world.nasPath, 'thin');
    await it.fails('E_VAULT_SPACE', ...BACKUP);
    expect((await it.run('status', 'dupont')).json.shops[0].sources[0].newestGood).toBeNull();
    expect(disk.path).toBe(it.world.nasPath);
  });

  it('that hangs - E_VAULT_TIMEOUT within limits.vaultDeadline; once it goes on, all is well', async () => {
    await using it = await scene(setting.gateway, setting.trees.small, NAS);
    using disk = new Disk(it.world.nasPath, 'loop');
    await it.ok(...BACKUP);
    execFileSync('fsfreeze', ['--freeze', disk.path]);
    try {
      const beganMs = systemClock.monotonicMs();
      await it.fails('E_VAULT_TIMEOUT', ...BACKUP);
      // well below the minute that a single call may take
      expect(systemClock.monotonicMs() - beganMs).toBeLessThan(45_000);
    } finally {
      execFileSync('fsfreeze', ['--unfreeze', disk.path]);
    }
    await it.ok(...BACKUP);
    await it.ok(...VERIFY);
  });

  it('that is not mounted - E_VAULT_UNREACHABLE, and nothing is written into the empty folder', async () => {
    await using it = await scene(setting.gateway, setting.trees.small, NAS);
    {
      using _ = new Disk(it.world.nasPath, 'tmpfs');
      await it.ok(...BACKUP);
    }
    rmSync(it.world.nasPath, { recursive: true });
    mkdirSync(it.world.nasPath);
    await it.fails('E_VAULT_UNREACHABLE', ...BACKUP);
    await it.fails('E_VAULT_UNREACHABLE', ...VERIFY);
    expect(execFileSync('find', [it.world.nasPath, '-mindepth', '1']).toString()).toBe('');
  });
});

/**
 * A file system of its own at `path`, with the vault that was made there on it. `tmpfs`; `loop`: ext4 in a file, read without a cache of
 * the file's; `thin`: the same in a file that has no room to become as large as it claims.
 */
class Disk {
  readonly path: string;
  readonly #device: string | null = null;
  readonly #under: string;
  readonly #image: string;

  constructor(path: string, kind: 'tmpfs' | 'loop' | 'thin') {
    this.path = path;
    this.#under = `${path}.under`;
    this.#image = join(this.#under, 'image');
    mkdirSync(this.#under);
    // the vault of the world moves onto the disk
    const aside = `${path}.aside`;
    renameSync(path, aside);
    mkdirSync(path);
    if (kind === 'tmpfs') mount('-t', 'tmpfs', '-o', 'size=500m,mode=700', 'coffre-test', path);
    else {
      mount('-t', 'tmpfs', '-o', `size=${kind === 'thin' ? '6m' : '200m'}`, 'coffre-test', this.#under);
      writeFileSync(this.#image, '');
      truncateSync(this.#image, 2_000_000_000);
      execFileSync('mkfs.ext4', ['-q', '-O', '^has_journal', '-N', '1024', this.#image]);
      this.#device = execFileSync('losetup', ['--direct-io=on', '--find', '--show', this.#image]).toString().trim();
      mount(this.#device, path);
    }
    execFileSync('cp', ['-a', `${aside}/.`, path]);
    rmSync(aside, { recursive: true });
  }

  remount(how: string): void {
    mount('-o', `remount,${how}`, this.path);
  }

  /** Only so much is free from now on. */
  leave(bytes: number): void {
    const used = execFileSync('df', ['-B1', '--output=used', this.path]).toString().trim().split('\n').at(-1);
    this.remount(`size=${Math.ceil((Number(used) + bytes) / 4096 + 1) * 4096}`);
  }

  /** The sectors behind the first ones are lost: every read of theirs is an I/O error from here on. */
  loseEnd(): void {
    // with the mount goes what is in memory
    execFileSync('umount', [this.path]);
    truncateSync(this.#image, 4_000_000);
    mount(this.#device ?? '', this.path);
  }

  [Symbol.dispose](): void {
    execFileSync('umount', ['--lazy', this.path]);
    if (this.#device !== null) {
      execFileSync('losetup', ['--detach', this.#device]);
      execFileSync('umount', ['--lazy', this.#under]);
    }
    rmSync(this.#under, { recursive: true, force: true });
  }
}

function mount(...args: readonly string[]): void {
  execFileSync('mount', args);
}

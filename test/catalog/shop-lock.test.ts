import { spawnSync } from 'node:child_process';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { daemonRunning, lockDaemon, lockShop } from '../../src/catalog/shop-lock.ts';
import { systemClock } from '../../src/clock.ts';
import { tempDir } from '../temp-dir.ts';

const SINCE = String.raw`since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d`;

describe('lock of a shop', () => {
  test('a second writer - E_BUSY says what is under way, since when and in which process; another shop is free', async () => {
    const stateDir = await tempDir();
    using _first = await lockShop(stateDir, systemClock, 'dupont', 'a backup of files');
    await expect(lockShop(stateDir, systemClock, 'dupont', 'a prune')).rejects.toMatchObject({
      code: 'E_BUSY',
      message: expect.stringMatching(new RegExp(`^dupont: a backup of files is under way ${SINCE} \\(process ${process.pid}\\)$`)),
    });
    using _other = await lockShop(stateDir, systemClock, 'martin', 'a prune');
  });

  test('a configured zone - since when is told in it', async () => {
    const stateDir = await tempDir();
    using _first = await lockShop(stateDir, systemClock, 'dupont', 'a backup of files');
    await expect(lockShop(stateDir, systemClock, 'dupont', 'a prune', 'Asia/Kolkata')).rejects.toThrow(/ since \S+\+05:30 /);
    using _daemon = await lockDaemon(stateDir, systemClock, 'the daemon');
    await expect(lockDaemon(stateDir, systemClock, 'the daemon', 'Asia/Kolkata')).rejects.toThrow(/ since \S+\+05:30 /);
  });

  test('held by the daemon - said so; released - free, and who was refused did not become its holder', async () => {
    const stateDir = await tempDir();
    using _daemon = await lockDaemon(stateDir, systemClock, 'the daemon');
    const first = await lockShop(stateDir, systemClock, 'dupont', 'a prune');
    for (let i = 0; i < 2; i++) {
      await expect(lockShop(stateDir, systemClock, 'dupont', 'a catch-up')).rejects.toMatchObject({
        message: expect.stringMatching(new RegExp(`^dupont: a prune is under way ${SINCE} \\(the daemon, process ${process.pid}\\)$`)),
      });
    }
    first.release();
    (await lockShop(stateDir, systemClock, 'dupont', 'a catch-up')).release();
  });
});

describe('lock of the daemon', () => {
  test('none runs - null, and asking leaves it free; one runs - who it is, and a second one is refused', async () => {
    const stateDir = await tempDir();
    expect(await daemonRunning(stateDir)).toBeNull();
    expect(await readdir(stateDir)).toEqual([]);
    using _daemon = await lockDaemon(stateDir, systemClock, 'the daemon');
    expect(await daemonRunning(stateDir)).toMatchObject({ pid: process.pid, doing: 'the daemon' });
    await expect(lockDaemon(stateDir, systemClock, 'a rebuild of the catalog')).rejects.toMatchObject({
      code: 'E_DAEMON_RUNNING',
      message: expect.stringMatching(new RegExp(`^the daemon already runs on ${stateDir} ${SINCE} \\(process ${process.pid}\\)$`)),
    });
  });

  test('it is gone, and several ask at once - none is told that it runs', async () => {
    const stateDir = await tempDir();
    (await lockDaemon(stateDir, systemClock, 'the daemon')).release();
    const gone = spawnSync(process.execPath, ['-e', '']).pid;
    await writeFile(join(stateDir, 'locks/daemon.holder'), JSON.stringify({ pid: gone, doing: 'the daemon', sinceMs: 0 }));
    const answers = await Promise.all(Array.from({ length: 4 }, () => daemonRunning(stateDir)));
    expect(answers).toEqual([null, null, null, null]);
  });

  test('somebody who only asks holds it for a moment - the daemon starts all the same', async () => {
    const stateDir = await tempDir();
    const asking = await lockDaemon(stateDir, systemClock, 'a question');
    const started = lockDaemon(stateDir, systemClock, 'the daemon');
    await systemClock.sleep(50);
    asking.release();
    (await started).release();
  });
});

import { readdir } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { daemonRunning, lockDaemon, lockShop } from '../../src/catalog/shop-lock.ts';
import { systemClock } from '../../src/clock.ts';
import { tempDir } from '../temp-dir.ts';

const SINCE = String.raw`since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`;

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

  test('somebody who only asks holds it for a moment - the daemon starts all the same', async () => {
    const stateDir = await tempDir();
    const asking = await lockDaemon(stateDir, systemClock, 'a question');
    const started = lockDaemon(stateDir, systemClock, 'the daemon');
    await systemClock.sleep(50);
    asking.release();
    (await started).release();
  });
});

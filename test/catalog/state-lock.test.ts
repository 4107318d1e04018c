import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { acquireLock } from '../../src/catalog/state-lock.ts';
import { startChild } from '../child.ts';
import { tempDir } from '../temp-dir.ts';

const CHILD = join(import.meta.dirname, 'open-in-child.ts');

test('held in this process - a second taker gets null, another name does not matter', async () => {
  const stateDir = await tempDir();
  const lock = await acquireLock(stateDir, 'shop-dupont');
  expect(lock).not.toBeNull();
  expect(await acquireLock(stateDir, 'shop-dupont')).toBeNull();
  using other = await acquireLock(stateDir, 'shop-martin');
  expect(other).not.toBeNull();
  // the refused attempt must not have freed it
  const child = startChild(CHILD, ['lock', stateDir, 'shop-dupont']);
  expect(await child.line()).toBe('refused');
  lock?.release();
  lock?.release();
  using again = await acquireLock(stateDir, 'shop-dupont');
  expect(again).not.toBeNull();
});

test('held by another process - null until SIGKILL ends it, then free at once', async () => {
  const stateDir = await tempDir();
  const child = startChild(CHILD, ['lock', stateDir, 'daemon']);
  expect(await child.line()).toBe('held');
  expect(await acquireLock(stateDir, 'daemon')).toBeNull();
  await child.kill();
  const lock = await acquireLock(stateDir, 'daemon');
  onTestFinished(() => lock?.release());
  expect(lock).not.toBeNull();
});

test('a name that is a path - refused', async () => {
  await expect(acquireLock(await tempDir(), '../daemon')).rejects.toMatchObject({ code: 'E_INTERNAL' });
});

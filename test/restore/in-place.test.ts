// A whole shop restored where it runs, with real PHP before it: forward, failed, back.
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { describeTree } from '../source/files/tree.ts';
import { type InPlaceSetting, makeInPlaceSetting, OWNER } from './in-place-setting.ts';

describe.skipIf(process.geteuid?.() !== 0)('a shop on this machine', () => {
  let setting: InPlaceSetting;

  beforeAll(async () => {
    setting = await makeInPlaceSetting();
  }, 120_000);
  afterAll(async () => {
    await setting?.[Symbol.asyncDispose]();
  }, 60_000);
  beforeEach(async () => {
    await setting.become('two');
    expect(await setting.page()).toBe('two two');
  }, 60_000);

  test('files and database together - the shop is as it was, open, and nothing of the restore is left', async () => {
    const { world, root } = setting;
    const { json } = await world.ok(['restore', 'dupont', '--in-place', '--at', '2099-01-01T00:00:00Z']);
    expect(json).toMatchObject({ shop: 'dupont', verified: true, inPlace: { outcome: 'restored' } });
    expect(await setting.page()).toBe('one one');
    expect(await setting.leftovers()).toEqual([]);
    expect(existsSync(join(root, 'only-two.php'))).toBe(false);
    expect(statSync(join(root, 'index.php')).uid).toBe(OWNER);
  }, 120_000);
});

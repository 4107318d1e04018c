// A shop on another machine, restored where it runs through SSH: its tree swapped as a whole, its database through a tunnel; killed, and back.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { SafetySnapshots } from '../../src/restore/in-place.ts';
import { type Sshd, startSshd } from '../servers/sshd.ts';
import { Asker, chainOfKills, requestFor, runUnit } from './in-place-kills.ts';
import { type InPlaceSetting, makeInPlaceSetting } from './in-place-setting.ts';

describe.skipIf(process.geteuid?.() !== 0)('a shop on its own host', () => {
  let sshd: Sshd;
  let setting: InPlaceSetting;
  let safety: SafetySnapshots;

  beforeAll(async () => {
    sshd = await startSshd();
    setting = await makeInPlaceSetting({ host: sshd.hostLines() });
    await setting.become('two');
    const { json } = await setting.world.ok(['backup', 'dupont']);
    const idOf = (source: string): string => json.snapshots.find((one: { source: string }) => one.source === source).id;
    safety = { database: idOf('database'), files: idOf('files') };
  }, 180_000);
  afterAll(async () => {
    await setting?.[Symbol.asyncDispose]();
    await sshd?.stop();
  }, 60_000);
  beforeEach(async () => {
    await setting.become('two');
    expect(await setting.page()).toBe('two two');
  }, 60_000);

  test('files and database together - closed, swapped, open; nothing of the restore is left there', async () => {
    const asker = new Asker(setting);
    const { answer } = await runUnit(setting, requestFor(setting, safety), 0);
    expect(answer).toMatchObject({ event: 'done', result: { outcome: 'restored' } });
    expect(await asker.stop()).toEqual(['two two', 'maintenance', 'one one']);
    expect(existsSync(join(setting.root, 'only-two.php'))).toBe(false);
    expect(await setting.leftovers()).toEqual([]);
  }, 240_000);

  test('killed at some steps, there and back - as before, in maintenance, or complete', async () => {
    const forth = await chainOfKills(setting, safety, [40, 120]);
    expect(forth.found).toEqual([]);
    const back = await chainOfKills(setting, safety, [125, 20], true);
    expect(back.found).toEqual([]);
    expect(forth.kills.length + back.kills.length).toBeGreaterThan(2);
  }, 300_000);
});

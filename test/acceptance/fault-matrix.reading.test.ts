// The fault matrix of what reads a store that fails, hangs and lies: verify, restore, reconcile, prune; case by case.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { ErrorCode } from '../../src/errors.ts';
import {
  type Answer,
  answersWith,
  breaksOff,
  drips,
  failsInside,
  hangs,
  type Lie,
  lags,
  pretends,
  refuses,
  resets,
} from '../servers/lying-store.ts';
import { until } from '../servers/rig.ts';
import { inventory } from '../servers/s3.ts';
import { flipped } from './attack.ts';
import { believesTheTruth, faultySetting, KINDS, metersExactly, recoversWholly, type Scene, scene } from './fault-matrix.ts';

const setting = faultySetting();

const BACKUP = ['backup', 'dupont'] as const;
const VERIFY = ['verify', 'dupont', '--read-data'] as const;

/** Into a folder that is removed again. */
async function restores(it: Scene, code: ErrorCode | null, ...more: readonly string[]): Promise<void> {
  const directory = join(it.world.dir, 'back');
  const command = ['restore', 'dupont', '--source', 'files', '--to-dir', directory, ...more];
  if (code === null) await it.ok(...command);
  else await it.fails(code, ...command);
  rmSync(directory, { recursive: true, force: true });
}

describe.concurrent('a GET', { timeout: 300_000 }, () => {
  const ways: [string, Lie['tell'], ErrorCode][] = [
    ['500', refuses(500, 'InternalError'), 'E_VAULT_IO'],
    ['503 with SlowDown', refuses(503, 'SlowDown'), 'E_VAULT_UNREACHABLE'],
    ['404', refuses(404, 'NoSuchKey'), 'E_OBJECT_MISSING'],
    ['a reset', resets(false), 'E_VAULT_UNREACHABLE'],
    ['no answer', hangs(), 'E_VAULT_TIMEOUT'],
    ['silence in the middle of the body', breaksOff('silent'), 'E_VAULT_TIMEOUT'],
    ['a body that ends in the middle', breaksOff('cut'), 'E_VAULT_UNREACHABLE'],
    ['a body that drips', drips, 'E_VAULT_TIMEOUT'],
    ['other bytes', answersWith((body) => flipped(body)), 'E_OBJECT_ALTERED'],
    ['a shorter object', answersWith((body) => body.subarray(0, -1)), 'E_OBJECT_ALTERED'],
    ['a longer object', answersWith((body) => Buffer.concat([body, Buffer.from('x')])), 'E_OBJECT_ALTERED'],
    ['another version', answersWith((body) => Buffer.from(body).reverse()), 'E_OBJECT_ALTERED'],
  ];
  for (const kind of ['segment', 'index', 'manifest'] as const) {
    const key = KINDS[kind];
    it(`of a ${kind} - once: success after a retry; each time: verify and restore end with the code, and the other vault restores`, async () => {
      await using it = await scene(setting.gateway, setting.trees.small, { vaults: ['nas', 'offsite'] });
      await it.ok(...BACKUP);
      it.lie({ on: 'GetObject', key, tell: refuses(500, 'InternalError'), times: 1 });
      await it.ok(...VERIFY);
      it.lie({ on: 'GetObject', key, tell: resets(false), times: 1 });
      await restores(it, null, '--from', 'offsite');
      expect(it.told()).toBe(1);
      for (const [way, tell, code] of ways) {
        it.lie({ on: 'GetObject', key, tell });
        const { json } = await it.fails(code, ...VERIFY);
        expect(json.ok, way).toBe(false);
        expect(it.told(), way).toBeGreaterThan(0);
        if (!['500', 'a body that ends in the middle', 'other bytes'].includes(way)) continue;
        it.lie({ on: 'GetObject', key, tell });
        await restores(it, code, '--from', 'offsite');
      }
      it.lie({ on: 'GetObject', key, tell: answersWith((body) => flipped(body)) });
      await restores(it, null);
      await recoversWholly(it);
    });
  }
});

/** Each page is the first or the second one, in turn, for ever. */
function circles(): Lie['tell'] {
  const pages: Answer[] = [];
  let asked = 0;
  return async (call) => {
    if (pages.length < 2) pages.push(await call.forward());
    else await call.body();
    call.answer(pages[asked++ % 2] as Answer);
  };
}

describe.concurrent('a listing', { timeout: 300_000 }, () => {
  const on = 'ListObjectVersions';
  const ways: [string, () => Lie['tell'], ErrorCode][] = [
    ['500', () => refuses(500, 'InternalError'), 'E_VAULT_IO'],
    ['503 with SlowDown', () => refuses(503, 'SlowDown'), 'E_VAULT_UNREACHABLE'],
    ['200 with an error inside', () => failsInside(false), 'E_VAULT_IO'],
    ['no answer', () => hangs(), 'E_VAULT_TIMEOUT'],
    ['a body that ends in the middle', () => breaksOff('cut'), 'E_VAULT_UNREACHABLE'],
    ['a body that drips', () => drips, 'E_VAULT_TIMEOUT'],
    ['pages that go round in a circle', circles, 'E_VAULT_IO'],
    [
      'one page again and again',
      () => answersWith((body) => Buffer.from(body.toString().replace(/<IsTruncated>\w+/, '<IsTruncated>true'))),
      'E_VAULT_IO',
    ],
  ];
  it('that fails in each way - once: success after a retry; each time: verify, backup, reconcile and prune end with the code', async () => {
    await using it = await scene(setting.gateway, setting.trees.small);
    await it.ok(...BACKUP);
    // so many segments that they fill more than a page
    await it.ok(...BACKUP, '--full');
    it.lie({ on, tell: refuses(503, 'SlowDown'), times: 2 });
    await it.ok('verify', 'dupont');
    for (const [way, tell, code] of ways) {
      for (const command of [['verify', 'dupont'], BACKUP, ['reconcile', 'dupont'], ['prune', 'dupont']] as const) {
        // the segments alone are no more than two pages
        if (way.includes('circle') && command === BACKUP) continue;
        it.lie({ on, tell: tell() });
        await it.fails(code, ...command);
        expect(it.told(), way).toBeGreaterThan(0);
      }
      it.lie();
      await believesTheTruth(it.world);
    }
    await it.ok('prune', 'dupont');
    await it.ok('reconcile', 'dupont');
    await recoversWholly(it);
  });

  it('that lags behind - verify asks the store before it calls what is new missing; backup, reconcile and prune lose nothing by it', async () => {
    await using it = await scene(setting.gateway, setting.trees.small);
    await it.ok(...BACKUP);
    it.lie({ on, tell: lags() });
    for (const command of ['verify', 'reconcile', 'prune']) await it.ok(command, 'dupont');
    await it.ok(...BACKUP);
    for (const command of ['verify', 'reconcile', 'prune']) await it.ok(command, 'dupont');
    await it.ok('backup', 'dupont', '--full');
    await believesTheTruth(it.world);
    await recoversWholly(it);
    await it.ok('reconcile', 'dupont');
  });

  it('that leaves out entries - a backup stores anew what it does not see; verify and reconcile ask before they believe', async () => {
    await using it = await scene(setting.gateway, setting.trees.small);
    await it.ok(...BACKUP);
    const forgets = answersWith((body) => Buffer.from(body.toString().replace(/<Version>.*?<\/Version>/s, '')));
    it.lie({ on, tell: forgets });
    await it.ok('verify', 'dupont');
    await it.ok(...BACKUP);
    for (const command of ['reconcile', 'prune']) await it.ok(command, 'dupont');
    await believesTheTruth(it.world);
    await recoversWholly(it);
  });
});

describe.concurrent('a DELETE during prune', { timeout: 300_000 }, () => {
  it('that fails, hangs, whose answer is lost, or that is not done at all - its code, the ledger says what the store holds, and the next prune goes on', async () => {
    await using it = await scene(setting.gateway, setting.trees.small, { retention: '12s' });
    const removed: string = (await it.ok(...BACKUP)).json.snapshots[0].id;
    await it.ok(...BACKUP);
    // the newest one's lock is kept ahead meanwhile
    const end = systemClock.nowMs() + 15_000;
    await until('the first snapshot is past its window and its lock', 30_000, () => systemClock.nowMs() > end, 500);
    const manifest = async (): Promise<number> =>
      (await inventory(it.world.bucket, 'prod/dupont/snapshots/')).versions.filter(({ key }) => key.includes(removed)).length;
    const on = 'DeleteObject';
    const ways: [Lie['tell'], ErrorCode][] = [
      [refuses(500, 'InternalError'), 'E_VAULT_IO'],
      [refuses(503, 'SlowDown'), 'E_VAULT_UNREACHABLE'],
      [hangs(), 'E_VAULT_TIMEOUT'],
    ];
    for (const [tell, code] of ways) {
      it.lie({ on, tell });
      await it.fails(code, 'prune', 'dupont');
      expect(await manifest()).toBe(1);
      await metersExactly(it);
    }
    it.lie({ on, tell: pretends });
    await it.fails('E_NOT_DELETED', 'prune', 'dupont');
    expect(await manifest()).toBe(1);
    await metersExactly(it);
    it.lie({ on, tell: resets(true), times: 1 });
    await it.fails('E_VAULT_UNREACHABLE', 'prune', 'dupont');
    it.lie();
    await it.run('prune', 'dupont');
    expect(await manifest()).toBe(0);
    await metersExactly(it);
    await it.ok(...VERIFY);
  });
});

// The fault matrix of a backup into a store that fails, hangs and lies, case by case, for each kind of object.
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/errors.ts';
import { dropsLock, failsInside, hangs, type Lie, pretends, refuses, resets, says, takesNothing } from '../servers/lying-store.ts';
import { inventory } from '../servers/s3.ts';
import {
  believesTheTruth,
  faultySetting,
  KINDS,
  type Kind,
  metersExactly,
  recoversWholly,
  type Scene,
  scene,
  showsAsNewest,
} from './fault-matrix.ts';

const setting = faultySetting();

const FULL = ['backup', 'dupont', '--full'] as const;
const inOrder: readonly Kind[] = ['segment', 'key', 'index', 'manifest', 'checkpoint'];
const WRONG_VERSION = { 'x-amz-version-id': 'madeUpByATest0123456789abcdefghi' };
const keepsNoLock: Lie = { on: 'PutObjectRetention', tell: pretends };

/**
 * The command that writes this kind fails with `code` while the lies are told, and afterwards coffre believes nothing that is not so: the
 * newest good snapshot is the one before, or none, and red says why. `before` is null while there is no snapshot.
 */
async function failsAt(it: Scene, kind: Kind, code: ErrorCode, before: string | null, ...lies: readonly Lie[]): Promise<void> {
  it.lie(...lies);
  if (kind === 'checkpoint') {
    const { json } = await it.fails('E_CHECKPOINT', 'catalog', 'checkpoint');
    expect(json.failed).toEqual([expect.objectContaining({ vault: 'offsite', code })]);
  } else await it.fails(code, ...FULL);
  expect(it.told(), `lies told at ${kind}`).toBeGreaterThan(0);
  it.lie();
  await believesTheTruth(it.world);
  const says = kind === 'checkpoint' ? 'vault offsite lacks the newest state of coffre' : 'the last backup failed';
  await showsAsNewest(it, before, new RegExp(`${says}.*\\[${code}\\]`));
  if (before === null) await it.fails('E_RED', 'verify', 'dupont');
  else await it.ok('verify', 'dupont', '--read-data');
}

describe.concurrent('at the PUT of a segment, a key, an index, a manifest and a checkpoint', { timeout: 300_000 }, () => {
  const once: [string, Lie['tell']][] = [
    ['500', refuses(500, 'InternalError')],
    ['503 with SlowDown', refuses(503, 'SlowDown')],
    ['a reset before the store has it', resets(false)],
    ['a reset after the store has it', resets(true)],
  ];
  it.each(once)('%s, once at each - success after a retry', async (_name, tell) => {
    await using it = await scene(setting.gateway, setting.trees.small);
    it.lie(...inOrder.map((kind): Lie => ({ on: 'PutObject', key: KINDS[kind], times: 1, tell })));
    const { json } = await it.ok(...FULL);
    expect(it.told()).toBe(inOrder.length);
    expect(json.checkpoint.failed).toEqual([]);
    await believesTheTruth(it.world);
    await showsAsNewest(it, json.snapshots[0].id, null);
    await recoversWholly(it);
  });

  /** What is told at each PUT, and how it ends. */
  const always: [string, Lie['tell'], ErrorCode][] = [
    ['500', refuses(500, 'InternalError'), 'E_VAULT_IO'],
    ['503 with SlowDown', refuses(503, 'SlowDown'), 'E_VAULT_UNREACHABLE'],
    ['403 with QuotaExceeded', refuses(403, 'QuotaExceeded'), 'E_VAULT_SPACE'],
    ['a reset before the store has it', resets(false), 'E_VAULT_UNREACHABLE'],
    ['a reset after the store has it', resets(true), 'E_VAULT_UNREACHABLE'],
    ['success without the object', pretends, 'E_OBJECT_MISSING'],
    ['success with a wrong version id', says(WRONG_VERSION), 'E_OBJECT_MISSING'],
    ['success without a version id', says({ 'x-amz-version-id': null }), 'E_NO_OBJECT_LOCK'],
    ['200 with an error inside', failsInside(false), 'E_VAULT_IO'],
  ];
  for (const [name, tell, code] of always) {
    it(`${name}, each time - ${code} at each, nothing is called stored, and later all is well`, async () => {
      await using it = await scene(setting.gateway, setting.trees.small);
      // a run takes up what those before it stored, so that each comes one step further
      for (const kind of inOrder) await failsAt(it, kind, code, null, { on: 'PutObject', key: KINDS[kind], tell });
      await recoversWholly(it);
    });
  }

  it('the lock silently dropped - given again and read back; dropped again - E_LOCK_DROPPED', async () => {
    await using it = await scene(setting.gateway, setting.trees.small);
    const { client } = it.world.bucket;
    it.lie(...inOrder.map((kind): Lie => ({ on: 'PutObject', key: KINDS[kind], tell: dropsLock(client) })));
    const { json } = await it.ok(...FULL);
    expect(json.snapshots[0].lock).toMatchObject({ mode: 'COMPLIANCE', verified: true });
    expect(json.checkpoint.failed).toEqual([]);
    await believesTheTruth(it.world);
    for (const kind of ['segment', 'index', 'manifest', 'checkpoint'] as const) {
      const drops: Lie = { on: 'PutObject', key: KINDS[kind], tell: dropsLock(client) };
      await failsAt(it, kind, 'E_LOCK_DROPPED', json.snapshots[0].id, drops, keepsNoLock);
    }
    // the extension to the snapshot's horizon, of what was stored under a provisional lock
    await failsAt(it, 'segment', 'E_LOCK_DROPPED', json.snapshots[0].id, keepsNoLock);
    await recoversWholly(it);
  });

  it('what is read back is another size, another version, or 500 - a coded error', async () => {
    await using it = await scene(setting.gateway, setting.trees.small);
    const before = await recoversWholly(it, FULL);
    for (const kind of ['segment', 'index', 'manifest', 'checkpoint'] as const) {
      const on = 'HeadObject';
      await failsAt(it, kind, 'E_OBJECT_ALTERED', before, { on, key: KINDS[kind], tell: says({ 'content-length': '1' }) });
      await failsAt(it, kind, 'E_OBJECT_ALTERED', before, { on, key: KINDS[kind], tell: says(WRONG_VERSION) });
      await failsAt(it, kind, 'E_VAULT_IO', before, { on, key: KINDS[kind], tell: refuses(500, 'InternalError') });
    }
    await recoversWholly(it);
  });
});

describe.concurrent('a store that hangs', { timeout: 300_000 }, () => {
  const ways: [Kind, string, Lie['tell']][] = [
    ['segment', 'takes the body and never answers', hangs()],
    ['segment', 'stores it and never answers', hangs(true)],
    ['segment', 'is full, and takes nothing', takesNothing],
    ['index', 'is full, and takes nothing', takesNothing],
    ['manifest', 'stores it and never answers', hangs(true)],
    ['checkpoint', 'takes the body and never answers', hangs()],
  ];
  it.each(ways)('at the PUT of a %s: %s - E_VAULT_TIMEOUT within its deadlines; once: success after a retry', async (kind, _way, tell) => {
    await using it = await scene(setting.gateway, setting.trees.small);
    it.lie({ on: 'PutObject', key: KINDS[kind], tell, times: 1 });
    const { json } = await it.ok(...FULL);
    expect(it.told()).toBe(1);
    await failsAt(it, kind, 'E_VAULT_TIMEOUT', json.snapshots[0].id, { on: 'PutObject', key: KINDS[kind], tell });
    await recoversWholly(it);
  });
});

describe.concurrent('a large segment, a multipart upload of two parts', { timeout: 300_000 }, () => {
  it('500, SlowDown, a reset and a lost answer, once each at the parts - success after a retry', async () => {
    await using it = await scene(setting.gateway, setting.trees.large);
    const [on, key] = ['UploadPart', KINDS.segment] as const;
    for (const [first, second] of [
      [refuses(500, 'InternalError'), resets(true)],
      [refuses(503, 'SlowDown'), resets(false)],
    ] as const) {
      it.lie({ on, key, tell: first, times: 1 }, { on, key, tell: second, times: 1 });
      await it.ok(...FULL);
      expect(it.told()).toBe(2);
    }
    await recoversWholly(it);
  });

  const cases: [string, readonly Lie[], ErrorCode][] = [
    ['SlowDown at its start', [{ on: 'CreateMultipartUpload', tell: refuses(503, 'SlowDown') }], 'E_VAULT_UNREACHABLE'],
    ['a start without an upload id', [{ on: 'CreateMultipartUpload', tell: pretends }], 'E_VAULT_IO'],
    ['500 at each part', [{ on: 'UploadPart', tell: refuses(500, 'InternalError') }], 'E_VAULT_IO'],
    ['parts that were never stored', [{ on: 'UploadPart', tell: pretends }], 'E_VAULT_IO'],
    ['parts that are never answered', [{ on: 'UploadPart', tell: hangs() }], 'E_VAULT_TIMEOUT'],
    ['parts that are not taken', [{ on: 'UploadPart', tell: takesNothing }], 'E_VAULT_TIMEOUT'],
    ['200 with an error inside at its end', [{ on: 'CompleteMultipartUpload', tell: failsInside(false) }], 'E_VAULT_IO'],
    ['200 with an error inside at its end, which was one', [{ on: 'CompleteMultipartUpload', tell: failsInside(true) }], 'E_VAULT_IO'],
    ['an end that is never answered', [{ on: 'CompleteMultipartUpload', tell: hangs(true) }], 'E_VAULT_TIMEOUT'],
    ['an end whose answer is lost', [{ on: 'CompleteMultipartUpload', tell: resets(true) }], 'E_VAULT_UNREACHABLE'],
    ['success without the object', [{ on: 'CompleteMultipartUpload', tell: pretends }], 'E_OBJECT_MISSING'],
    ['a wrong version id', [{ on: 'CompleteMultipartUpload', tell: says(WRONG_VERSION) }], 'E_OBJECT_MISSING'],
    ['a lock that is not kept', [keepsNoLock], 'E_LOCK_DROPPED'],
  ];
  for (const part of [0, 1, 2, 3]) {
    const own = cases.filter((_, i) => i % 4 === part);
    const title = own.map(([name, , code]) => `${name}: ${code}`).join(', ');
    it(`${title} - nothing is called stored, an upload that is left is metered, and later all is well`, async () => {
      await using it = await scene(setting.gateway, setting.trees.large);
      for (const [, lies, code] of own) await failsAt(it, 'segment', code, null, ...lies.map((lie) => ({ ...lie, key: KINDS.segment })));
      await recoversWholly(it);
    });
  }
});

describe('two vaults, one of which lies', { timeout: 300_000 }, () => {
  it('each lie - E_DEGRADED names it, status says what is missing, and a catch-up under further lies copies nothing that is not there', async () => {
    await using it = await scene(setting.gateway, setting.trees.small, { vaults: ['nas', 'offsite'] });
    await it.ok(...FULL);
    const lies: [Kind, ErrorCode, Lie['tell']][] = [
      ['segment', 'E_OBJECT_MISSING', pretends],
      ['index', 'E_VAULT_UNREACHABLE', refuses(503, 'SlowDown')],
      ['manifest', 'E_OBJECT_MISSING', says(WRONG_VERSION)],
    ];
    for (const [kind, code, tell] of lies) {
      it.lie({ on: 'PutObject', key: KINDS[kind], tell });
      const { json } = await it.fails('E_DEGRADED', ...FULL);
      expect(json.snapshots[0]).toMatchObject({ vaults: ['nas'], missing: [{ vault: 'offsite', code }] });
      await believesTheTruth(it.world);
      const status = (await it.run('status', 'dupont')).json.shops[0];
      expect(status.lacking).toEqual([
        expect.objectContaining({ vault: 'offsite', missing: expect.arrayContaining([json.snapshots[0].id]) }),
      ]);
      expect(status.ok).toBe(false);
      // the same lie told to a catch-up
      const { json: caught } = await it.run('catch-up', 'dupont');
      expect(JSON.stringify(caught), `catch-up, ${kind}`).toContain(code);
      expect(caught.error, `catch-up, ${kind}`).toBeDefined();
      await believesTheTruth(it.world);
    }
    it.lie({ on: 'PutObject', key: KINDS.manifest, tell: refuses(500, 'InternalError'), times: 1 });
    await it.ok('catch-up', 'dupont');
    await it.ok('verify', 'dupont', '--read-data');
    await metersExactly(it);
    expect((await it.run('status', 'dupont')).json.shops[0].lacking).toEqual([]);
    expect((await inventory(it.world.bucket, 'prod/dupont/snapshots/')).versions.length).toBeGreaterThanOrEqual(4);
  });
});

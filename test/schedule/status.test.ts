import { Temporal } from 'temporal-polyfill';
import { describe, expect, test } from 'vitest';
import type { Gap } from '../../src/backup/catch-up-plan.ts';
import { DIED, type RunRow } from '../../src/catalog/runs.ts';
import type { SnapshotWithCopies } from '../../src/catalog/snapshots.ts';
import type { PlanConfig, ShopConfig, VaultConfig } from '../../src/config/config.ts';
import { type StatusFacts, shopStatus } from '../../src/schedule/status.ts';
import { snapshotRow } from '../rows.ts';

// a Thursday noon
const NOW = Temporal.Instant.from('2026-11-19T12:00:00Z').epochMilliseconds;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const vault = (name: string, rest: object): VaultConfig => ({ name, site: null, offsite: true, ...rest }) as unknown as VaultConfig;
const VAULTS = [vault('nas', { type: 'filesystem', media: 'disk' }), vault('offsite', { type: 's3', media: 'object' })];

const shop = (schedule: Partial<PlanConfig['schedule']> = {}): ShopConfig => ({
  name: 'dupont',
  plan: {
    name: 'plan',
    retentionMs: 14 * DAY,
    rto: {
      ...{ targetMs: 4 * HOUR, calendar: '24x7', country: null, region: null, zone: 'UTC' },
      hours: { fromMinute: 540, toMinute: 1080, days: [1, 2, 3, 4, 5] },
    },
    quotaBytes: null,
    full: 'fresh',
    maintenance: [],
    schedule: { database: null, files: '0 3 * * 0', increments: '0 4 * * *', server: null, ...schedule },
  },
  vaults: ['nas', 'offsite'],
  host: { type: 'local' },
  database: null,
  files: { root: '/srv/dupont', profile: 'generic', exclude: [] },
  server: null,
});

const snapshot = (asOf: number, rest: Partial<SnapshotWithCopies> = {}): SnapshotWithCopies => ({
  ...(snapshotRow({ id: `s${asOf}`, asOf, completedAt: asOf, keepUntil: asOf + 14 * DAY }) as SnapshotWithCopies),
  good: true,
  copies: ['nas', 'offsite'].map((name) => ({
    ...{ snapshotId: `s${asOf}`, vault: name, committedAt: asOf, manifestObject: 1, indexObject: 2, verifiedAt: null, verifyError: null },
    lockMode: name === 'nas' ? 'advisory' : 'COMPLIANCE',
    retainUntil: asOf + 14 * DAY,
  })),
  ...rest,
});

const run = (kind: RunRow['kind'], endedAt: number, rest: Partial<RunRow> = {}): RunRow => ({
  ...{ id: `r${endedAt}`, kind, shop: 'dupont', source: kind === 'backup' ? 'files' : null, state: 'done', startedAt: endedAt, endedAt },
  ...{ errorCode: null, errorMessage: null, errorHint: null, detail: null, who: null, task: null, takesUp: null, slot: null },
  ...rest,
});

const probe = (at: number) => ({ id: 1, vault: 'x', place: '', at, outcome: 'proven' as const, steps: [] });

/** All is well: Sunday's full archive, this morning's increment, this morning's prune, probes of today. */
function facts(changes: Partial<StatusFacts> = {}): StatusFacts {
  return {
    nowMs: NOW,
    timezone: 'Europe/Paris',
    shop: shop(),
    vaults: VAULTS,
    snapshots: [snapshot(NOW - 9 * HOUR, { full: 0 }), snapshot(NOW - 4 * DAY - 10 * HOUR)],
    runs: [run('backup', NOW - 9 * HOUR), run('prune', NOW - 6 * HOUR), run('reconcile', NOW - 5 * HOUR)],
    probes: new Map(VAULTS.map(({ name }) => [name, probe(NOW - HOUR)])),
    vaultFacts: new Map(VAULTS.map(({ name }) => [name, { sharesDisk: false, lockProven: name === 'offsite' }])),
    foreignVersions: 0,
    incidents: [],
    reading: null,
    checkpoints: new Map(VAULTS.map(({ name }) => [name, NOW - 5 * HOUR])),
    lacking: { gaps: [], reasons: [] },
    ...changes,
  };
}

const red = (changes: Partial<StatusFacts>): string => shopStatus(facts(changes)).red.join('\n');

test('a young one that was taken before a restore in place - is not the newest good one, whose age stays what it is', () => {
  const [newest, full] = [snapshot(NOW - 3 * DAY, { full: 0 }), snapshot(NOW - 4 * DAY - 10 * HOUR)];
  const safety = snapshot(NOW - HOUR, { purpose: 'safety' });
  const status = shopStatus(facts({ snapshots: [safety, newest, full] }));
  expect(status.sources[0]?.newestGood).toMatchObject({ id: newest.id, ageMs: 3 * DAY });
  expect(status.red.join()).toContain('one was due at');
  expect(shopStatus(facts({ snapshots: [safety] })).red.join()).toContain('files: no good snapshot;');
});

test('one vault damaged, the other whole - red, with what is restorable from where and what mends it', () => {
  const [copy, other] = snapshot(NOW - 9 * HOUR).copies as [SnapshotWithCopies['copies'][number], SnapshotWithCopies['copies'][number]];
  const damaged = snapshot(NOW - 9 * HOUR, { good: false, copies: [{ ...copy, verifyError: 'E_OBJECT_MISSING' }, other] });
  const lacking = { gaps: [{ snapshot: damaged, vault: 'nas', damage: 'E_OBJECT_MISSING' } as Gap], reasons: [] };
  const status = shopStatus(facts({ snapshots: [damaged], lacking }));
  expect(status.sources[0]).toMatchObject({ newestGood: null, restorable: { id: damaged.id, ageMs: 9 * HOUR, vaults: ['offsite'] } });
  expect(status.red.join('\n')).toMatch(/no good snapshot, but that of .* is restorable from offsite; coffre catch-up dupont mends nas;/);
  const nowhere = snapshot(NOW - 9 * HOUR, { good: false, copies: [{ ...copy, verifyError: 'E_OBJECT_MISSING' }] });
  expect(shopStatus(facts({ snapshots: [nowhere] })).sources[0]?.restorable).toBeNull();
});

describe('restore requests', () => {
  const clock = (state: 'running' | 'paused' | 'broken', leftMs: number) => ({ deadline: NOW + leftMs, leftMs, state });
  const one = (more: object) =>
    facts({ requests: [{ id: 'r1', state: 'approved', since: NOW - HOUR, errorCode: null, clock: null, ...more }] });
  const of = (more: object) => shopStatus(one(more));

  test('one that waits, or that is in time - a note, with its clock', () => {
    expect(of({ state: 'requested' })).toMatchObject({
      ok: true,
      requests: [{ id: 'r1', state: 'requested', deadline: null, leftMs: null, clock: null }],
    });
    expect(of({ state: 'requested' }).notes.join('\n')).toContain('waits for its approval: request r1');
    const running = of({ state: 'running', clock: clock('running', HOUR) });
    expect(running).toMatchObject({ ok: true, requests: [{ leftMs: HOUR, clock: 'running' }] });
    expect(running.notes.join('\n')).toContain('a restore is running: request r1, due at');
    expect(of({ clock: clock('paused', HOUR) }).notes.join('\n')).toContain('(its clock is paused)');
  });

  test('one that is late, or that failed - red, with what to do', () => {
    expect(of({ clock: clock('broken', -1) })).toMatchObject({ ok: false, alarms: [{ kind: 'request', detail: 'r1' }] });
    const failed = of({ state: 'failed', errorCode: 'E_TARGET_SPACE', clock: clock('running', HOUR) });
    expect(failed.red.join('\n')).toContain('failed [E_TARGET_SPACE]');
    expect(failed.red.join('\n')).toContain('coffre request retry r1');
    expect(failed.alarms).toMatchObject([{ kind: 'request', code: 'E_TARGET_SPACE' }]);
    const byRoot = of({ state: 'failed', errorCode: 'E_INTERRUPTED', byRoot: true, clock: clock('running', HOUR) });
    expect(byRoot.red.join('\n')).toContain('as root coffre request run r1 tries again');
  });

  test('one that is approved and begins by nobody’s hand but root’s - red, with the command; not once it runs', () => {
    const waiting = of({ byRoot: true, clock: clock('running', HOUR) });
    expect(waiting.red.join('\n')).toContain('nothing begins it by itself: as root coffre request run r1');
    expect(of({ byRoot: true, state: 'running', clock: clock('running', HOUR) }).ok).toBe(true);
    expect(of({ byRoot: true, state: 'requested' }).ok).toBe(true);
  });
});

describe('status is green', () => {
  test('only when everything is well', () => {
    expect(shopStatus(facts())).toMatchObject({ ok: true, red: [] });
  });
});

describe('status notes', () => {
  test('the newest good snapshot is not of one moment: which tables, by which method; not once a consistent one is newer', () => {
    const consistency = (notCovered: readonly string[]): string =>
      JSON.stringify({ method: 'single-transaction', acrossTables: notCovered.length === 0, notCovered, blockedMs: 0 });
    const loose = { ...snapshot(NOW - 9 * HOUR), full: 0, consistency: consistency(['ps_a', 'ps_b', 'ps_c', 'ps_d']) };
    const notes = shopStatus(facts({ snapshots: [loose, snapshot(NOW - 4 * DAY - 10 * HOUR)] })).notes.join('\n');
    expect(notes).toContain('not consistent across tables (single-transaction): ps_a, ps_b, ps_c and 1 more may have changed');
    const whole = { ...loose, consistency: consistency([]) };
    expect(shopStatus(facts({ snapshots: [whole, { ...loose, id: 'older' }] })).notes.join('\n')).not.toContain('consistent');
  });
});

const copies = (change: object) => snapshot(NOW - 9 * HOUR).copies.map((copy) => ({ ...copy, ...change }));

describe('what was told to stop', () => {
  const stopped = { state: 'interrupted', errorCode: 'E_INTERRUPTED', errorMessage: 'the daemon stops' } as const;
  const runs = (backup: Partial<RunRow>) => [
    run('backup', NOW - HOUR, { source: 'files', ...backup }),
    run('prune', NOW - HOUR, stopped),
    run('reconcile', NOW - HOUR, stopped),
    ...facts().runs,
  ];

  test('is not red by itself; what is late is; nor is a process that died taken for one that was told to', () => {
    expect(red({ runs: runs(stopped) })).toBe('');
    expect(red({ runs: runs(stopped), snapshots: [snapshot(NOW - 2 * DAY)] })).toContain('one was due at');
    expect(red({ runs: [run('backup', NOW - HOUR, stopped), run('prune', NOW - HOUR, stopped), run('prune', NOW - 3 * DAY)] })).toContain(
      'prune has not run since',
    );
    expect(red({ runs: runs({ ...stopped, errorMessage: DIED }) })).toContain('files: the last backup was cut off at');
  });
});

describe('status is red', () => {
  test('whatever the reason - each line names the command that helps', () => {
    const all = [
      red({ snapshots: [], runs: [], probes: new Map() }),
      red({ snapshots: [snapshot(NOW - 2 * DAY)], foreignVersions: 1 }),
      red({ snapshots: [snapshot(NOW + 400 * DAY)], probes: new Map(VAULTS.map(({ name }) => [name, probe(NOW - 2 * DAY)])) }),
      red({ snapshots: [snapshot(NOW - 9 * HOUR, { full: 0 })], runs: [run('prune', NOW - 3 * DAY)] }),
      red({ snapshots: [snapshot(NOW - 9 * HOUR, { copies: copies({ lockMode: null, retainUntil: null }) })] }),
      red({ snapshots: [snapshot(NOW - 9 * HOUR, { copies: copies({ retainUntil: NOW - 1 }) })] }),
      red({ runs: [run('prune', NOW - HOUR, { state: 'failed' }), run('backup', NOW - HOUR, { state: 'failed', source: 'files' })] }),
    ].flatMap((lines) => lines.split('\n'));
    expect(all.length).toBeGreaterThan(12);
    expect(all.filter((line) => !/\bcoffre (doctor|backup|prune|verify|reconcile|incident|snapshots)\b/.test(line))).toEqual([]);
  });

  test('no checkpoint of coffre’s own state for more than two days, where there is something to come back to', () => {
    const at = (ms: number | null) => ({ checkpoints: new Map(VAULTS.map(({ name }) => [name, ms])) });
    expect(red(at(NOW - 3 * DAY))).toContain('vault nas: its last checkpoint of coffre’s own state is of');
    expect(red(at(null))).toContain('vault offsite: no checkpoint of coffre’s own state; coffre catalog checkpoint writes one');
    expect(red({ ...at(null), snapshots: [snapshot(NOW - 9 * HOUR)] })).not.toContain('checkpoint');
  });

  test('nothing was ever backed up', () => {
    expect(red({ snapshots: [], runs: [] })).toContain('files: no good snapshot');
  });

  test('a slot was missed and its grace is over: the daemon may be down', () => {
    expect(red({ snapshots: [snapshot(NOW - 2 * DAY)] })).toContain('one was due at');
  });

  test('nothing is scheduled and the newest good snapshot is of last month', () => {
    const unscheduled = shop({ files: null, increments: null });
    expect(red({ shop: unscheduled, snapshots: [snapshot(NOW - 3 * DAY)] })).toBe('');
    expect(red({ shop: unscheduled, snapshots: [snapshot(NOW - 30 * DAY)] })).toContain('files: the newest good snapshot is of');
  });

  test('increments go on and the weekly full archive does not come any more', () => {
    const old = snapshot(NOW - 11 * DAY);
    expect(red({ snapshots: [snapshot(NOW - 9 * HOUR, { full: 0 }), old] })).toContain('a full archive was due at');
    expect(red({ snapshots: [snapshot(NOW - 9 * HOUR, { full: 0 })] })).toContain('none is good');
  });

  test('a snapshot or a probe is dated in the future: a clock was or is wrong', () => {
    expect(red({ snapshots: [snapshot(NOW + 400 * DAY)] })).toContain('still to come');
    expect(red({ probes: new Map(VAULTS.map(({ name }) => [name, probe(NOW + DAY)])) })).toContain('by a clock that was wrong');
  });

  test('a probe is older than a day, refused, or was never made', () => {
    expect(red({ probes: new Map(VAULTS.map(({ name }) => [name, probe(NOW - 2 * DAY)])) })).toContain('too long ago');
    expect(red({ probes: new Map() })).toContain('never probed');
  });

  test('the lock of the newest good snapshot is over, or nobody knows it', () => {
    expect(red({ snapshots: [snapshot(NOW - 9 * HOUR, { copies: copies({ retainUntil: NOW - 1 }) })] })).toContain('not locked any more');
    expect(red({ snapshots: [snapshot(NOW - 9 * HOUR, { copies: copies({ lockMode: null, retainUntil: null }) })] })).toContain(
      'is not known',
    );
  });

  test('a vault lacks snapshots, or holds damaged ones - which, how many, why, and what helps', () => {
    const [newest, older] = [snapshot(NOW - 9 * HOUR, { full: 0 }), snapshot(NOW - 4 * DAY - 10 * HOUR)];
    const gap = (it: SnapshotWithCopies, rest: Partial<Gap> = {}): Gap => ({ snapshot: it, vault: 'nas', damage: null, ...rest });
    const reason = (at: number, message: string) => ({
      snapshotId: newest.id,
      vault: 'nas',
      code: 'E_VAULT_SPACE',
      message,
      at,
      failures: 1,
    });
    const lacking = { gaps: [gap(newest), gap(older)], reasons: [reason(NOW - DAY, 'is away'), reason(NOW - HOUR, 'is full')] };
    expect(red({ lacking })).toBe(
      'vault nas lacks 2 snapshots (the newest files of 2026-11-19T04:00:00+01:00): is full [E_VAULT_SPACE], tried at 2026-11-19T12:00:00+01:00; ' +
        'to be copied there from another vault; the daemon does it when it can, coffre catch-up dupont now',
    );
    const damaged = { gaps: [gap(newest, { damage: 'E_OBJECT_ALTERED' })], reasons: [] };
    expect(red({ lacking: damaged })).toContain('vault nas holds 1 snapshot (files of 2026-11-19T04:00:00+01:00) with a damaged object');
    expect(shopStatus(facts({ lacking: damaged })).lacking).toEqual([{ vault: 'nas', missing: [], damaged: [newest.id], reason: null }]);
  });

  test('an incident, a reconciliation that failed or did not come, bytes that nobody read for too long - each says what helps', () => {
    const incident = (id: string, rest: object = {}) => ({
      ...{ id, vault: 'offsite', shop: 'dupont', kind: 'foreign version' as const, key: 'dupont/segments/x', versionId: id, sizeBytes: 5 },
      ...{ detail: null, firstSeenAt: NOW - DAY, lastSeenAt: NOW, goneAt: null, acknowledgedAt: null, acknowledgedBy: null, reason: null },
      ...rest,
    });
    const incidents = [
      incident('i1'),
      incident('i2'),
      incident('i3', { shop: '_coffre', kind: 'drift', key: '', detail: '7 bytes too many' }),
    ];
    expect(red({ incidents }).split('\n')).toEqual([
      'vault offsite: foreign version: dupont/segments/x (first seen 2026-11-18T13:00:00+01:00), and 1 more; coffre incident list dupont names them',
      'vault offsite: drift: 7 bytes too many (first seen 2026-11-18T13:00:00+01:00); coffre incident list _coffre names them',
    ]);
    const others = facts().runs.filter(({ kind }) => kind !== 'reconcile');
    const failed = run('reconcile', NOW - HOUR, { state: 'failed', errorCode: 'E_VAULT_AUTH', errorMessage: 'refused' });
    expect(red({ runs: [...others, failed] })).toMatch(/the last reconciliation failed .*E_VAULT_AUTH.*coffre reconcile dupont/);
    expect(red({ runs: [...others, run('reconcile', NOW - 3 * DAY)] })).toContain('not compared with the catalog since 2026-11-16');
    const level = (overdueBytes: number) => ({
      withinMs: 14 * DAY,
      levels: [{ vault: 'nas', storedBytes: 200, readBytes: 50, overdueBytes }],
    });
    expect(red({ reading: level(150) })).toMatch(
      /^vault nas: 150 bytes were neither read nor stored since 2026-11-05.*coffre verify dupont/,
    );
    const fine = shopStatus(facts({ reading: level(0) }));
    expect(fine).toMatchObject({ ok: true, reading: { withinMs: 14 * DAY, vaults: [{ readBytes: 50 }] } });
    expect(fine.notes.join('\n')).toContain('25 % of nas');
    // younger than the period, and nothing was read: nothing was due
    const unread = { withinMs: 365 * DAY, levels: [{ vault: 'nas', storedBytes: 200, readBytes: 0, overdueBytes: 0 }] };
    expect(shopStatus(facts({ reading: unread })).notes.join('\n')).not.toContain('read back');
    expect(shopStatus(facts({ reading: { ...unread, withinMs: HOUR } })).notes.join('\n')).toContain('0 % of nas');
  });

  test('a degraded run - red for what lacks alone, and not at all once a catch-up has brought it there', () => {
    const degraded = {
      runs: [
        run('backup', NOW - 9 * HOUR, { id: 'r0', state: 'failed', errorCode: 'E_DEGRADED' }),
        run('prune', NOW - HOUR),
        run('reconcile', NOW - HOUR),
      ],
    };
    expect(red(degraded)).toBe('');
    const [newest, ...rest] = facts().snapshots as [SnapshotWithCopies, ...SnapshotWithCopies[]];
    const snapshots = [{ ...newest, good: false }, ...rest];
    const lacking = { gaps: [{ snapshot: newest, vault: 'nas', damage: null }], reasons: [] };
    expect(red({ ...degraded, snapshots, lacking })).toMatch(/vault nas lacks 1 snapshot/);
    expect(red({ ...degraded, snapshots, lacking })).not.toContain('the last backup failed');
    // in a vault that the shop does not have any more it will never be
    expect(red({ ...degraded, snapshots })).toContain('the last backup failed');
  });

  test('3-2-1-1-0 - what each vault has of the newest good ones, and a lock of a folder is never an immutable copy', () => {
    const { copies } = shopStatus(facts());
    expect(copies).toMatchObject({
      copies: 3,
      media: ['disk', 'object'],
      offsite: ['nas', 'offsite'],
      immutable: ['offsite'],
      verifyErrors: 0,
      ok: true,
    });
    expect(copies.vaults).toMatchObject([
      { vault: 'nas', media: 'disk', holds: true, lock: { mode: 'advisory' } },
      { vault: 'offsite', media: 'object', holds: true, lock: { mode: 'COMPLIANCE', retainUntil: '2026-12-03T04:00:00+01:00' } },
    ]);
    const only = (vault: string) => facts().snapshots.map((it) => ({ ...it, copies: it.copies.filter((copy) => copy.vault === vault) }));
    const folder = shopStatus(facts({ snapshots: only('nas') }));
    expect(folder.copies).toMatchObject({ copies: 2, media: ['disk'], immutable: [], ok: false });
    expect(folder.red.join('\n')).toMatch(/1 more copy is needed.*second kind of medium.*no immutable copy/s);
    expect(shopStatus(facts({ snapshots: only('offsite') })).copies).toMatchObject({ copies: 2, immutable: ['offsite'], ok: false });
  });

  test('prune failed, found something that is not ours, or has not run for days', () => {
    const tampered = run('prune', NOW - HOUR, { state: 'failed', errorCode: 'E_VERSION_FOREIGN', errorMessage: 'a delete marker' });
    expect(red({ runs: [tampered] })).toContain('E_VERSION_FOREIGN');
    expect(red({ runs: [run('prune', NOW - 3 * DAY)] })).toContain('prune has not run since');
    expect(red({ runs: [] })).toContain('prune has not run since');
    // a shop of today need not have been pruned yet
    expect(red({ runs: [], snapshots: [snapshot(NOW - HOUR)] })).toBe('');
  });
});

describe('a shop that ends', () => {
  const late = { snapshots: [snapshot(NOW - 9 * DAY)], runs: [run('prune', NOW - 6 * HOUR), run('reconcile', NOW - 5 * HOUR)] };
  const life = { since: NOW - 8 * DAY, endsAt: null, who: 'anna', reason: 'unpaid' };

  test('suspended - not late, and it says until when its newest good backups are kept', () => {
    expect(shopStatus(facts(late)).ok).toBe(false);
    const status = shopStatus(facts({ ...late, life: { ...life, state: 'suspended' } }));
    expect([status.ok, status.life]).toEqual([true, { state: 'suspended', keptUntil: '2026-12-11T13:00:00+01:00', holds: [] }]);
    expect(status.notes.join('\n')).toContain('suspended since 2026-11-11T13:00:00+01:00 (unpaid)');
  });

  test('closing - as late as any other until its end', () => {
    const closing = { ...life, state: 'closing' as const, endsAt: NOW + DAY };
    expect(shopStatus(facts({ ...late, life: closing })).ok).toBe(false);
    expect(shopStatus(facts({ life: closing, holds: ['court order'] })).notes).toContain('held: court order');
  });
});

describe('what waits and what hangs', () => {
  // every day at 4:00; the window of this plan lasts until 6:00
  const windowed = (): ShopConfig => {
    const own = shop({ files: null });
    return { ...own, plan: { ...own.plan, maintenance: [{ fromMinute: 180, toMinute: 360, days: [1, 2, 3, 4, 5, 6, 7] }] } };
  };

  test('a window - the next run begins when it ends, and is late six hours after that', () => {
    expect(shopStatus(facts({ shop: windowed() })).sources[0]?.nextRun).toBe('2026-11-20T06:00:00+01:00');
    const early = Temporal.Instant.from('2026-11-19T10:30:00Z').epochMilliseconds;
    const old = [snapshot(early - 30 * HOUR), snapshot(early - 60 * HOUR)];
    const at = (nowMs: number) => shopStatus(facts({ nowMs, shop: windowed(), snapshots: old })).red.join('\n');
    // 11:30 in Paris: by its slot it is late, by the end of the window it is not
    expect(at(early)).not.toContain('one was due');
    expect(at(early + HOUR)).toContain('one was due at 2026-11-19T04:00:00+01:00');
  });

  test('jitter - the next run is told as it begins; while its part of the jitter lasts, that of this very slot', () => {
    const next = (nowMs: number) => shopStatus(facts({ nowMs, shop: shop({ files: null }), jitterMs: HOUR })).sources[0]?.nextRun ?? '';
    const told = Temporal.Instant.from(next(NOW)).epochMilliseconds;
    const slot = Temporal.Instant.from('2026-11-20T03:00:00Z').epochMilliseconds;
    expect(told).toBeGreaterThan(slot);
    expect(told).toBeLessThan(slot + HOUR);
    expect(next(told - 1000)).toBe(next(NOW));
    expect(next(told + 1000)).not.toBe(next(NOW));
  });

  test('a pause - a note with who and why, its end, and no excuse for what is late', () => {
    const pause = { since: NOW - HOUR, until: NOW + HOUR, who: 'anna', reason: 'migration' };
    const status = shopStatus(facts({ pause }));
    expect(status.ok).toBe(true);
    expect(status.pause).toEqual({
      since: '2026-11-19T12:00:00+01:00',
      until: '2026-11-19T14:00:00+01:00',
      who: 'anna',
      reason: 'migration',
    });
    expect(status.notes.join('\n')).toContain('paused since 2026-11-19T12:00:00+01:00 by anna (migration): scheduled backups wait');
    expect(shopStatus(facts({ pause, snapshots: [snapshot(NOW - 40 * HOUR)] })).ok).toBe(false);
  });

  test('a run that does not end when it is told to - red until it does', () => {
    const hung = run('backup', NOW - HOUR, {
      state: 'running',
      endedAt: null,
      errorCode: 'E_RUN_HUNG',
      errorMessage: 'dupont: it does not end',
    });
    expect(red({ runs: [hung, ...facts().runs] })).toContain('dupont: it does not end; nothing else is done for the shop until it ends');
  });
});

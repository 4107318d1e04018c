// The desk over a real catalog: what is shown, opened, approved and pinned; and the keeper that looks after what is open.
import { rmSync, writeFileSync } from 'node:fs';
import { sql } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Catalog, openCatalog } from '../../src/catalog/open.ts';
import { clearOpenRestore, markOpenRestore } from '../../src/catalog/open-restores.ts';
import { lastRequest, readRequest, requestHistory } from '../../src/catalog/requests.ts';
import { finishRun, startRun } from '../../src/catalog/runs.ts';
import { changeLife } from '../../src/catalog/shop-life.ts';
import { recordSnapshot } from '../../src/catalog/snapshots.ts';
import { parseConfig } from '../../src/config/load.ts';
import { CoffreError } from '../../src/errors.ts';
import { follow, REQUEST_ROLES, REQUEST_STATES, REQUEST_VERBS, type RequestState } from '../../src/restore/request-life.ts';
import type { Wanted } from '../../src/restore/request-preview.ts';
import { readSnapshots } from '../../src/retention/facts.ts';
import { actOnRequest, openRequest, previewNow } from '../../src/schedule/request-desk.ts';
import { fullRequestDocument, heldMs, PromiseCalendars, requestDocument } from '../../src/schedule/request-document.ts';
import { RequestKeeper } from '../../src/schedule/request-keeper.ts';
import { beginRequest, endRequestBeside, failRequest, finishRequest } from '../../src/schedule/request-progress.ts';
import { newId } from '../../src/segment/id.ts';
import { FakeClock } from '../fake-clock.ts';
import { segmentRow, snapshotRow } from '../rows.ts';
import { tempDir } from '../temp-dir.ts';

const ALL: Wanted = { at: null, sources: null, tables: [], paths: [] };
const CLIENT = { who: 'token:dupont', role: 'client' } as const;
const OPERATOR = { who: 'marc', role: 'operator' } as const;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const ms = (text: string): number => Temporal.Instant.from(text).epochMilliseconds;

async function setting(options: { readonly start?: string; readonly unattended?: boolean; readonly rto?: string } = {}) {
  const dir = await tempDir();
  const clock = new FakeClock(options.start ?? '2026-06-05T15:59:00Z');
  const config = parseConfig(
    [
      ...[
        `stateDir: ${dir}/state`,
        'timezone: Europe/Paris',
        'encryption: none',
        `vaults: { nas: { type: filesystem, path: ${dir}/nas } }`,
      ],
      `restore: { socket: ${dir}/restore.sock, unattended: ${options.unattended ?? true} }`,
      `plans: { plan: { retention: 14d, rto: ${options.rto ?? '{ target: 4h, calendar: business, country: FR }'} } }`,
      `shops: { dupont: { plan: plan, vaults: [nas], database: { socketPath: /s, user: u, name: n }, files: { root: ${dir}/a } } }`,
    ].join('\n'),
    `${dir}/coffre.yaml`,
    {},
  );
  // what listens is there
  writeFileSync(`${dir}/restore.sock`, '');
  const catalog = await openCatalog(config.stateDir);
  onTestFinished(() => catalog.close());
  const take = async (source: 'database' | 'files', at: string, state: 'committed' | 'removed' = 'committed'): Promise<string> => {
    const id = newId(clock);
    await catalog.db
      .insertInto('segments')
      .values(segmentRow({ id: `s-${id}`, source }))
      .execute();
    await recordSnapshot(catalog, {
      snapshot: snapshotRow({
        ...{ id, shop: 'dupont', source, state, asOf: ms(at), startedAt: ms(at), completedAt: ms(at), plainBytes: 1000 },
        ...{
          counts: source === 'files' ? '{"files":3}' : '{"tables":2,"rows":9}',
          requiredVaults: '["nas"]',
          keepUntil: ms(at) + 14 * DAY,
        },
      }),
      segments: [{ segmentId: `s-${id}`, seq: 1, partial: 0, liveBytes: null }],
    });
    await copyOf(catalog, id);
    return id;
  };
  const submitted: string[] = [];
  const ordered = new Set<string>();
  const quiet = () => {};
  const keeper = new RequestKeeper({
    ...{ config: () => config, catalog, clock, log: { info: quiet, warn: quiet, error: quiet } },
    async submit(task) {
      submitted.push(task.kind === 'restore' ? task.request : '');
      return 'run';
    },
    isOrdered: (request) => ordered.has(request),
  });
  const deps = { config, catalog, clock };
  const open = (more: object = {}, by: typeof CLIENT | typeof OPERATOR = CLIENT) =>
    openRequest(deps, { shop: 'dupont', wanted: ALL, approve: false, reason: null, ...more }, by);
  return { catalog, clock, config, deps, keeper, open, ordered, submitted, take };
}

/** A copy in the vault: what has none cannot be restored. */
async function copyOf(catalog: Catalog, id: string): Promise<void> {
  await sql`insert into objects (vault, shop, key, kind, refId, state, expectedBytes, sizeBytes, createdAt)
    values ('nas', 'dupont', ${`k-${id}`}, 'manifest', ${id}, 'stored', 1, 1, 0)`.execute(catalog.db);
  const { rows } = await sql<{ id: number }>`select max(id) as id from objects`.execute(catalog.db);
  const object = rows[0]?.id ?? 0;
  const copy = {
    snapshotId: id,
    vault: 'nas',
    committedAt: 0,
    manifestObject: object,
    indexObject: object,
    verifiedAt: null,
    verifyError: null,
  };
  await catalog.db.insertInto('snapshotVaults').values(copy).execute();
}

function canSay(verb: Parameters<typeof follow>[1], state: RequestState, by: Parameters<typeof follow>[2]): boolean {
  try {
    follow({ state, approvedAt: 1 }, verb, by, 'x');
    return true;
  } catch {
    return false;
  }
}

const refusal = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
    return 'nothing';
  } catch (error) {
    return (error as CoffreError).code;
  }
};

describe('what would be restored', () => {
  test('the newest of both - ages, the gap between them, what is lost since, until when', async () => {
    const it = await setting();
    const [database, files] = [await it.take('database', '2026-06-05T00:30:00Z'), await it.take('files', '2026-06-04T02:00:00Z')];
    const preview = await previewNow(it.deps, 'dupont', ALL);
    expect(preview).toMatchObject({
      snapshots: [
        { id: database, source: 'database', asOf: '2026-06-05T00:30:00Z', ageMs: 15 * HOUR + 29 * 60_000, good: true, tables: 2, rows: 9 },
        { id: files, source: 'files', asOf: '2026-06-04T02:00:00Z', good: true, files: 3 },
      ],
      gapMs: 22.5 * HOUR,
      lost: [
        { newerSnapshots: 0, newerSafety: 0 },
        { newerSnapshots: 0, newerSafety: 0 },
      ],
      openSince: null,
      ...{ estimate: null, targetMs: 4 * HOUR, unattended: true, clockStarts: null },
      // Friday 17:59 in Paris: a minute counts, the rest on Monday
      deadline: '2026-06-08T10:59:00Z',
    });
    // nobody listens: root has to begin it
    rmSync(it.config.restore.socket ?? '');
    expect(await previewNow(it.deps, 'dupont', ALL)).toMatchObject({ unattended: false });
  });

  test('as it was at a time, one table - that source alone, with what is newer and lost', async () => {
    const it = await setting({ start: '2026-06-05T16:01:00Z' });
    const older = await it.take('database', '2026-06-03T00:30:00Z');
    await it.take('database', '2026-06-05T00:30:00Z');
    await it.take('files', '2026-06-04T02:00:00Z');
    const preview = await previewNow(it.deps, 'dupont', { ...ALL, at: '2026-06-04T12:00:00+02:00', tables: ['ps_cart_rule'] });
    expect(preview.snapshots.map(({ id }) => id)).toEqual([older]);
    expect(preview).toMatchObject({ gapMs: null, lost: [{ source: 'database', newerSnapshots: 1 }] });
    // two minutes later it is 18:01: the clock starts on Monday at nine
    expect(preview).toMatchObject({ clockStarts: '2026-06-08T07:00:00Z', deadline: '2026-06-08T11:00:00Z' });
  });

  test.each<[Partial<Wanted>, string]>([
    [{ paths: ['/etc/passwd'] }, 'E_USAGE'],
    [{ paths: ['../martin'] }, 'E_USAGE'],
    [{ paths: ['img/../../x'] }, 'E_USAGE'],
    [{ tables: ['a'], sources: ['files'] }, 'E_USAGE'],
    [{ paths: ['a'], sources: ['database'] }, 'E_USAGE'],
    [{ paths: ['./'] }, 'E_USAGE'],
    [{ at: '2026-01-01T00:00:00Z' }, 'E_UNKNOWN_SNAPSHOT'],
    [{ at: '2026-06-05T18:02:00+02:00' }, 'E_USAGE'],
  ])('%j - %s', async (wanted, code) => {
    const it = await setting();
    await it.take('database', '2026-06-05T00:30:00Z');
    await it.take('files', '2026-06-05T00:30:00Z');
    expect(await refusal(previewNow(it.deps, 'dupont', { ...ALL, ...wanted }))).toBe(code);
  });
});

describe('at the desk', () => {
  test('asked for twice - one request; of an owner five at most; an operator’s approval needs a reason', async () => {
    const it = await setting();
    await it.take('database', '2026-06-05T00:30:00Z');
    await it.take('files', '2026-06-05T00:30:00Z');
    const first = await it.open();
    expect((await it.open()).id).toBe(first.id);
    for (let at = 0; at < 4; at++) await it.open({ wanted: { ...ALL, paths: [`img/${at}`] } });
    expect(await refusal(it.open({ wanted: { ...ALL, paths: ['img/9'] } }))).toBe('E_REQUEST_STATE');
    expect(await refusal(it.open({ wanted: { ...ALL, tables: ['a'] }, approve: true }, OPERATOR))).toBe('E_USAGE');
    // what cannot be approved as it says is not taken at all
    expect((await it.catalog.db.selectFrom('requests').select('id').execute()).length).toBe(5);
    const emergency = await it.open({ wanted: { ...ALL, tables: ['a'] }, approve: true, reason: 'owner called' }, OPERATOR);
    expect(emergency).toMatchObject({ state: 'approved', approvedRole: 'operator', approvedBy: 'marc' });
  });

  test('an owner who asks and calls off without end - refused after thirty of a day; an operator is not', async () => {
    const it = await setting();
    await it.take('database', '2026-06-05T00:30:00Z');
    await it.take('files', '2026-06-05T00:30:00Z');
    const one = (at: number, by?: typeof OPERATOR) => it.open({ wanted: { ...ALL, paths: [`img/${at}`] } }, by);
    for (let at = 0; at < 30; at++) await actOnRequest(it.deps, (await one(at)).id, 'cancel', CLIENT, null);
    expect(await refusal(one(30))).toBe('E_RATE');
    expect((await one(30, OPERATOR)).state).toBe('requested');
    it.clock.advance(DAY);
    expect((await one(31)).state).toBe('requested');
  });

  test('approved - the clock runs from that very instant, what was shown is kept from prune until it is over', async () => {
    const it = await setting();
    const ids = [await it.take('database', '2026-06-05T00:30:00Z'), await it.take('files', '2026-06-05T00:30:00Z')];
    const { id } = await it.open();
    const kept = async (): Promise<string[]> =>
      (await readSnapshots(it.catalog.db, 'dupont', [])).filter(({ beingRestored }) => beingRestored).map((one) => one.id);
    expect(await kept()).toEqual([]);
    // a newer snapshot comes: what was shown stays what is approved
    await it.take('database', '2026-06-05T15:00:00Z');
    const approved = await actOnRequest(it.deps, id, 'approve', CLIENT, null);
    expect(approved).toMatchObject({ state: 'approved', approvedAt: it.clock.nowMs(), deadline: ms('2026-06-08T10:59:00Z') });
    expect((await kept()).sort()).toEqual([...ids].sort());

    const { clock } = await requestDocument(approved, ms('2026-06-06T10:00:00Z'), new PromiseCalendars());
    expect(clock).toMatchObject({ state: 'paused', leftMs: 4 * HOUR - 60_000, resumesAt: '2026-06-08T07:00:00Z' });
    await actOnRequest(it.deps, id, 'hold', OPERATOR, 'disk');
    const held = await readRequest(it.catalog, id);
    // a hold does not stop it: the contract counts from the approval
    expect((await requestDocument(held, ms('2026-06-08T11:00:00Z'), new PromiseCalendars())).clock).toMatchObject({
      state: 'broken',
      leftMs: -60_000,
    });
    await actOnRequest(it.deps, id, 'refuse', OPERATOR, 'moved');
    expect(await kept()).toEqual([]);
    expect((await requestHistory(it.catalog, id)).map(({ verb, state, role, reason }) => [verb, state, role, reason])).toEqual([
      ['request', 'requested', 'client', null],
      ['approve', 'approved', 'client', null],
      ['hold', 'held', 'operator', 'disk'],
      ['refuse', 'refused', 'operator', 'moved'],
    ]);
    expect((await it.catalog.db.selectFrom('audit').select('what').execute()).map(({ what }) => what)).toEqual([
      ...['request request', 'request approve', 'request hold', 'request refuse'],
    ]);
  });

  test('its snapshot was removed meanwhile - it cannot be approved any more', async () => {
    const it = await setting();
    const database = await it.take('database', '2026-06-05T00:30:00Z');
    await it.take('files', '2026-06-05T00:30:00Z');
    const { id } = await it.open();
    await it.catalog.db.updateTable('snapshots').set({ state: 'tombstone' }).where('id', '=', database).execute();
    expect(await refusal(actOnRequest(it.deps, id, 'approve', CLIENT, null))).toBe('E_UNKNOWN_SNAPSHOT');
    expect((await readRequest(it.catalog, id)).state).toBe('requested');
  });

  describe('its restore left the shop closed', () => {
    const closed = async () => {
      const it = await setting();
      await it.take('database', '2026-06-05T00:30:00Z');
      await it.take('files', '2026-06-05T00:30:00Z');
      const { id } = await it.open({ approve: true });
      await beginRequest(it.deps, id, 'run-1', 'coffre');
      await markOpenRestore(it.catalog, it.clock, 'dupont', { runId: 'run-1', who: 'coffre' });
      await failRequest(
        it.deps,
        id,
        'coffre',
        new CoffreError('E_SHOP_CLOSED', 'dupont keeps its maintenance page: 404', { hint: 'mend it' }),
      );
      const state = async () => (await readRequest(it.catalog, id)).state;
      const full = async () =>
        await fullRequestDocument(it.catalog, await readRequest(it.catalog, id), it.clock.nowMs(), new PromiseCalendars());
      return { ...it, full, id, state };
    };
    // every state from which some word of people leads to an end, whatever words the life of a request gets
    const words = REQUEST_VERBS.filter((verb) => verb !== 'request').flatMap((verb) =>
      REQUEST_STATES.flatMap((state) => {
        const by = REQUEST_ROLES.find((role) => role !== 'daemon' && canSay(verb, state, role));
        const to = by && follow({ state, approvedAt: 1 }, verb, by, 'x');
        return to === 'cancelled' || to === 'refused' ? [[verb, state, by] as const] : [];
      }),
    );
    test('words that end a request - both are known', () => {
      expect(words.map(([verb, state]) => `${verb} ${state}`)).toEqual([
        ...['refuse requested', 'refuse approved', 'refuse held'],
        ...['cancel requested', 'cancel approved', 'cancel held', 'cancel failed'],
      ]);
    });

    test.each(words)('%s while %s - refused until the restore is over', async (verb, state, by) => {
      const it = await closed();
      await it.catalog.db.updateTable('requests').set({ state }).where('id', '=', it.id).execute();
      const say = () => actOnRequest(it.deps, it.id, verb as 'cancel', by === 'client' ? CLIENT : OPERATOR, 'no');
      await expect(say()).rejects.toMatchObject({ code: 'E_REQUEST_STATE', hint: expect.stringContaining('--in-place --rollback') });
      expect(await it.state()).toBe(state);
      expect(await it.full()).toMatchObject({ restoreOpen: true, told: false });
      await clearOpenRestore(it.catalog, 'dupont');
      expect(['cancelled', 'refused']).toContain((await say()).state);
    });

    test('another request of the shop, which never began - called off as ever', async () => {
      const it = await closed();
      const { id } = await it.open({ wanted: { ...ALL, paths: ['img'] } });
      expect((await actOnRequest(it.deps, id, 'cancel', CLIENT, null)).state).toBe('cancelled');
      expect(await previewNow(it.deps, 'dupont', ALL)).toMatchObject({ openSince: '2026-06-05T15:59:00Z' });
    });

    const ended = (outcome: 'restored' | 'rolled back') => ({
      ...{ durationMs: 5000, run: 'run-2', who: 'root' },
      result: {
        ...{
          outcome,
          restored: [],
          safety: { database: 'D', files: null },
          steps: [],
          maintenanceMs: 4000,
          checks: ['a', 'b'],
        },
      },
    });

    test('root went back - the request is over and says so, nothing of it is red or kept from prune, why it failed stays', async () => {
      const it = await closed();
      await clearOpenRestore(it.catalog, 'dupont');
      await endRequestBeside(it.deps, it.id, ended('rolled back'));
      const full = await it.full();
      expect(full).toMatchObject({ state: 'rolled-back', clock: null, error: null, restoreOpen: false, run: 'run-2', result: null });
      expect(full.history.slice(-2)).toMatchObject([
        { verb: 'fail', error: { code: 'E_SHOP_CLOSED', message: 'dupont keeps its maintenance page: 404', hint: 'mend it' } },
        { verb: 'rollback', state: 'rolled-back', role: 'operator', who: 'root', error: null },
      ]);
      expect(await lastRequest(it.catalog.db, 'dupont')).toBeNull();
      expect((await readSnapshots(it.catalog.db, 'dupont', [])).filter(({ beingRestored }) => beingRestored)).toEqual([]);
      await endRequestBeside(it.deps, it.id, ended('restored'));
      expect(await it.state()).toBe('rolled-back');
    });

    test('told - once a message of this failure to the operators got through, whatever its owner was sent', async () => {
      const it = await closed();
      const message = async (id: string, sentAt: number | null, more: object) =>
        await it.catalog.db
          .insertInto('messages')
          .values({
            ...{ id, at: it.clock.nowMs(), channel: 'mail', tries: 0, nextAt: 0, sentAt, givenUpAt: null, code: null, error: null },
            content: JSON.stringify({ request: { id: it.id, verb: 'fail' }, ...more }),
          })
          .execute();
      await message('owner', 1, { to: ['a@b.example'] });
      await message('approved', 1, { request: { id: it.id, verb: 'approve' } });
      await message('waits', null, {});
      expect(await it.full()).toMatchObject({ told: false });
      await message('sent', 1, {});
      expect(await it.full()).toMatchObject({ told: true });
    });

    test('root went on with it to its end - done, with what it came to; an order that is no request is nobody’s', async () => {
      const it = await closed();
      expect((await it.full()).error).toMatchObject({ hint: 'mend it' });
      await clearOpenRestore(it.catalog, 'dupont');
      await endRequestBeside(it.deps, 'another', ended('restored'));
      expect(await it.state()).toBe('failed');
      await endRequestBeside(it.deps, it.id, ended('restored'));
      expect(await it.full()).toMatchObject({
        ...{ state: 'done', outcome: 'kept', error: null, run: 'run-2' },
        result: { durationMs: 5000, maintenanceMs: 4000, safety: { database: 'D', files: null }, checks: 2, checked: [] },
      });
    });
  });

  test('a suspended shop - its owner asks in vain, an operator does not', async () => {
    const it = await setting();
    await it.take('database', '2026-06-05T00:30:00Z');
    await it.take('files', '2026-06-05T00:30:00Z');
    await changeLife(it.catalog, it.clock, 'dupont', { verb: 'suspend' }, { who: 'marc', reason: null });
    expect(await refusal(it.open())).toBe('E_SHOP_STATE');
    expect((await it.open({}, OPERATOR)).state).toBe('requested');
  });

  test('history - rows are only ever added', async () => {
    const it = await setting();
    await it.take('database', '2026-06-05T00:30:00Z');
    await it.take('files', '2026-06-05T00:30:00Z');
    await it.open();
    await expect(sql`update requestEvents set who = 'x'`.execute(it.catalog.db)).rejects.toThrow(/append-only/);
    await expect(sql`delete from requestEvents`.execute(it.catalog.db)).rejects.toThrow(/append-only/);
  });
});

test('how long it was held - from its approval on, whatever the clock did', () => {
  const event = (at: number, state: string) => ({ at, state }) as Parameters<typeof heldMs>[0][number];
  const events = [
    event(0, 'requested'),
    event(10, 'held'),
    event(20, 'held'),
    event(50, 'approved'),
    event(70, 'held'),
    event(75, 'approved'),
  ];
  expect(heldMs(events, 20, 1000)).toBe(35);
  expect(heldMs(events, null, 1000)).toBe(0);
  expect(heldMs([event(0, 'requested'), event(5, 'approved'), event(10, 'held')], 5, 100)).toBe(90);
});

describe('the keeper', () => {
  const approved = async (options: Parameters<typeof setting>[0] = {}) => {
    const it = await setting(options);
    await it.take('database', '2026-06-05T00:30:00Z');
    await it.take('files', '2026-06-05T00:30:00Z');
    const { id } = await it.open({ approve: true });
    const run = async (): Promise<string> => {
      const runId = newId(it.clock);
      await startRun(it.catalog, it.clock, { id: runId, kind: 'restore', shop: 'dupont', source: null });
      await beginRequest(it.deps, id, runId, 'coffre');
      return runId;
    };
    const state = async () => await readRequest(it.catalog, id);
    return { ...it, id, run, state };
  };

  test('approved, and no order for it - queued; where nobody may begin it by itself it waits', async () => {
    const it = await approved();
    await it.keeper.look();
    expect(it.submitted).toEqual([it.id]);
    it.ordered.add(it.id);
    await it.keeper.look();
    expect(it.submitted).toEqual([it.id]);
    const attended = await approved({ unattended: false });
    await attended.keeper.look();
    expect(attended.submitted).toEqual([]);
  });

  test('held, or not approved - left alone', async () => {
    const it = await approved();
    await actOnRequest(it.deps, it.id, 'hold', OPERATOR, 'disk');
    await it.keeper.look();
    expect(it.submitted).toEqual([]);
  });

  test('its run failed without a word to it - failed as the run did, and may be tried again', async () => {
    const it = await approved();
    const run = await it.run();
    await it.keeper.look();
    expect((await it.state()).state).toBe('running');
    await finishRun(it.catalog, it.clock, run, 'failed', new CoffreError('E_TARGET_SPACE', 'full'));
    await it.keeper.look();
    expect(await it.state()).toMatchObject({ state: 'failed', errorCode: 'E_TARGET_SPACE', outcome: null });
    // the shop may be closed until then: prune leaves what is to be restored
    const kept = async () => (await readSnapshots(it.catalog.db, 'dupont', [])).filter(({ beingRestored }) => beingRestored).length;
    expect(await kept()).toBe(2);
    await actOnRequest(it.deps, it.id, 'retry', OPERATOR, null);
    expect(await it.state()).toMatchObject({ state: 'approved', errorCode: null, endedAt: null });
    await it.keeper.look();
    expect(it.submitted).toEqual([it.id]);
    await it.run();
    await finishRequest(it.deps, it.id, 'coffre', null);
    expect(await kept()).toBe(0);
  });

  test('it failed for what time may mend - tried again after a minute, five, fifteen, then left to a person', async () => {
    const it = await approved();
    it.ordered.add(it.id);
    const waits = [1, 5, 15];
    for (const minutes of waits) {
      it.ordered.delete(it.id);
      await finishRun(it.catalog, it.clock, await it.run(), 'failed', new CoffreError('E_VAULT_UNREACHABLE', 'away'));
      await it.keeper.look();
      expect((await it.state()).state).toBe('failed');
      it.ordered.add(it.id);
      it.clock.advance(minutes * 60_000 - 1);
      await it.keeper.look();
      expect((await it.state()).state).toBe('failed');
      it.clock.advance(1);
      await it.keeper.look();
      expect(await it.state()).toMatchObject({ state: 'approved', errorCode: null });
    }
    it.ordered.delete(it.id);
    await finishRun(it.catalog, it.clock, await it.run(), 'failed', new CoffreError('E_VAULT_UNREACHABLE', 'away'));
    it.clock.advance(HOUR);
    await it.keeper.look();
    it.clock.advance(DAY);
    await it.keeper.look();
    expect((await it.state()).state).toBe('failed');
  });

  test('its run was cut off and nobody took it up - ordered anew', async () => {
    const it = await approved();
    await finishRun(it.catalog, it.clock, await it.run(), 'failed', new CoffreError('E_INTERRUPTED', 'stopped'));
    await it.keeper.look();
    expect(it.submitted).toEqual([it.id]);
    expect((await it.state()).state).toBe('running');
  });

  test('its time is over - said once, whether it runs or failed; done later it stays broken, by how much', async () => {
    const it = await approved({ rto: '{ target: 4h, calendar: 24x7 }' });
    it.ordered.add(it.id);
    it.clock.advance(4 * HOUR);
    await it.keeper.look();
    expect((await it.state()).outcome).toBeNull();
    it.clock.advance(1);
    await it.keeper.look();
    await it.keeper.look();
    expect((await requestHistory(it.catalog, it.id)).filter(({ verb }) => verb === 'late')).toHaveLength(1);
    await it.run();
    it.clock.advance(HOUR);
    await finishRequest(it.deps, it.id, 'coffre', null);
    expect(await it.state()).toMatchObject({ state: 'done', outcome: 'broken', leftMs: -HOUR - 1, countedMs: 5 * HOUR + 1 });
  });

  test('done at the last millisecond - kept', async () => {
    const it = await approved({ rto: '{ target: 4h, calendar: 24x7 }' });
    await it.run();
    it.clock.advance(4 * HOUR);
    await finishRequest(it.deps, it.id, 'coffre', null);
    expect(await it.state()).toMatchObject({ state: 'done', outcome: 'kept', leftMs: 0 });
  });

  test('nobody approves it for two weeks - called off; of an approved one the promise is the plan’s of that day', async () => {
    const it = await setting();
    await it.take('database', '2026-06-05T00:30:00Z');
    await it.take('files', '2026-06-05T00:30:00Z');
    const { id } = await it.open();
    it.clock.advance(14 * DAY - 1);
    await it.keeper.look();
    expect((await readRequest(it.catalog, id)).state).toBe('requested');
    it.clock.advance(1);
    await it.keeper.look();
    expect(await readRequest(it.catalog, id)).toMatchObject({ state: 'cancelled', outcome: null });
  });
});

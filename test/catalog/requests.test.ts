// Restore requests over a lost machine: the checkpoint tells them with their history, and nothing that was under way begins by itself.
import { expect, onTestFinished, test } from 'vitest';
import { insertTables, readTables } from '../../src/catalog/checkpoint-tables.ts';
import { type Catalog, openCatalog } from '../../src/catalog/open.ts';
import { changeRequest, insertRequest, type RequestRow, readRequest, requestHistory, untoldEvents } from '../../src/catalog/requests.ts';
import { tempDir } from '../temp-dir.ts';

const row = (id: string, state: RequestRow['state']): RequestRow => ({
  ...{ id, shop: 'dupont', state, wanted: '{}', preview: '{}', createdAt: 1, createdBy: 'marie', createdRole: 'client' },
  ...{ approvedAt: 1, approvedBy: 'marie', approvedRole: 'client', promise: '{}', deadline: 2, startedAt: null, verifyingAt: null },
  ...{ endedAt: null, runId: null, errorCode: null, errorMessage: null, outcome: null, countedMs: null, leftMs: null, toldEvent: 0 },
});

async function open(): Promise<Catalog> {
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  return catalog;
}

test('told in a checkpoint, read into an empty catalog - what was approved or under way is failed there, the rest as it was', async () => {
  const before = await open();
  const states = ['requested', 'approved', 'held', 'running', 'verifying', 'done', 'failed', 'cancelled', 'refused'] as const;
  for (const state of states) {
    await before.transaction((tx) =>
      insertRequest(tx, row(`r-${state}`, state), { verb: 'request', who: 'marie', role: 'client', reason: 'why' }),
    );
  }
  await changeRequest(before, { nowMs: () => 5 }, 'r-done', { verb: 'finish', who: 'coffre', role: 'daemon' }, () => ({ outcome: 'kept' }));
  const { positions, tables } = await readTables(before.db, {}, 100);
  // what was told is not told again, but for rows that change
  const next = await readTables(before.db, positions, 100);
  expect(next.tables.requestEvents).toEqual([]);
  expect(next.tables.requests).toHaveLength(states.length);

  const after = await open();
  await after.transaction(async (tx) => {
    expect(await insertTables(tx, { requests: tables.requests ?? [], requestEvents: tables.requestEvents ?? [] })).toEqual([]);
  });
  for (const state of states) {
    const wasOpen = ['approved', 'held', 'running', 'verifying'].includes(state);
    const expected = wasOpen ? { state: 'failed', errorCode: 'E_INTERRUPTED' } : { state, errorCode: null };
    expect(await readRequest(after, `r-${state}`), state).toMatchObject(expected);
    expect(await requestHistory(after, `r-${state}`)).toEqual(await requestHistory(before, `r-${state}`));
  }
  expect(await readRequest(after, 'r-done')).toMatchObject({ outcome: 'kept' });
});

test('a change that is refused - nothing of it is written; one that changes nothing - no event', async () => {
  const catalog = await open();
  await catalog.transaction((tx) => insertRequest(tx, row('r', 'approved'), { verb: 'request', who: 'marie', role: 'client' }));
  const clock = { nowMs: () => 5 };
  const act = { verb: 'start', who: 'coffre', role: 'daemon' } as const;
  await expect(
    changeRequest(catalog, clock, 'r', act, () => {
      throw new Error('refused');
    }),
  ).rejects.toThrow('refused');
  await changeRequest(catalog, clock, 'r', act, () => null);
  expect(await requestHistory(catalog, 'r')).toHaveLength(1);
  expect(await readRequest(catalog, 'r')).toMatchObject({ state: 'approved' });
  await expect(changeRequest(catalog, clock, 'x', act, () => null)).rejects.toMatchObject({ code: 'E_UNKNOWN_REQUEST' });
  expect((await untoldEvents(catalog.db, 0, 10)).map(({ event }) => event.verb)).toEqual(['request']);
});

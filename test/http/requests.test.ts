// /v1/requests: what an owner may ask for and is told, what an operator sees beside it, pages, and tags that change when something happens.
import { expect, test } from 'vitest';
import { readRequest } from '../../src/catalog/requests.ts';
import { startRun } from '../../src/catalog/runs.ts';
import { CoffreError } from '../../src/errors.ts';
import { beginRequest, failRequest } from '../../src/schedule/request-progress.ts';
import { newId } from '../../src/segment/id.ts';
import { startDaemon } from './daemon.ts';
import { makeThings, SECRET_WORD } from './things.ts';

async function setting() {
  const it = await startDaemon();
  await makeThings(it, 'dupont');
  const [client, admin] = [await it.token('client', ['dupont']), await it.token('admin')];
  const ask = (token: string, method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
    it.ask(token, method, `/v1/requests${path}`, body, headers);
  return { ...it, daemon: it, admin, ask, client };
}

test('an owner asks, looks, approves - the clock runs; whoever of the operators did something is not named to them', async () => {
  const it = await setting();
  const preview = (await it.ask(it.client, 'POST', '/preview', { shop: 'dupont' })).json;
  expect(preview).toMatchObject({ snapshots: [{ source: 'files', files: 3 }], gapMs: null, targetMs: 14_400_000 });
  const made = await it.ask(it.client, 'POST', '', { shop: 'dupont', paths: ['img/p'] });
  expect([made.status, made.headers.get('location')]).toEqual([201, `/v1/requests/${made.json.id}`]);
  expect(made.json).toMatchObject({ state: 'requested', createdRole: 'client', createdBy: expect.stringMatching(/^token:/), clock: null });
  const held = await it.ask(it.admin, 'POST', `/${made.json.id}/hold`, { reason: 'the disk' });
  expect(held.json).toMatchObject({ state: 'held' });
  expect(held.json.history.at(-1)).toMatchObject({ verb: 'hold', who: expect.stringMatching(/^token:/), reason: 'the disk' });
  const approved = await it.ask(it.client, 'POST', `/${made.json.id}/approve`, {});
  // held: the clock runs, the work waits
  expect(approved.json).toMatchObject({ state: 'held', clock: { state: 'running', targetMs: 14_400_000 } });
  expect(approved.json.heldMs).toBeGreaterThanOrEqual(0);
  expect(approved.json.history).toMatchObject([
    { verb: 'request', role: 'client', who: expect.any(String) },
    { verb: 'hold', role: 'operator', who: null, reason: 'the disk' },
    { verb: 'approve', role: 'client' },
  ]);
  expect((await it.ask(it.client, 'POST', `/${made.json.id}/approve`, {})).json.code).toBe('E_REQUEST_STATE');
  expect((await it.ask(it.admin, 'POST', `/${made.json.id}/release`, {})).json).toMatchObject({ state: 'approved' });
  const queued = (await it.daemon.ask(it.admin, 'GET', '/v1/runs?state=queued')).json.runs;
  expect(queued).toMatchObject([{ kind: 'restore', shop: 'dupont' }]);
});

test('an owner asks for what cannot be, or does a thing twice - told what is wrong, and what to do, in plain words', async () => {
  const it = await setting();
  const refused = async (path: string, body: object) => {
    const { status, json } = await it.ask(it.client, 'POST', path, body);
    return [status, json.code, json.detail, json.hint];
  };
  expect(await refused('', { shop: 'dupont', paths: ['../martin'] })).toEqual([
    ...[400, 'E_USAGE', '"../martin" is no path inside the shop'],
    expect.stringContaining('img/p'),
  ]);
  expect(await refused('/preview', { shop: 'dupont', at: '2999-01-01T00:00:00Z' })).toEqual([
    ...[400, 'E_USAGE', expect.stringMatching(/^2999-01-01 .* is still to come: it is 20/)],
    'without a time it is the newest state',
  ]);
  expect(await refused('/preview', { shop: 'dupont', at: '1999-01-01T00:00:00Z' })).toEqual([
    ...[404, 'E_UNKNOWN_SNAPSHOT', expect.stringContaining('dupont: no snapshot of files at or before 1999-01-01')],
    expect.stringContaining('the oldest is of '),
  ]);
  // the same order twice at once: one request, approved once
  const both = await Promise.all([1, 2].map(() => it.ask(it.client, 'POST', '', { shop: 'dupont', approve: true })));
  expect(both.map(({ status, json }) => [status, json.state, json.id])).toEqual(both.map(() => [201, 'approved', both[0]?.json.id]));
  const { id } = both[0]?.json ?? {};
  const twice = [
    409,
    'E_REQUEST_STATE',
    `request ${id} is approved already, and its clock runs`,
    `coffre request show ${id} --follow shows how it goes`,
  ];
  expect(await refused(`/${id}/approve`, {})).toEqual(twice);
  expect((await it.ask(it.admin, 'GET', '?state=approved')).json.requests).toMatchObject([{ id, unattended: false }]);
});

test.each([
  { paths: ['/etc'] },
  { paths: ['.'] },
  { paths: ['img/\u202egpj.exe'] },
  { paths: Array.from({ length: 60 }, (_, at) => `${at}/${'x'.repeat(1000)}`) },
  { at: '2026-11-23T10:00:00.1234567891Z' },
  { reason: 'the disk\n\u001b[2J' },
  { paths: ['../../etc/passwd'] },
  { tables: ['a`b'] },
  { tables: ['../x'] },
  { toDir: '/tmp' },
  { sources: ['server'] },
  { host: 'evil' },
])('an owner names %j - refused', async (more) => {
  const it = await setting();
  const { status, json } = await it.ask(it.client, 'POST', '', { shop: 'dupont', ...more });
  expect([status, json.code]).toEqual([400, expect.stringMatching(/^E_(USAGE|REQUEST)$/)]);
});

test('what failed - to an owner what the code means, to an administrator what was said', async () => {
  const it = await setting();
  const { id } = (await it.ask(it.client, 'POST', '', { shop: 'dupont', approve: true })).json;
  const run = newId(it.service.clock);
  await startRun(it.catalog, it.service.clock, { id: run, kind: 'restore', shop: 'dupont', source: 'files' });
  const deps = { catalog: it.catalog, clock: it.service.clock };
  await beginRequest(deps, id, run, 'coffre');
  it.hub.publish({
    ...{ run, kind: 'restore', shop: 'dupont', source: null, who: 'x', type: 'progress', state: 'running', step: 'load', error: null },
    progress: {
      ...{ doneBytes: 5, carriedBytes: 0, totalBytes: 10, totalIsGuess: false, storedBytes: 0, segments: 0, reusedSegments: 0, files: 1 },
      ...{ bytesPerSecond: null, leftMs: null },
    },
  });
  const live = await it.ask(it.client, 'GET', `/${id}`);
  expect(live.json).toMatchObject({ state: 'running', run, step: 'load', progress: { doneBytes: 5, totalBytes: 10 } });
  await failRequest(deps, id, 'coffre', new CoffreError('E_TARGET_WRITE', `/var/www: ${SECRET_WORD}`));
  const [own, told] = [(await it.ask(it.client, 'GET', `/${id}`)).json, (await it.ask(it.admin, 'GET', `/${id}`)).json];
  expect(own.error).toMatchObject({ code: 'E_TARGET_WRITE', message: 'writing the restored data failed', hint: '' });
  expect(told.error.message).toContain(SECRET_WORD);
  expect((await readRequest(it.catalog, id)).state).toBe('failed');
});

test('its tag - the same while nothing happens, another one when something does', async () => {
  const it = await setting();
  const { id } = (await it.ask(it.client, 'POST', '', { shop: 'dupont' })).json;
  const first = await it.ask(it.client, 'GET', `/${id}`);
  const tag = first.headers.get('etag') ?? '';
  const same = await it.ask(it.client, 'GET', `/${id}`, undefined, { 'if-none-match': tag });
  expect([same.status, same.text]).toEqual([304, '']);
  await it.ask(it.client, 'POST', `/${id}/cancel`, {});
  const after = await it.ask(it.client, 'GET', `/${id}`, undefined, { 'if-none-match': tag });
  expect([after.status, after.json.state]).toEqual([200, 'cancelled']);
});

test('lists - a page after the other, newest first, by state', async () => {
  const it = await setting();
  const ids: string[] = [];
  for (let at = 0; at < 3; at++) ids.unshift((await it.ask(it.client, 'POST', '', { shop: 'dupont', paths: [`img/${at}`] })).json.id);
  await it.ask(it.client, 'POST', `/${ids[1]}/cancel`, {});
  const one = (await it.ask(it.client, 'GET', '?limit=2')).json;
  expect(one.requests.map(({ id }: { id: string }) => id)).toEqual(ids.slice(0, 2));
  const two = (await it.ask(it.client, 'GET', `?limit=1&cursor=${one.next}`)).json;
  expect(two.requests.map(({ id }: { id: string }) => id)).toEqual([ids[2]]);
  const cancelled = (await it.ask(it.client, 'GET', '?state=cancelled')).json;
  expect(cancelled.requests.map(({ id }: { id: string }) => id)).toEqual([ids[1]]);
});

// Downloads of exports: whole, from where they were cut off, and not beyond their time; and the Range header.
import { once } from 'node:events';
import { truncateSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { queueRun } from '../../src/catalog/run-queue.ts';
import { finishRun, startRun } from '../../src/catalog/runs.ts';
import { systemClock } from '../../src/clock.ts';
import { CoffreError } from '../../src/errors.ts';
import { parseRange } from '../../src/http/range.ts';
import { exportFile } from '../../src/restore/export-place.ts';
import { newId } from '../../src/segment/id.ts';
import { startDaemon } from './daemon.ts';
import { EXPORT_BYTES, makeThings } from './things.ts';

describe('an export that is there', () => {
  it('downloaded, whole and in parts - the same bytes; another entity, and a range beyond the end, are told', async () => {
    const daemon = await startDaemon();
    const things = await makeThings(daemon, 'dupont');
    const path = `/v1/shops/dupont/exports/${things.export}/content`;
    const token = await daemon.token('client');
    const ask = (headers: Record<string, string> = {}) => daemon.ask(token, 'GET', path, undefined, headers);
    const whole = await ask();
    expect(whole).toMatchObject({ status: 200, text: 'dupont'.repeat(EXPORT_BYTES).slice(0, EXPORT_BYTES) });
    const etag = whole.headers.get('etag') ?? '';
    expect(whole.headers.get('accept-ranges')).toBe('bytes');
    expect(whole.headers.get('content-length')).toBe(String(EXPORT_BYTES));
    const rest = await ask({ range: 'bytes=1234-', 'if-range': etag });
    expect(rest).toMatchObject({ status: 206, text: whole.text.slice(1234) });
    expect(rest.headers.get('content-range')).toBe(`bytes 1234-${EXPORT_BYTES - 1}/${EXPORT_BYTES}`);
    expect(await ask({ range: 'bytes=10-19' })).toMatchObject({ status: 206, text: whole.text.slice(10, 20) });
    expect(await ask({ range: 'bytes=10-', 'if-range': '"another"' })).toMatchObject({ status: 200, text: whole.text });
    expect((await ask({ range: `bytes=${EXPORT_BYTES}-` })).status).toBe(416);
    const [entry] = (await daemon.ask(await daemon.token('admin'), 'GET', '/v1/audit?shop=dupont&limit=1')).json.audit;
    expect(entry).toMatchObject({ what: 'export download', shop: 'dupont', who: expect.stringContaining('token:client') });
    const { json } = await daemon.ask(token, 'GET', `/v1/shops/dupont/exports/${things.export}`);
    expect(json).toMatchObject({ state: 'done', sizeBytes: EXPORT_BYTES, files: 3 });
  });

  it('downloads that nobody reads - beyond eight of a shop the oldest ends, the others and new ones go on', async () => {
    const daemon = await startDaemon();
    const things = await makeThings(daemon, 'dupont');
    // more than the buffers on the way hold
    truncateSync(exportFile(daemon.service.config.restore.scratchDir, things.export), 16 * 1024 * 1024);
    const headers = { authorization: `Bearer ${await daemon.token('client')}` };
    const begin = async () => {
      const asked = get(`${daemon.url}/v1/shops/dupont/exports/${things.export}/content`, { headers, agent: false });
      onTestFinished(() => void asked.destroy());
      const [response] = (await once(asked, 'response')) as [IncomingMessage];
      response.on('error', () => {});
      return response;
    };
    const first = await begin();
    const others = [];
    for (let at = 0; at < 7; at++) others.push(await begin());
    others.push(await begin());
    const ended = await Promise.all(
      [first, ...others].map(async (response) => {
        const closed = new Promise((resolve) => response.once('close', resolve));
        response.resume();
        await closed;
        return response.complete;
      }),
    );
    expect(ended).toEqual([false, ...others.map(() => true)]);
  });

  it('past its time - it is told as expired, and nothing can be downloaded', async () => {
    let aheadMs = 0;
    const clock = {
      ...systemClock,
      nowMs: () => systemClock.nowMs() + aheadMs,
      now: () => systemClock.now().add({ milliseconds: aheadMs }),
    };
    const daemon = await startDaemon({ clock });
    const things = await makeThings(daemon, 'dupont');
    const token = await daemon.token('client');
    aheadMs = 7 * 86_400_000;
    const path = `/v1/shops/dupont/exports/${things.export}`;
    expect((await daemon.ask(token, 'GET', path)).json.state).toBe('expired');
    expect((await daemon.ask(token, 'GET', `${path}/content`)).status).toBe(404);
  });

  it('asked for - the run is queued under its asker, and told as an export', async () => {
    const daemon = await startDaemon();
    const token = await daemon.token('client');
    await makeThings(daemon, 'dupont');
    const order = (at: string | null) => daemon.ask(token, 'POST', '/v1/shops/dupont/exports', { at });
    const { status, json } = await order(null);
    expect(status).toBe(202);
    const path = `/v1/shops/dupont/exports/${json.export}`;
    expect((await daemon.ask(token, 'GET', path)).json).toMatchObject({ state: 'queued', sizeBytes: null, continuedBy: null });
    const { exports } = (await daemon.ask(token, 'GET', '/v1/shops/dupont/exports?limit=1')).json;
    expect(exports).toEqual([expect.objectContaining({ id: json.export, state: 'queued' })]);
    // what is not there is refused at once, in words
    expect((await order('1999-01-01T00:00:00Z')).json).toMatchObject({
      ...{ code: 'E_UNKNOWN_SNAPSHOT', detail: expect.stringContaining('no snapshot of files at or before 1999-01-01') },
      hint: expect.stringContaining('the oldest is of'),
    });
    expect((await order('2999-01-01T00:00:00Z')).json).toMatchObject({ code: 'E_USAGE', detail: expect.stringContaining('still to come') });
    // not as many as anybody likes, all at once neither: one is made, one waits
    const { nowMs } = daemon.service.clock;
    const at = (second: number) => new Date(nowMs() + second * 1000).toISOString();
    const answers = await Promise.all([1, 2, 3, 4, 5, 6].map((second) => order(at(second))));
    expect(answers.filter((answer) => answer.status === 202)).toHaveLength(3);
    expect(answers.find((answer) => answer.status !== 202)).toMatchObject({
      status: 409,
      json: { code: 'E_EXPORTS', detail: '5 exports of dupont are there or on their way', hint: expect.stringContaining('download one') },
    });
  });

  it('interrupted by what comes first - told with the one that makes it anew', async () => {
    const daemon = await startDaemon();
    const { catalog } = daemon;
    const { clock } = daemon.service;
    const run = {
      kind: 'export',
      shop: 'dupont',
      source: null,
      who: 'token:owner',
      task: { kind: 'export', shop: 'dupont', at: null },
    } as const;
    const [first, second] = [newId(clock), newId(clock)];
    await queueRun(catalog, clock, { ...run, id: first });
    await startRun(catalog, clock, { ...run, id: first });
    await finishRun(catalog, clock, first, 'failed', new CoffreError('E_INTERRUPTED', 'it gives way to what is due'));
    const told = async () => (await daemon.ask(await daemon.token('client'), 'GET', `/v1/shops/dupont/exports/${first}`)).json;
    expect(await told()).toMatchObject({ state: 'interrupted', continuedBy: null });
    await queueRun(catalog, clock, { ...run, id: second, takesUp: first });
    expect(await told()).toMatchObject({ state: 'interrupted', continuedBy: second });
  });

  it('not switched on - an owner is told so, without the names of files', async () => {
    const daemon = await startDaemon({ unattended: false });
    await makeThings(daemon, 'dupont');
    const order = (token: string) => daemon.ask(token, 'POST', '/v1/shops/dupont/exports', { at: null });
    expect((await order(await daemon.token('client'))).json).toMatchObject({
      ...{ code: 'E_CONFIG', detail: 'exports are not made through the API here' },
    });
    expect((await order(await daemon.token('admin'))).json.hint).toContain('coffre export dupont --to FILE');
  });
});

describe('the Range header', () => {
  it.each([
    [undefined, null],
    ['bytes=0-', { start: 0, end: 99 }],
    ['bytes=10-19', { start: 10, end: 19 }],
    ['bytes=90-200', { start: 90, end: 99 }],
    ['bytes=-5', { start: 95, end: 99 }],
    ['bytes=-500', { start: 0, end: 99 }],
    ['bytes=100-', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
    ['bytes=5-3', null],
    ['bytes=-', null],
    ['bytes=1-2,5-6', null],
    ['lines=1-2', null],
  ])('%s of 100 bytes - %o', (header, expected) => expect(parseRange(header, 100)).toEqual(expected));

  it('any range that is one - lies within the file', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.integer({ min: 0, max: 1e9 }), (first, last, size) => {
        const range = parseRange(`bytes=${first}-${last}`, size);
        if (range === null || range === 'unsatisfiable') return;
        expect(range.start).toBeLessThanOrEqual(range.end);
        expect(range.end).toBeLessThan(size);
      }),
    );
  });
});

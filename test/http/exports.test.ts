// Downloads of exports: whole, from where they were cut off, and not beyond their time; and the Range header.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { parseRange } from '../../src/http/range.ts';
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
    const { status, json } = await daemon.ask(token, 'POST', '/v1/shops/dupont/exports', { at: '2026-11-20T04:00:00Z' });
    expect(status).toBe(202);
    expect((await daemon.ask(token, 'GET', `/v1/shops/dupont/exports/${json.export}`)).json).toMatchObject({
      state: 'queued',
      sizeBytes: null,
    });
    const { exports } = (await daemon.ask(token, 'GET', '/v1/shops/dupont/exports')).json;
    expect(exports).toEqual([expect.objectContaining({ id: json.export, state: 'queued' })]);
    // not as many as anybody likes
    const another = (hour: number) => daemon.ask(token, 'POST', '/v1/shops/dupont/exports', { at: `2026-11-20T0${hour}:00:00Z` });
    for (const hour of [5, 6, 7, 8]) expect((await another(hour)).status).toBe(202);
    expect(await another(9)).toMatchObject({ status: 409, json: { code: 'E_EXPORTS' } });
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

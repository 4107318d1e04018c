import { expect, test } from 'vitest';
import { startDaemon } from './daemon.ts';

const reason = { reason: 'invoice 1042 unpaid' };

test('the billing module - suspends for non-payment, resumes what it suspended, and nothing else', async () => {
  const it = await startDaemon();
  const billing = await it.token('billing');
  const other = await it.token('billing');
  const admin = await it.token('admin');
  const ask = async (token: string, verb: string, body: unknown = reason) => {
    const { json, status } = await it.ask(token, 'POST', `/v1/shops/dupont/${verb}`, body);
    return [status, json.state ?? json.code];
  };
  expect(await ask(billing, 'suspend')).toEqual([200, 'suspended']);
  // another token of the same role: tokens are renewed
  expect(await ask(other, 'resume')).toEqual([200, 'active']);
  expect(await ask(billing, 'resume')).toEqual([200, 'active']);
  expect((await ask(billing, 'pause'))[0]).toBe(403);
  // what people ordered is theirs to end: a suspension, and a pause
  await ask(admin, 'suspend', { reason: 'a dispute' });
  expect(await ask(billing, 'resume')).toEqual([409, 'E_SHOP_STATE']);
  expect(await ask(admin, 'resume')).toEqual([200, 'active']);
  await ask(admin, 'pause');
  await ask(billing, 'resume');
  const { json } = await it.ask(admin, 'GET', '/v1/shops/dupont');
  expect(json.paused).not.toBeNull();
  const audit: { who: string; what: string }[] = (await it.ask(admin, 'GET', '/v1/audit?shop=dupont')).json.audit;
  expect(audit.filter(({ who }) => who.startsWith('token:billing')).map(({ what }) => what)).toEqual(['shop resume', 'shop suspend']);
});

test('a suspension without a reason - said once more with one it is kept, of others in the audit alone; no body is no reason', async () => {
  const it = await startDaemon();
  const [billing, admin] = [await it.token('billing'), await it.token('admin')];
  const ask = async (token: string, verb: string, body?: unknown) => {
    const { json, status } = await it.ask(token, 'POST', `/v1/shops/dupont/${verb}`, body);
    // it is told to administrators
    return [status, json.state ?? json.code, (await it.ask(admin, 'GET', '/v1/shops/dupont')).json.reason];
  };
  expect(await ask(billing, 'suspend')).toEqual([200, 'suspended', null]);
  expect(await ask(billing, 'suspend', reason)).toEqual([200, 'suspended', reason.reason]);
  expect(await ask(admin, 'suspend', { reason: 'a dispute' })).toEqual([200, 'suspended', reason.reason]);
  const audit: { what: string; detail: { reason?: string } | null }[] = (await it.ask(admin, 'GET', '/v1/audit?shop=dupont')).json.audit;
  const said = audit.filter(({ what }) => what === 'shop reason').map(({ detail }) => detail?.reason);
  expect(said).toEqual(['a dispute', reason.reason]);
  // whose order it is has not changed
  expect(await ask(billing, 'resume')).toEqual([200, 'active', null]);
});

test('a pause without a body - until the shop is resumed, and without a reason; with half a body, what is left out is so too', async () => {
  const it = await startDaemon();
  const admin = await it.token('admin');
  const pause = async (body?: unknown) => {
    const { json, status } = await it.ask(admin, 'POST', '/v1/shops/dupont/pause', body);
    return [status, json.paused?.until, json.paused?.reason];
  };
  expect(await pause()).toEqual([200, null, null]);
  expect(await pause({ reason: 'works' })).toEqual([200, null, 'works']);
  expect((await pause({ when: 'never' }))[0]).toBe(400);
  expect((await it.ask(admin, 'POST', '/v1/shops/dupont/resume')).json.paused).toBeNull();
});

test('an administrator’s token suspended, and its name is a billing token’s now - billing may not take that back', async () => {
  const it = await startDaemon();
  const admin = await it.token('admin');
  const make = async (name: string, role: string): Promise<{ token: string; id: string }> =>
    (await it.ask(admin, 'POST', '/v1/tokens', { name, role, expiresAt: null })).json;
  const former = await make('back office', 'admin');
  expect((await it.ask(former.token, 'POST', '/v1/shops/dupont/suspend')).status).toBe(200);
  expect((await it.ask(admin, 'DELETE', `/v1/tokens/${former.id}`)).status).toBeLessThan(300);
  await it.service.clock.sleep(5);
  const { token } = await make('back office', 'billing');
  expect((await it.ask(token, 'POST', '/v1/shops/dupont/resume')).json.code).toBe('E_SHOP_STATE');
  expect((await it.ask(token, 'POST', '/v1/shops/martin/suspend')).json.state).toBe('suspended');
  expect((await it.ask(token, 'POST', '/v1/shops/martin/resume')).json.state).toBe('active');
});

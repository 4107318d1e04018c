// Cases of tampering or loss over the API: from the list to the draft, and that it was sent.
import { expect, test } from 'vitest';
import { ask, startDaemon } from './daemon.ts';
import { makeThings } from './things.ts';

test('a case - listed with its shops and the time left, drafted for each shop alone, sent once, then out of the list', async () => {
  const it = await startDaemon();
  const [admin, monitor, client] = [await it.token('admin'), await it.token('monitor'), await it.token('client', ['dupont'])];
  const { breach } = await makeThings(it, 'dupont');
  await makeThings(it, 'martin');
  const listed = async (query = ''): Promise<{ id: string; state: string; shops: string[]; incidents: number; leftMs: number | null }[]> =>
    (await it.ask(monitor, 'GET', `/v1/breaches${query}`)).json.breaches;
  const [first, ...more] = await listed();
  expect([first, more]).toMatchObject([{ id: breach, state: 'open', shops: ['dupont', 'martin'], incidents: 2 }, []]);
  expect(first?.leftMs).toBeGreaterThan(47 * 3_600_000);
  const shown = await it.ask(admin, 'GET', `/v1/breaches/${breach}?lang=fr`);
  const drafts: { shop: string; language: string; text: string }[] = shown.json.drafts;
  expect(drafts.map(({ language, shop }) => [shop, language])).toEqual([
    ['dupont', 'fr'],
    ['martin', 'fr'],
  ]);
  expect(drafts[0]?.text).toContain('votre boutique dupont');
  expect(drafts[0]?.text).not.toContain('martin');
  // drafts name clients: for administrators alone, and nothing of it for a shop's token
  expect((await it.ask(monitor, 'GET', `/v1/breaches/${breach}`)).status).toBe(403);
  expect((await it.ask(client, 'GET', '/v1/breaches')).status).toBe(403);
  const at = it.service.clock.now();
  const sent = (body: unknown) => it.ask(admin, 'POST', `/v1/breaches/${breach}/sent`, body);
  for (const [body, status] of [
    [{ by: 'Marie', at: at.add({ hours: 1 }).toString() }, 400],
    [{ by: 'Marie', at: at.subtract({ hours: 1 }).toString() }, 400],
    [{ by: ' ' }, 400],
    [undefined, 400],
    [{ by: 'Marie' }, 200],
    [{ by: 'Marie' }, 400],
  ] as const)
    expect([body, (await sent(body)).status]).toEqual([body, status]);
  expect(await listed()).toEqual([]);
  expect(await listed('?all=true')).toMatchObject([{ id: breach, state: 'sent', leftMs: null, sentBy: 'Marie' }]);
  const unknown = await it.ask(admin, 'GET', `/v1/breaches/${'0'.repeat(26)}`);
  expect([unknown.status, unknown.json.hint]).toEqual([404, '']);
  expect((await ask(it.url, null, 'GET', '/v1/breaches')).status).toBe(401);
});

// What happens to a restore request, told once by a real mail server and a real webhook, over a restart of the notifier too.
import { expect, test } from 'vitest';
import { insertRequest } from '../../src/catalog/requests.ts';
import { Notifier } from '../../src/notify/notifier.ts';
import { actOnRequest } from '../../src/schedule/request-desk.ts';
import { newId } from '../../src/segment/id.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';
import { startMailServer, startReceiver } from './receivers.ts';
import { notifiedService } from './service.ts';

const NOTHING = { approvedAt: null, approvedBy: null, approvedRole: null, promise: null, deadline: null, startedAt: null } as const;
const PREVIEW = { shop: 'dupont', at: null, tables: [], paths: [], gapMs: null, lost: [], estimate: null, snapshots: [] };

async function setting() {
  const dir = await tempDir();
  const mail = await startMailServer('none');
  const hook = await startReceiver();
  const clock = new FakeClock('2026-06-05T15:59:00Z');
  const service = await notifiedService(clock, dir, [
    'timezone: Europe/Paris',
    `vaults: { nas: { type: filesystem, path: ${dir}/nas } }`,
    'plans: { plan: { retention: 14d, rto: { target: 4h, calendar: business, country: FR } } }',
    `shops: { dupont: { plan: plan, vaults: [nas], files: { root: ${dir}/a }, contact: { email: marie@dupont.example, language: fr, name: Marie } } }`,
    'notify:',
    `  mail: { host: localhost, port: ${mail.port}, security: none, from: coffre@example.net, to: [nuit@example.net] }`,
    `  webhook: { url: "${hook.url}/hook" }`,
  ]);
  const { catalog, config } = service;
  const id = newId(clock);
  const row = {
    ...({ id, shop: 'dupont', state: 'requested', wanted: '{}', preview: JSON.stringify(PREVIEW), createdAt: clock.nowMs() } as const),
    ...({ createdBy: 'marc', createdRole: 'operator', ...NOTHING, verifyingAt: null, endedAt: null, runId: null } as const),
    ...{ errorCode: null, errorMessage: null, outcome: null, countedMs: null, leftMs: null, toldEvent: 0 },
  };
  await catalog.transaction((tx) => insertRequest(tx, row, { verb: 'request', who: 'marc', role: 'operator' }));
  const told = () => mail.mails.map(({ to, text }) => `${to.join()} ${/^Subject: (.*)$/m.exec(text)?.[1] ?? ''}`);
  return { catalog, clock, config, deps: { catalog, clock, config }, hook, id, mail, service, told };
}

test('each step of a request - told once: to its owner in French, to the operators, to the webhook; not again after a restart', async () => {
  const it = await setting();
  let notifier = await Notifier.open(it.service, 'backup1');
  await notifier.tick();
  await notifier.tick();
  expect(it.mail.mails.map(({ to }) => to)).toEqual([['marie@dupont.example'], ['nuit@example.net']]);
  expect(it.mail.mails[0]?.text).toContain('Bonjour Marie,');
  expect(it.mail.mails[0]?.text).toContain(`coffre request approve ${it.id}`);
  expect(it.hook.calls.map(({ body }) => JSON.parse(body))).toMatchObject([
    { kind: 'request', request: { id: it.id, verb: 'request', state: 'requested', client: { language: 'fr' } } },
  ]);

  // approved while the notifier is gone, and the mail server refuses at first: told by the next one
  await actOnRequest(it.deps, it.id, 'approve', { who: 'token:dupont', role: 'client' }, null);
  notifier = await Notifier.open(it.service, 'backup1');
  it.mail.refuses = true;
  await notifier.tick();
  expect(it.mail.mails).toHaveLength(2);
  notifier = await Notifier.open(it.service, 'backup1');
  it.mail.refuses = false;
  for (let minutes = 0; minutes < 10; minutes++) {
    it.clock.advance(60_000);
    await notifier.tick();
  }
  expect(it.mail.mails).toHaveLength(4);
  // Friday 17:59: a minute counts, the rest on Monday
  expect(it.mail.mails[2]?.text).toContain('lundi 8 juin 2026 à 12:59 (Europe/Paris)');
  expect(it.mail.mails[2]?.to).toEqual(['marie@dupont.example']);
  expect(it.hook.calls).toHaveLength(2);
  expect(JSON.parse(it.hook.calls[1]?.body ?? '{}').request).toMatchObject({ verb: 'approve', deadline: '2026-06-08T10:59:00Z' });

  notifier = await Notifier.open(it.service, 'backup1');
  await notifier.tick();
  expect(it.mail.mails).toHaveLength(4);
});

test('asked for and approved in one breath - one notice, of the approval', async () => {
  const it = await setting();
  await actOnRequest(it.deps, it.id, 'approve', { who: 'marc', role: 'operator' }, 'owner called');
  const notifier = await Notifier.open(it.service, 'backup1');
  await notifier.tick();
  expect(it.hook.calls.map(({ body }) => JSON.parse(body).request.verb)).toEqual(['approve']);
  expect(it.mail.mails[0]?.text).toContain('Motif indiqué\u00a0: «\u00a0owner called\u00a0»');
});

// Statements over the API, as a billing module uses it.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { statementJsonSchema } from '../../src/billing/statement-schema.ts';
import { FakeClock } from '../fake-clock.ts';
import { startDaemon, type TestDaemon } from './daemon.ts';

let it: TestDaemon;
let admin: string;
let billing: string;
let stop: () => Promise<void> = async () => {};
const STATEMENTS = '/v1/billing/statements';

beforeAll(async () => {
  it = await startDaemon({ clock: new FakeClock('2026-03-03T08:00:00Z') }, (end) => {
    stop = end;
  });
  [admin, billing] = [await it.token('admin'), await it.token('billing')];
});
afterAll(() => stop());

test('issued month by month, once each; listed in pages; told as not changed; as JSON, CSV and page', async () => {
  const months = ['2025-12', '2026-01', '2026-02'];
  for (const [at, month] of months.entries()) {
    const draft = await it.ask(billing, 'GET', `/v1/billing/statement?contract=csi-001&month=${month}`);
    expect(draft.json).toMatchObject({ state: 'draft', net: '23.00', number: null });
    const { status, json } = await it.ask(admin, 'POST', STATEMENTS, { contract: 'csi-001', month });
    expect([status, json.number, json.state]).toEqual([201, `csi-001-2026-000${at + 1}`, 'issued']);
    const again = await it.ask(admin, 'POST', STATEMENTS, { contract: 'csi-001', month });
    expect([again.status, again.json]).toEqual([200, json]);
    const now = await it.ask(billing, 'GET', `/v1/billing/statement?contract=csi-001&month=${month}`);
    expect(now.json).toEqual(json);
  }
  const first = await it.ask(billing, 'GET', `${STATEMENTS}?contract=csi-001&limit=2`);
  const second = await it.ask(billing, 'GET', `${STATEMENTS}?contract=csi-001&limit=2&cursor=${first.json.next}`);
  const numbers = [first, second].map(({ json }) => json.statements.map((row: { number: string }) => row.number));
  expect(numbers).toEqual([['csi-001-2026-0003', 'csi-001-2026-0002'], ['csi-001-2026-0001']]);
  expect([second.json.next, first.json.statements[0].issuedBy]).toEqual([null, null]);
  expect((await it.ask(admin, 'GET', STATEMENTS)).json.statements[0].issuedBy).toMatch(/^token:/);
  expect((await it.ask(billing, 'GET', `${STATEMENTS}?year=2025`)).json.statements).toEqual([]);

  const path = `${STATEMENTS}/csi-001-2026-0001`;
  for (const query of ['', '?format=csv&lang=fr', '?format=html']) {
    const told = await it.ask(billing, 'GET', `${path}${query}`);
    const tag = told.headers.get('etag') ?? '';
    expect([told.status, tag]).toEqual([200, expect.stringMatching(/^".+"$/)]);
    const same = await it.ask(billing, 'GET', `${path}${query}`, undefined, { 'if-none-match': tag });
    expect([same.status, same.text]).toEqual([304, '']);
  }
  const csv = await it.ask(billing, 'GET', `${path}?format=csv&lang=fr`);
  expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8');
  expect(csv.text).toContain(',"23,00",EUR,');
  const page = await it.ask(billing, 'GET', `${path}?format=html&lang=fr`);
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(page.text).toContain('<html lang="fr">');
});

test('corrected - it waits for the next statement, or is issued at once', async () => {
  const path = `${STATEMENTS}/csi-001-2026-0001/corrections`;
  const waits = await it.ask(admin, 'POST', path, { amount: '-2.50', reason: 'outage' });
  expect([waits.status, waits.json.correction.amount, waits.json.statement]).toEqual([201, '-2.50', null]);
  expect((await it.ask(billing, 'GET', STATEMENTS)).json.corrections).toMatchObject([{ amount: '-2.50', reason: 'outage' }]);
  // what was given stays: nothing is missing of what was measured
  const nothing = await it.ask(admin, 'POST', path, { amount: null, reason: 'back' });
  expect([nothing.status, nothing.json.code]).toEqual([400, 'E_USAGE']);
  const { correction } = waits.json.correction;
  const withdraw = async () => await it.ask(admin, 'POST', `/v1/billing/corrections/${correction}/withdraw`, { reason: 'no' });
  expect((await withdraw()).json).toMatchObject({ withdrawn: correction, correction: { amount: '2.50' } });
  const again = await withdraw();
  expect([again.status, again.json.code]).toEqual([409, 'E_CORRECTION_STATE']);
  expect((await it.ask(billing, 'GET', STATEMENTS)).json.corrections).toEqual([]);
  const issued = await it.ask(admin, 'POST', path, { amount: '-3', reason: 'outage', issue: true });
  expect(issued.json.statement).toMatchObject({ kind: 'correction', period: null, net: '-3.00', lines: [{ amount: '-3.00' }] });
  await it.ask(admin, 'POST', path, { amount: '-4', reason: 'once more' });
  const alone = await it.ask(admin, 'POST', '/v1/billing/corrections/issue', { contract: 'csi-001' });
  expect([alone.status, alone.json.statements]).toMatchObject([201, [{ net: '-4.00', state: 'issued' }]]);
  expect((await it.ask(billing, 'GET', STATEMENTS)).json.corrections).toEqual([]);
});

test('peaks of a month in which nothing was measured yet - as JSON and CSV they say so', async () => {
  const peaks = '/v1/billing/peaks?month=2026-02';
  const none = { contract: 'csi-001', vault: 'nas', peakBytes: 0 };
  expect((await it.ask(billing, 'GET', peaks)).json).toMatchObject({ measured: 'none', contracts: [none], shops: [] });
  const csv = await it.ask(billing, 'GET', `${peaks}&format=csv&lang=fr`);
  expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8');
  expect(csv.text.split('\r\n')[1]).toMatch(/^contract,2026-02,csi-001,,nas,0,0,2026-/);
});

test.each([
  ['POST', STATEMENTS, { contract: 'csi-001', month: '2026-03' }, 409, 'E_STATEMENT_OPEN'],
  ['POST', STATEMENTS, { contract: 'csi-001', month: '2025-08' }, 409, 'E_STATEMENT_LATE'],
  ['POST', STATEMENTS, { contract: 'nobody', month: '2026-02' }, 404, 'E_UNKNOWN_CONTRACT'],
  ['GET', `${STATEMENTS}/csi-001-2026-0099`, undefined, 404, 'E_UNKNOWN_STATEMENT'],
  ['GET', `${STATEMENTS}/nope`, undefined, 404, 'E_UNKNOWN_STATEMENT'],
  ['GET', '/v1/billing/statement?contract=csi-001&month=2026-04', undefined, 400, 'E_USAGE'],
  ['GET', '/v1/billing/statement?contract=csi-001&month=9999-12', undefined, 400, 'E_USAGE'],
  ['GET', '/v1/billing/peaks?month=2026-04', undefined, 400, 'E_USAGE'],
  ['GET', '/v1/billing/prove?month=2027', undefined, 400, 'E_USAGE'],
  ['GET', '/v1/billing/explain?month=2026-Q2', undefined, 400, 'E_USAGE'],
  ['POST', `${STATEMENTS}/csi-001-2026-0001/corrections`, { amount: '-30', reason: 'x' }, 400, 'E_USAGE'],
  ['POST', `${STATEMENTS}/csi-001-2026-0001/corrections`, { amount: '0.005', reason: 'x' }, 400, 'E_USAGE'],
] as const)('%s %s %j - %i %s', async (method, path, body, status, code) => {
  const answer = await it.ask(admin, method, path, body);
  expect([answer.status, answer.json.code]).toEqual([status, code]);
  // nobody here has a command line
  expect(`${answer.json.title} ${answer.json.hint}`).not.toMatch(code === 'E_USAGE' ? /command line|coffre billing| --/ : / --/);
});

test('the schema is served to anybody', async () => {
  expect((await it.ask(null, 'GET', '/v1/billing/statement.schema.json')).json).toEqual(JSON.parse(JSON.stringify(statementJsonSchema())));
});

// `coffre billing statement`, `statements` and `correct`, by the real program, over a ledger of some months ago.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Temporal } from 'temporal-polyfill';
import { expect, test } from 'vitest';
import { openCatalog } from '../../../src/catalog/open.ts';
import { systemClock } from '../../../src/clock.ts';
import { makeSigningKey, saveSigningKey } from '../../../src/segment/signing-key.ts';
import { tempDir } from '../../temp-dir.ts';
import { coffre, coffreJson } from '../run-coffre.ts';

const today = systemClock.now().toZonedDateTimeISO('UTC').toPlainDate();
const monthBefore = (months: number): string => today.subtract({ months }).toPlainYearMonth().toString();
const LAST = monthBefore(1);

/** Two shops with 1.5 and 0.5 TB since two months ago, and one contract more without its index. */
async function place(): Promise<readonly string[]> {
  const dir = await tempDir();
  for (const name of ['nas', 'keys']) mkdirSync(join(dir, name), { mode: 0o700 });
  writeFileSync(join(dir, 'nas', '.coffre-vault'), '');
  await saveSigningKey(join(dir, 'keys', 'signing.key'), makeSigningKey());
  const file = join(dir, 'coffre.yaml');
  const shops = ['dupont', 'martin'].map((name) => `  ${name}: { plan: p, vaults: [nas], files: { root: /var/www/${name} } }`);
  const price = 'price: { perTBMonth: "23.00" }';
  writeFileSync(
    file,
    [
      ...['timezone: UTC', 'stateDir: state', 'encryption: none', 'vaults: { nas: { type: filesystem, path: nas } }'],
      ...['plans: { p: { retention: 14d } }', 'shops:', ...shops, 'contracts:'],
      `  csi-001: { vault: nas, subscribedTB: 1, ${price}, taxPercent: "20" }`,
      `  csi-002: { vault: nas, subscribedTB: 1, ${price}, shops: [], issue: auto, index: { s0: 100, anniversary: ${monthBefore(3)}-01 } }`,
      '',
    ].join('\n'),
    { mode: 0o600 },
  );
  await using catalog = await openCatalog(join(dir, 'state'));
  const at = Temporal.PlainDate.from(`${monthBefore(2)}-10`).toZonedDateTime('UTC').epochMilliseconds;
  for (const [shop, bytes] of [
    ['dupont', 1.5e12],
    ['martin', 5e11],
  ] as const) {
    const values = { at, vault: 'nas', shop, bytes, key: 'k', versionId: 'v', event: 'put' as const, cause: null, hash: '' };
    await catalog.db.insertInto('ledger').values(values).execute();
  }
  return ['--config', file];
}

test('looked at, issued, corrected, listed, checked', { timeout: 120_000 }, async () => {
  const config = await place();
  const run = (...args: string[]) => coffreJson([...config, 'billing', ...args]);
  const month = ['--month', LAST];

  const draft = await run('statement', ...month);
  expect(draft.status).toBe(0);
  const [first, second] = draft.json.statements;
  expect(first).toMatchObject({ contract: 'csi-001', state: 'draft', net: '46.00', total: '55.20', number: null });
  expect(first.rebilling.shops).toEqual([
    { shop: 'dupont', weight: 1.5e12, amount: '34.50' },
    { shop: 'martin', weight: 5e11, amount: '11.50' },
  ]);
  expect(second).toMatchObject({ contract: 'csi-002', net: '23.00', notices: [{ code: 'index-unknown' }] });

  // the month before was due too; the newest comes with its warning
  const gaps = await run('statements', '--due', '--contract', 'csi-001');
  expect(gaps.json.due).toMatchObject([{ contract: 'csi-001', from: `${monthBefore(2)}-01` }, { from: `${LAST}-01` }]);
  expect(draft.json.warnings[0]).toContain(`csi-001: ${monthBefore(2)}-01 to `);
  // one of two cannot be issued: the other is, and the failure is said
  const issued = await run('statement', ...month, '--issue');
  expect([issued.status, issued.json.error.code]).toEqual([2, 'E_STATEMENT_INDEX']);
  const number = `csi-001-${today.year}-0001`;
  expect(issued.json.statements).toMatchObject([{ number, state: 'issued' }]);
  const again = await run('statement', ...month, '--contract', 'csi-001', '--issue');
  expect([again.status, again.json.statements]).toEqual([0, issued.json.statements]);

  // red until it is: the daemon would have issued it
  expect((await coffreJson([...config, 'status'])).json.unbilled).toEqual(['csi-002']);

  const early = await run('statement', '--month', monthBefore(0), '--contract', 'csi-001', '--issue');
  expect([early.status, early.json.error.code]).toEqual([12, 'E_STATEMENT_OPEN']);
  const open = await coffre([...config, 'billing', 'statement', '--month', monthBefore(0), '--issue']);
  expect([open.status, open.stderr]).toEqual([12, expect.stringMatching(/^left out: csi-002: .* can be issued from [\d-]+ on \(UTC\)\n/)]);
  const late = await run('statement', '--month', monthBefore(8), '--contract', 'csi-001', '--issue');
  expect([late.status, late.json.error.code]).toEqual([12, 'E_STATEMENT_LATE']);

  const csv = await coffre([...config, 'billing', 'statement', '--number', number, '--format', 'csv', '--lang', 'fr']);
  expect(csv.stdout.split('\r\n').filter((line) => line.includes(';issued;shop;'))).toEqual([
    expect.stringMatching(/;dupont;1500000000000;;34,50;EUR;;;;$/),
    expect.stringMatching(/;martin;500000000000;;11,50;EUR;;;;$/),
  ]);
  const page = await coffre([...config, 'billing', 'statement', '--number', number, '--format', 'html', '--lang', 'fr']);
  expect(page.stdout).toMatch(/^<!DOCTYPE html>[\s\S]*55,20\u00a0€[\s\S]*<\/html>\n$/);

  const corrected = await run('correct', '--statement', number, '--amount=-1.50', '--shop', 'martin', '--reason', 'panne', '--issue');
  expect(corrected.json.statement).toMatchObject({
    number: `csi-001-${today.year}-0002`,
    kind: 'correction',
    net: '-1.50',
    total: '-1.80',
  });
  expect(corrected.json.statement.rebilling.shops).toEqual([{ shop: 'martin', weight: 0, amount: '-1.50' }]);
  // a credit that was given stays: nothing is missing of what was measured
  const none = await run('correct', '--contract', 'csi-001', ...month, '--recompute', '--reason', 'x');
  expect([none.status, none.json.error.code]).toEqual([2, 'E_USAGE']);

  const wrong = await run('correct', '--statement', number, '--amount', '99', '--reason', 'faux');
  const { correction } = wrong.json.correction;
  const withdrawn = await coffre([...config, 'billing', 'withdraw', correction, '--reason', 'une erreur']);
  expect([withdrawn.status, withdrawn.stderr]).toEqual([
    0,
    expect.stringMatching(/^No checkpoint in nas knows of it yet; no daemon runs: .*\n$/),
  ]);
  await run('correct', '--statement', number, '--amount', '1.50', '--reason', 'x');
  const draft2 = await coffre([...config, 'billing', 'statement', '--corrections']);
  expect(draft2.stdout).toMatch(/^csi-001 {2}corrections {2}draft\n[\s\S]*\ncorrection .* 1\.50 EUR/);

  const list = await run('statements', '--check');
  expect(list.json).toMatchObject({
    statements: [{ kind: 'correction' }, { number, net: '46.00' }],
    corrections: [{ statement: number, amount: '1.50' }],
    check: { statements: 2, findings: [] },
  });

  // nothing outside of this catalog knows of them yet
  const proof = await run('prove', '--month', LAST);
  const marks = proof.json.checks.find(({ name }: { readonly name: string }) => name === 'checkpoint');
  expect(marks.detail).toContain('2 statements and 4 corrections in no checkpoint yet: their removal would not be seen');
});

test('what cannot be meant - exit 2, each with its code', { timeout: 60_000 }, async () => {
  const config = await place();
  const said = async (...args: string[]) => {
    const { status, json } = await coffreJson([...config, 'billing', ...args]);
    return [status, json.error.code];
  };
  expect(await said('statement')).toEqual([2, 'E_USAGE']);
  expect(await said('statement', '--month', '2026-13')).toEqual([2, 'E_USAGE']);
  expect(await said('statement', '--month', LAST, '--contract', 'nobody')).toEqual([2, 'E_UNKNOWN_CONTRACT']);
  expect(await said('correct', '--statement', 'csi-001-2026-0009', '--amount', '1', '--reason', 'x')).toEqual([2, 'E_UNKNOWN_STATEMENT']);
  expect(await said('statements', '--contract', 'nobody')).toEqual([2, 'E_UNKNOWN_CONTRACT']);
  expect(await said('explain', '--month', LAST, '--contract', 'csi-002', '--shop', 'nobody')).toEqual([2, 'E_UNKNOWN_SHOP']);
  const later = ['--year', String(today.year + 2)];
  expect(await said('peaks', ...later)).toEqual([2, 'E_USAGE']);
  expect(await said('prove', '--month', String(today.year + 2))).toEqual([2, 'E_USAGE']);
  for (const [reason, ...args] of [
    ['', 'billing', 'correct', '--statement', 'csi-001-2026-0001', '--amount', '1'],
    [' \t', 'hold', 'add', 'dupont'],
    ['a\nb', 'incident', 'acknowledge', '--shop', 'dupont'],
    ['x'.repeat(501), 'breach', 'close', '01'],
    ['', 'shop', 'suspend', 'dupont'],
  ]) {
    const { status, json } = await coffreJson([...config, ...args, '--reason', reason ?? '']);
    expect([args, status, json.error.code, json.error.message]).toEqual([args, 2, 'E_USAGE', expect.stringContaining('--reason')]);
  }
});

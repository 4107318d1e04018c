// The life of a shop as an operator orders it, with the real bin/coffre; what comes after the last lock is in test/retention/ended.test.ts.
import { verify } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { canonicalJson } from '../../src/segment/canonical-json.ts';
import { loadSigningKey, publicKeyFromRaw, rawPublicKey } from '../../src/segment/signing-key.ts';
import { makeWorld, type World, type WorldOptions } from '../world/world.ts';

async function world(options: WorldOptions): Promise<World> {
  const root = mkdtempSync(join(tmpdir(), 'coffre-life-shop-'));
  mkdirSync(join(root, 'img'));
  writeFileSync(join(root, 'img/1.jpg'), 'one picture');
  const made = await makeWorld({ vaults: ['nas'], ...options, files: { root } });
  onTestFinished(async () => {
    await made[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });
  return made;
}

async function refused(it: World, args: readonly string[], code: string): Promise<void> {
  const { status, json } = await it.coffre(args);
  expect([status, json.error.code]).toEqual([12, code]);
}

test('suspended, resumed, held, erased - refused where it must be, and certified', async () => {
  const it = await world({ retention: '14d' });
  await it.ok(['backup', 'dupont']);

  const { json: suspended } = await it.ok(['shop', 'suspend', 'dupont', '--reason', 'unpaid']);
  expect(suspended).toMatchObject({ shop: 'dupont', state: 'suspended', reason: 'unpaid' });
  await refused(it, ['backup', 'dupont'], 'E_SHOP_STATE');
  expect((await it.ok(['shop', 'list'])).json.shops).toMatchObject([{ shop: 'dupont', declared: true, state: 'suspended', holds: 0 }]);
  await refused(it, ['shop', 'close', 'dupont', '--on', '2099-12-31'], 'E_SHOP_STATE');
  expect((await it.ok(['shop', 'resume', 'dupont'])).json.state).toBe('active');
  const newest = (await it.ok(['backup', 'dupont'])).json.snapshots[0];

  const { json: placed } = await it.ok(['hold', 'add', 'dupont', '--snapshot', newest.id, '--reason', 'court order 26/114']);
  expect(placed.hold).toMatchObject({ shop: 'dupont', snapshot: newest.id, reason: 'court order 26/114', releasedAt: null });
  await refused(it, ['shop', 'erase', 'dupont', '--reason', 'GDPR', '--yes'], 'E_HELD');
  await it.ok(['hold', 'release', placed.hold.id, '--reason', 'settled']);
  expect((await it.ok(['hold', 'list'])).json.holds).toEqual([]);
  expect((await it.ok(['hold', 'list', '--all'])).json.holds).toMatchObject([{ releaseReason: 'settled' }]);

  // it cannot be undone: neither without a reason, nor where nobody can be asked
  for (const args of [[], ['--yes'], ['--yes', '--reason', ' '], ['--reason', 'GDPR']]) {
    const { status, json } = await it.coffre(['shop', 'erase', 'dupont', ...args]);
    expect([args, status, json.error.code]).toEqual([args, 2, 'E_USAGE']);
  }
  expect((await it.ok(['shop', 'list'])).json.shops).toMatchObject([{ state: 'active' }]);
  const { json: erased } = await it.ok(['shop', 'erase', 'dupont', '--reason', 'GDPR', '--yes']);
  const { certificate, signature } = erased.certificate;
  expect(certificate).toMatchObject({ kind: 'erasure', shop: 'dupont', reason: 'GDPR', final: false });
  expect(certificate.remains.length).toBeGreaterThan(0);
  for (const row of certificate.remains) expect(row).toMatchObject({ vault: 'nas', lockMode: 'advisory' });
  const key = await loadSigningKey(join(it.keyDir, 'signing.key'));
  expect(signature.key).toBe(rawPublicKey(key).toString('base64'));
  const signed = Buffer.from(canonicalJson(certificate));
  expect(verify(null, signed, publicKeyFromRaw(Buffer.from(signature.key, 'base64')), Buffer.from(signature.value, 'base64'))).toBe(true);
  expect((await it.ok(['snapshots', 'dupont'])).json.snapshots).toEqual([]);
  await refused(it, ['backup', 'dupont'], 'E_SHOP_STATE');
  await refused(it, ['hold', 'add', 'dupont', '--reason', 'too late'], 'E_SHOP_STATE');

  const { json: kept } = await it.ok(['shop', 'certificate', 'dupont']);
  expect(kept).toEqual(erased.certificate);
  const { json: page } = await it.ok(['shop', 'certificate', 'dupont', '--format', 'html', '--lang', 'fr']);
  expect(page.html).toContain('Attestation d’effacement');
}, 240_000);

test('closing - no lock lasts beyond the end of its last day, and the certificate names what was locked for longer', async () => {
  const it = await world({ retention: '14d' });
  await it.ok(['backup', 'dupont']);
  const lastDay = systemClock.now().toZonedDateTimeISO('Europe/Paris').toPlainDate().add({ days: 1 });
  const end = lastDay.add({ days: 1 }).toZonedDateTime('Europe/Paris').toInstant();
  const { json: closing } = await it.ok(['shop', 'close', 'dupont', '--on', lastDay.toString(), '--reason', 'leaves']);
  expect(closing).toMatchObject({ state: 'closing', endsAt: end.toString() });
  expect(closing.certificate.certificate).toMatchObject({ kind: 'closing', endsAt: end.toString(), deleted: [], final: false });
  expect(closing.certificate.certificate.remains.length).toBeGreaterThan(0);
  const { json: backup } = await it.ok(['backup', 'dupont', '--full']);
  expect(backup.snapshots[0].lock.retainUntil).toBe(end.toString());
  expect((await it.ok(['shop', 'certificate', 'dupont'])).json).toEqual(closing.certificate);
  const { json: resumed } = await it.ok(['shop', 'resume', 'dupont']);
  expect((await it.ok(['shop', 'certificate', 'dupont'])).json).toEqual({ ...closing.certificate, withdrawnAt: resumed.since });
}, 120_000);

test('the daemon - leaves a suspended shop alone, and nothing is late', async () => {
  const it = await world({ retention: '14d' });
  await it.ok(['shop', 'suspend', 'dupont']);
  const daemon = it.start(['daemon']);
  const ended = once(daemon, 'close');
  try {
    const events: string[] = [];
    for await (const line of createInterface({ input: daemon.stderr as Readable })) {
      const { event } = JSON.parse(line) as { readonly event?: string };
      events.push(event ?? '');
      if (event === 'job.done') break;
    }
    // it has no snapshot yet, so its first is due at once; the slot is taken, and no run was begun
    expect(events.filter((event) => event.startsWith('job.') || event.startsWith('run.'))).toEqual([
      'job.first',
      'job.started',
      'job.skipped',
      'job.done',
    ]);
  } finally {
    daemon.kill('SIGTERM');
    await ended;
  }
}, 120_000);

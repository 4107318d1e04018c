import { expect, test } from 'vitest';
import { startDaemon } from './daemon.ts';

test('starts', async () => {
  const it = await startDaemon();
  const admin = await it.token('admin');
  for (const path of [
    '/healthz',
    '/readyz',
    '/openapi.json',
    '/v1/me',
    '/v1/service',
    '/v1/shops',
    '/v1/shops/dupont',
    '/v1/shops/dupont/status',
    '/v1/status',
    '/v1/runs',
    '/v1/snapshots',
    '/v1/vaults',
    '/v1/billing/level',
    '/v1/billing/peaks?month=2026-03',
    '/v1/billing/ledger',
    '/v1/incidents',
    '/v1/holds',
    '/v1/tokens',
    '/v1/audit',
    '/nope',
  ]) {
    const a = await it.ask(admin, 'GET', path);
    console.log(path, a.status, a.text.slice(0, 300));
  }
  console.log(it.log.filter((l) => l.level !== 'debug'));
  expect(it.http.addresses.length).toBe(2);
});

// The real daemon as a child process, on a real store: what systemd would see of it.
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { expect, onTestFinished, test } from 'vitest';
import { openCatalog } from '../../../src/catalog/open.ts';
import { readableObjects } from '../../../src/catalog/reading.ts';
import { systemClock } from '../../../src/clock.ts';
import { catalogSlots } from '../../../src/schedule/slots.ts';
import { startFaultProxy } from '../../servers/fault-proxy.ts';
import { freshBucket } from '../../servers/s3.ts';
import { daemonWorld, startDaemon } from '../start-daemon.ts';

test('a shop without a snapshot is backed up at once; SIGTERM ends the daemon with status 0 and one document on stdout', async () => {
  const it = await daemonWorld();
  const daemon = startDaemon(it);
  await daemon.saw('daemon.started');
  await daemon.saw('job.done', 'files');
  daemon.signal('SIGTERM');
  const { status, stdout } = await daemon.ended();
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ stopped: true, interrupted: false });
  expect(daemon.lines.at(-1)?.event).toBe('daemon.stopped');
  const { json } = await it.ok(['snapshots']);
  expect(json.snapshots).toHaveLength(1);

  const again = startDaemon(it);
  await again.saw('daemon.started');
  again.signal('SIGINT');
  expect((await again.ended()).status).toBe(0);
  expect(again.lines.some((line) => line.event === 'job.started')).toBe(false);
});

test('a second daemon on the same state is refused with E_DAEMON_RUNNING and status 7; SIGKILL of the first frees it', async () => {
  const it = await daemonWorld();
  const first = startDaemon(it);
  await first.saw('daemon.started');
  const second = await it.coffre(['daemon']);
  expect(second.status).toBe(7);
  expect(second.json.error.code).toBe('E_DAEMON_RUNNING');
  await first.saw('job.done', 'files');
  first.signal('SIGKILL');
  await first.ended();
  const third = startDaemon(it);
  await third.saw('daemon.started');
  third.signal('SIGTERM');
  expect((await third.ended()).status).toBe(0);
});

test('slots missed while it was down are made up for by one run', async () => {
  const it = await daemonWorld();
  await it.ok(['backup', 'dupont']);
  const catalog = await openCatalog(it.stateDir);
  const slots = catalogSlots(catalog, systemClock);
  const { Temporal } = await import('temporal-polyfill');
  const nineDaysAgo = Temporal.Now.instant().subtract({ hours: 9 * 24 });
  for (const job of ['files', 'increments', 'prune'] as const) await slots.taken('dupont', job, nineDaysAgo);
  await catalog.close();

  const daemon = startDaemon(it);
  await daemon.saw('job.done', 'files');
  await daemon.saw('job.done', 'prune');
  daemon.signal('SIGTERM');
  expect((await daemon.ended()).status).toBe(0);
  expect(daemon.lines.filter((line) => line.event === 'job.started').map((line) => `${line.shop} ${line.job}`)).toEqual([
    'dupont files',
    'dupont prune',
  ]);
  const { json } = await it.ok(['snapshots']);
  expect(json.snapshots).toHaveLength(2);
});

test('its daily looks - vaults probed, somebody else’s object told of as an incident, what was not read for long read', async () => {
  const it = await daemonWorld();
  await it.ok(['backup', 'dupont']);
  const { client, name: Bucket } = it.bucket;
  await client.send(new PutObjectCommand({ Bucket, Key: 'prod/dupont/segments/theirs', Body: 'x' }));
  const catalog = await openCatalog(it.stateDir);
  const slots = catalogSlots(catalog, systemClock);
  const { Temporal } = await import('temporal-polyfill');
  const twoDaysAgo = Temporal.Now.instant().subtract({ hours: 48 });
  await slots.taken('dupont', 'files', Temporal.Now.instant().add({ minutes: 30 }));
  await slots.taken('dupont', 'reconcile', twoDaysAgo);
  await slots.taken('_coffre', 'probe', twoDaysAgo);
  const DAY = 86_400_000;
  await catalog.db
    .updateTable('objects')
    .set((eb) => ({ createdAt: eb('createdAt', '-', 20 * DAY) }))
    .where('shop', '=', 'dupont')
    .execute();
  const unread = async (): Promise<number> =>
    (await readableObjects(catalog, 'offsite', 'dupont')).filter((row) => row.readAt === null).length;
  expect(await unread()).toBeGreaterThan(2);

  const daemon = startDaemon(it);
  await daemon.saw('job.done', 'probe');
  await daemon.saw('job.done', 'reconcile');
  await daemon.saw('job.done', 'read');
  daemon.signal('SIGTERM');
  expect((await daemon.ended()).status).toBe(0);
  expect(daemon.lines.filter((line) => line.event === 'incident')).toMatchObject([{ shop: 'dupont', code: 'E_INCIDENT', level: 'error' }]);
  expect(await unread()).toBe(0);
  expect(await catalog.db.selectFrom('probes').select('outcome').execute()).toMatchObject([{ outcome: 'proven' }, { outcome: 'proven' }]);
  await catalog.close();
});

test('SIGTERM in the middle of a backup: interrupted in bounded time, status 0, taken up and finished at the next start', async () => {
  const bucket = await freshBucket();
  const proxy = await startFaultProxy(Number(new URL(bucket.store.endpoint).port));
  onTestFinished(async () => {
    await proxy.stop();
    await bucket.release();
  });
  const it = await daemonWorld({ bucket, endpoint: proxy.endpoint }, 40);
  // the vault is proven first, at full speed
  const proven = await it.coffre(['doctor']);
  expect(proven.json).not.toBeNull();
  proxy.set({ mode: 'throttle', bytesPerSecond: 500_000 });
  const daemon = startDaemon(it);
  await daemon.saw('run.started');
  const started = performance.now();
  daemon.signal('SIGTERM');
  const { status } = await daemon.ended();
  expect(status).toBe(0);
  expect(performance.now() - started).toBeLessThan(45_000);
  const events = daemon.lines.map((line) => line.event);
  expect(events).toEqual(expect.arrayContaining(['job.interrupted', 'run.interrupted']));
  expect(events).not.toContain('run.failed');
  expect((await it.ok(['run', 'list'])).json.runs).toMatchObject([{ state: 'interrupted', error: { code: 'E_INTERRUPTED' } }]);
  expect((await it.coffre(['status'])).stdout).not.toContain('the last backup');

  proxy.set({ mode: 'pass' });
  const again = startDaemon(it);
  await again.saw('job.done', 'files');
  again.signal('SIGTERM');
  expect((await again.ended()).status).toBe(0);
  expect((await it.ok(['snapshots'])).json.snapshots).toHaveLength(1);
}, 180_000);

// What the daemon's own listings find lost comes back from the other vault, without anybody's doing.
import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { Temporal } from 'temporal-polyfill';
import { expect, test } from 'vitest';
import { listIncidents } from '../../../src/catalog/incidents.ts';
import { openCatalog } from '../../../src/catalog/open.ts';
import { systemClock } from '../../../src/clock.ts';
import { catalogSlots } from '../../../src/schedule/slots.ts';
import { inventory } from '../../servers/s3.ts';
import { daemonWorld, startDaemon } from '../start-daemon.ts';

test.each(['reconcile', 'prune'] as const)(
  'a segment gone from the store is found by the daily %s - an incident, and stored anew from the other vault',
  async (job) => {
    const it = await daemonWorld({ vaults: ['nas', 'offsite'], lockMode: 'GOVERNANCE' });
    const { json } = await it.ok(['backup', 'dupont']);
    const { client, name: Bucket } = it.bucket;
    const [segment] = (await inventory(it.bucket, 'prod/dupont/segments/')).versions;
    const lost = { Bucket, Key: segment?.key, VersionId: segment?.versionId };
    await client.send(new DeleteObjectCommand({ ...lost, BypassGovernanceRetention: true }));
    const catalog = await openCatalog(it.stateDir);
    try {
      const slots = catalogSlots(catalog, systemClock);
      await slots.taken('dupont', 'files', Temporal.Now.instant().add({ minutes: 30 }));
      await slots.taken('dupont', job, Temporal.Now.instant().subtract({ hours: 48 }));
      const daemon = startDaemon(it);
      await daemon.saw(job === 'prune' ? 'job.failed' : 'job.done', job);
      await daemon.saw('job.done', 'catch-up');
      daemon.signal('SIGTERM');
      expect((await daemon.ended()).status).toBe(0);
      // set right, and open until somebody says that he knows: who deleted it may come again
      expect(await listIncidents(catalog.db)).toMatchObject([
        { kind: 'missing', vault: 'offsite', key: segment?.key.slice('prod/'.length), acknowledgedAt: null, goneAt: null },
      ]);
    } finally {
      await catalog.close();
    }
    const { versions } = await inventory(it.bucket, 'prod/dupont/segments/');
    expect(versions.map(({ key }) => key)).toContain(segment?.key);
    expect(versions.map(({ versionId }) => versionId)).not.toContain(segment?.versionId);
    expect((await it.ok(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
    const [shop] = (await it.coffre(['status', 'dupont'])).json.shops;
    expect([shop.lacking, shop.sources[0].newestGood.id]).toEqual([[], json.snapshots[0].id]);
  },
);

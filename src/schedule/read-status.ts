// Reads from the catalog what the status of a shop is told from.

import { readCatchUpPlan } from '../backup/catch-up-result.ts';
import { openBreachesOf } from '../catalog/breaches.ts';
import { lastCheckpoint } from '../catalog/checkpoint-tables.ts';
import { lastDrills } from '../catalog/drills.ts';
import { gapsOf } from '../catalog/gaps.ts';
import { listHolds } from '../catalog/holds.ts';
import { listIncidents } from '../catalog/incidents.ts';
import { IS_LIVE, vaultsHolding } from '../catalog/live-objects.ts';
import type { Catalog } from '../catalog/open.ts';
import { readOpenRestore } from '../catalog/open-restores.ts';
import { readPause } from '../catalog/pauses.ts';
import { lastProbe, type Probe } from '../catalog/probes.ts';
import { readingLevels } from '../catalog/reading.ts';
import { lastRequest, openRequests } from '../catalog/requests.ts';
import { asItIs } from '../catalog/run-document.ts';
import { lastRuns, type RunFilter, type RunRow } from '../catalog/runs.ts';
import { readLife } from '../catalog/shop-life.ts';
import { listSnapshots } from '../catalog/snapshots.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import type { VaultFacts } from '../config/three-two-one.ts';
import { vaultPlace } from '../config/vault-place.ts';
import { disksUnder } from '../host/block-device.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { beginsByItself } from './request-desk.ts';
import { clockOf, PromiseCalendars } from './request-document.ts';
import { readEstimate } from './restore-estimate.ts';
import { type ShopStatus, shopStatus } from './status.ts';
import type { DrillsRead } from './status-drill.ts';
import type { RequestFact } from './status-requests.ts';

/** As `disksUnder`. */
type Disks = (path: string) => Promise<ReadonlySet<string>>;

/** How the shop stands at `nowMs`, from the catalog alone: no vault and no host is asked. */
export async function readStatus(
  config: Config,
  catalog: Catalog,
  shop: ShopConfig,
  nowMs: number,
  disks: Disks = disksUnder,
): Promise<ShopStatus> {
  const vaults = shop.vaults.flatMap((name) => config.vaults.get(name) ?? []);
  const probes = new Map<string, Probe | null>();
  for (const vault of vaults) probes.set(vault.name, await lastProbe(catalog, vaultPlace(vault)));
  const checkpoints = new Map<string, number | null>();
  for (const { name } of vaults) checkpoints.set(name, (await lastCheckpoint(catalog.db, name))?.at ?? null);
  const failures = await catalog.db.selectFrom('checkpointFailures').selectAll().execute();
  const withinMs = config.verify.readWithinMs;
  const snapshots = await listSnapshots(catalog, shop.name);
  const foreign = await catalog.db
    .selectFrom('objects')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('vault', 'in', await vaultsHolding(catalog.db, shop.name))
    .where('shop', '=', shop.name)
    .where(IS_LIVE)
    .where('kind', '=', 'foreign')
    .where('state', '=', 'stored')
    .where(({ exists, not, selectFrom }) =>
      not(
        exists(
          selectFrom('incidents')
            .select('incidents.id')
            .whereRef('incidents.vault', '=', 'objects.vault')
            .whereRef('incidents.key', '=', 'objects.key')
            // a file in the place of ours is told as the alteration of ours
            .where((eb) => eb.or([eb('incidents.versionId', '=', eb.ref('objects.versionId')), eb('incidents.kind', '=', 'altered')]))
            .where('incidents.goneAt', 'is', null),
        ),
      ),
    )
    .executeTakeFirstOrThrow();
  return shopStatus({
    nowMs,
    timezone: config.timezone,
    shop,
    vaults,
    snapshots,
    recovery: await readEstimate(config, catalog, shop, snapshots, nowMs),
    runs: await runsThatMatter(catalog, shop.name),
    probes,
    vaultFacts: await vaultFacts(config, catalog, shop, disks),
    foreignVersions: Number(foreign.count),
    jitterMs: config.limits.jitterMs,
    pause: await readPause(catalog, shop.name, nowMs),
    life: await readLife(catalog.db, shop.name),
    holds: (await listHolds(catalog.db, { shop: shop.name })).map((hold) => hold.reason),
    // what was found among the daemon's own objects concerns whoever uses the vault
    incidents: (await listIncidents(catalog.db, { shops: [shop.name, DAEMON_SHOP] })).filter(
      (row) => row.shop === shop.name || shop.vaults.includes(row.vault),
    ),
    breaches: await openBreachesOf(catalog.db, shop, DAEMON_SHOP),
    reading: withinMs === null ? null : { withinMs, levels: await readingLevels(catalog, shop.name, nowMs - withinMs) },
    checkpoints,
    checkpointFailures: new Map(failures.map(({ vault, ...failure }) => [vault, failure])),
    openRestore: await readOpenRestore(catalog.db, shop.name),
    requests: await readRequests(config, catalog, shop.name, nowMs),
    drills: await readDrills(catalog, shop.name, snapshots),
    lacking: {
      gaps: (await readCatchUpPlan(catalog, config, shop, nowMs)).gaps,
      reasons: await gapsOf(catalog, shop.name),
    },
  });
}

async function readRequests(config: Config, catalog: Catalog, shop: string, nowMs: number): Promise<RequestFact[]> {
  const last = await lastRequest(catalog.db, shop);
  const calendars = new PromiseCalendars();
  const byRoot = !beginsByItself(config);
  const facts: RequestFact[] = [];
  for (const row of [...(await openRequests(catalog.db, shop)), ...(last?.state === 'failed' ? [last] : [])]) {
    const clock = await clockOf(row, nowMs, calendars);
    facts.push({
      byRoot,
      ...{ id: row.id, state: row.state, since: row.createdAt, errorCode: row.errorCode },
      clock: clock && { deadline: clock.deadline.epochMilliseconds, leftMs: clock.leftMs, state: clock.state },
    });
  }
  return facts;
}

async function readDrills(catalog: Catalog, shop: string, snapshots: readonly { readonly completedAt: number }[]): Promise<DrillsRead> {
  const [run] = await lastRuns(catalog, { shop, kind: 'drill', limit: 1 });
  const slot = await catalog.db
    .selectFrom('slots')
    .select('lastDueAt')
    .where('shop', '=', shop)
    .where('job', '=', 'drill')
    .executeTakeFirst();
  return {
    last: await lastDrills(catalog.db, shop),
    lastRun: run ? await asItIs(catalog, run) : null,
    takenUpTo: slot?.lastDueAt ?? null,
    firstSnapshotAt: snapshots.length === 0 ? null : Math.min(...snapshots.map(({ completedAt }) => completedAt)),
  };
}

/** The last of each kind, however many others came since; of restores some, since only one that went well was measured. */
async function runsThatMatter(catalog: Catalog, shop: string): Promise<RunRow[]> {
  const filters: RunFilter[] = [
    { kind: 'backup', source: 'database', limit: 1 },
    { kind: 'backup', source: 'files', limit: 1 },
    { kind: 'backup', source: 'server', limit: 1 },
    { kind: 'prune', limit: 5 },
    { kind: 'reconcile', limit: 5 },
    { kind: 'restore', limit: 100 },
  ];
  const runs = await Promise.all(filters.map((filter) => lastRuns(catalog, { shop, ...filter })));
  return await Promise.all(runs.flat().map((run) => asItIs(catalog, run)));
}

/** What is known of each of the shop's vaults: disks shared with the shop, and the last lock probe. */
export async function vaultFacts(
  config: Config,
  catalog: Catalog | null,
  shop: ShopConfig,
  disks: Disks = disksUnder,
): Promise<ReadonlyMap<string, VaultFacts>> {
  const facts = new Map<string, VaultFacts>();
  for (const name of shop.vaults) {
    const vault = config.vaults.get(name);
    if (!vault) continue;
    if (vault.type === 's3') {
      const probe = catalog === null ? null : await lastProbe(catalog, vaultPlace(vault));
      facts.set(name, { sharesDisk: false, lockProven: probe?.outcome === 'proven' });
    } else {
      const shopDisks = shop.host.type === 'local' ? await disksOfShop(shop, disks) : new Set<string>();
      const vaultDisks = await disks(vault.path).catch(() => null);
      const sharesDisk = shopDisks === null || vaultDisks === null ? null : [...vaultDisks].some((disk) => shopDisks.has(disk));
      facts.set(name, { sharesDisk, lockProven: false });
    }
  }
  return facts;
}

/** Of its files; a local database without files is taken to lie where its socket's server keeps it: unknown, so the root disk. */
async function disksOfShop(shop: ShopConfig, disks: Disks): Promise<ReadonlySet<string> | null> {
  return await disks(shop.files?.root ?? '/var/lib/mysql').catch(() => null);
}

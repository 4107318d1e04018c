// `coffre status`: one screen that says whether one may sleep. Exit status 1 when anything is red.
import type { Command } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { readCatchUpPlan } from '../backup/catch-up-result.ts';
import { DAEMON_SHOP } from '../backup/prove.ts';
import { lastCheckpoint } from '../catalog/checkpoint-tables.ts';
import { gapsOf } from '../catalog/gaps.ts';
import { listHolds } from '../catalog/holds.ts';
import { listIncidents } from '../catalog/incidents.ts';
import { type Catalog, openCatalog } from '../catalog/open.ts';
import { lastProbe, type Probe } from '../catalog/probes.ts';
import { readingLevels } from '../catalog/reading.ts';
import { isRunAlive, lastRuns, type RunFilter, type RunRow } from '../catalog/runs.ts';
import { readLife } from '../catalog/shop-life.ts';
import { listSnapshots } from '../catalog/snapshots.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import { vaultPlace } from '../config/vault-place.ts';
import { CoffreError } from '../errors.ts';
import { type ShopStatus, shopStatus } from '../schedule/status.ts';
import { action, type CliContext } from './context.ts';
import { vaultFacts } from './doctor-shops.ts';
import { formatBytes, formatDuration, formatInstant, table } from './output.ts';
import { chosenShops } from './shop.ts';

export function registerStatus(program: Command, context: CliContext): void {
  program
    .command('status')
    .description('how every shop stands; exit status 1 when anything is red')
    .argument('[shop]', 'only this shop')
    .addHelpText('after', '\nExample:\n  coffre status\n  coffre --json status dupont\n')
    .action(
      action(context, async (invocation, shopName: string | undefined) => {
        const config = invocation.config();
        const shops = chosenShops(config, shopName);
        await using catalog = await openCatalog(config.stateDir);
        const statuses: ShopStatus[] = [];
        for (const shop of shops) statuses.push(await readStatus(config, catalog, shop, context.clock.nowMs()));
        const bad = statuses.filter((status) => !status.ok);
        const failure =
          statuses.length === 0
            ? new CoffreError('E_RED', 'no shop is declared: nothing is backed up', { hint: `declare one under shops: in ${config.file}` })
            : bad.length > 0
              ? new CoffreError('E_RED', `${bad.length} of ${statuses.length} shops ${bad.length === 1 ? 'is' : 'are'} red`)
              : null;
        return {
          document: { ok: failure === null, shops: statuses },
          text: describe(statuses, config.timezone),
          ...(failure ? { failure } : {}),
        };
      }),
    );
}

async function readStatus(config: Config, catalog: Catalog, shop: ShopConfig, nowMs: number): Promise<ShopStatus> {
  const vaults = shop.vaults.flatMap((name) => config.vaults.get(name) ?? []);
  const probes = new Map<string, Probe | null>();
  for (const vault of vaults) probes.set(vault.name, await lastProbe(catalog, vaultPlace(vault)));
  const checkpoints = new Map<string, number | null>();
  for (const { name } of vaults) checkpoints.set(name, (await lastCheckpoint(catalog.db, name))?.at ?? null);
  const withinMs = config.verify.readWithinMs;
  const foreign = await catalog.db
    .selectFrom('objects')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('shop', '=', shop.name)
    .where('kind', '=', 'foreign')
    .where('state', '=', 'stored')
    .where(({ exists, not, selectFrom }) =>
      not(
        exists(
          selectFrom('incidents')
            .select('incidents.id')
            .whereRef('incidents.vault', '=', 'objects.vault')
            .whereRef('incidents.key', '=', 'objects.key')
            .whereRef('incidents.versionId', '=', 'objects.versionId')
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
    snapshots: await listSnapshots(catalog, shop.name),
    runs: await runsThatMatter(catalog, shop.name),
    probes,
    vaultFacts: await vaultFacts(config, catalog, shop),
    foreignVersions: Number(foreign.count),
    life: await readLife(catalog.db, shop.name),
    holds: (await listHolds(catalog.db, { shop: shop.name })).map((hold) => hold.reason),
    // what was found among the daemon's own objects concerns whoever uses the vault
    incidents: (await listIncidents(catalog.db, { shops: [shop.name, DAEMON_SHOP] })).filter(
      (row) => row.shop === shop.name || shop.vaults.includes(row.vault),
    ),
    reading: withinMs === null ? null : { withinMs, levels: await readingLevels(catalog, shop.name, nowMs - withinMs) },
    checkpoints,
    lacking: {
      gaps: (await readCatchUpPlan(catalog, config, shop, nowMs)).gaps,
      reasons: await gapsOf(catalog, shop.name),
    },
  });
}

/** The last of each kind, however many others came since; of restores some, since only one that went well was measured. */
async function runsThatMatter(catalog: Catalog, shop: string): Promise<RunRow[]> {
  const filters: RunFilter[] = [
    { kind: 'backup', source: 'database', limit: 1 },
    { kind: 'backup', source: 'files', limit: 1 },
    { kind: 'backup', source: 'server', limit: 1 },
    { kind: 'prune', limit: 2 },
    { kind: 'reconcile', limit: 2 },
    { kind: 'restore', limit: 100 },
  ];
  const runs = await Promise.all(filters.map((filter) => lastRuns(catalog, { shop, ...filter })));
  return await Promise.all(runs.flat().map((run) => asItIs(catalog, run)));
}

/** A run whose process was killed still says that it runs: until the next one notices, status does. */
async function asItIs(catalog: Catalog, run: RunRow): Promise<RunRow> {
  if (run.state !== 'running' || (await isRunAlive(catalog, run.id))) return run;
  return { ...run, state: 'interrupted', errorCode: 'E_INTERRUPTED', errorMessage: 'its process ended without a word' };
}

function describe(statuses: readonly ShopStatus[], timezone: string): string {
  const rows = statuses.map((status) => [
    status.ok ? 'green' : 'RED',
    status.shop,
    ...(['database', 'files'] as const).map((source) => age(status, source)),
    `${status.copies.copies}-${status.copies.media.length}-${status.copies.offsite.length}-${status.copies.immutable.length}-${status.copies.verifyErrors}`,
    status.quota.limitBytes === null
      ? formatBytes(status.quota.usedBytes)
      : `${formatBytes(status.quota.usedBytes)} of ${formatBytes(status.quota.limitBytes)}`,
    restoreTime(status),
    next(status, timezone),
  ]);
  const lines = [
    table(
      ['', 'shop', 'database', 'files', '3-2-1-1-0', 'size', 'recovery', 'next run'].map((title) => ({ title })),
      rows,
      'no shops are declared',
    ),
  ];
  for (const status of statuses) for (const reason of status.red) lines.push(`RED   ${status.shop}: ${reason}`);
  for (const status of statuses) for (const note of status.notes) lines.push(`note  ${status.shop}: ${note}`);
  return lines.join('\n');
}

function age(status: ShopStatus, source: string): string {
  const own = status.sources.find((candidate) => candidate.source === source);
  if (!own) return '-';
  return own.newestGood ? `${formatDuration(own.newestGood.ageMs)} ago` : 'NONE';
}

/** From the last measured restore, scaled to the shop's size, against the plan's target. */
function restoreTime(status: ShopStatus): string {
  const target = `target ${formatDuration(status.rto.targetMs)}`;
  const { measured } = status.rto;
  if (!measured || measured.bytes === 0) return `not measured, ${target}`;
  const predictedMs = (measured.durationMs / measured.bytes) * Math.max(status.quota.usedBytes, measured.bytes);
  return `about ${formatDuration(predictedMs)}, ${target}`;
}

function next(status: ShopStatus, timezone: string): string {
  const { state } = status.life;
  if (state === 'suspended' || state === 'erased') return state;
  const times = status.sources.flatMap((source) => (source.nextRun === null ? [] : Temporal.Instant.from(source.nextRun)));
  const [first] = times.sort(Temporal.Instant.compare);
  return first ? formatInstant(first, timezone) : 'nothing scheduled';
}

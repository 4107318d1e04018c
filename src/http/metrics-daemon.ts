// The metrics of the daemon itself, its vaults and contracts: read at each scrape, from memory, rows by their index and the file system.
import { stat, statfs } from 'node:fs/promises';
import { levels } from '../billing/level.ts';
import { listBreaches } from '../catalog/breaches.ts';
import { lastCheckpoint } from '../catalog/checkpoint-tables.ts';
import { listIncidents } from '../catalog/incidents.ts';
import { shopsHeld } from '../catalog/live-objects.ts';
import { pingFailure, waitingMessages } from '../catalog/messages.ts';
import { catalogPath } from '../catalog/open.ts';
import { lastProbe } from '../catalog/probes.ts';
import { nextTurn } from '../clock.ts';
import { vaultPlace } from '../config/vault-place.ts';
import type { Service } from '../schedule/service.ts';
import type { ShopSurvey } from '../schedule/survey.ts';
import { requestSamples } from './metrics-requests.ts';
import { type Sample, sample } from './metrics-table.ts';

const TB = 1e12;

export async function daemonSamples(service: Service, surveys: readonly ShopSurvey[]): Promise<Sample[]> {
  const { config, state, version } = service;
  const running = new Map<string, number>();
  for (const { kind } of state.running) running.set(kind, (running.get(kind) ?? 0) + 1);
  const known = surveys.length === config.shops.size;
  const red = surveys.filter(({ status }) => status === null || !status.ok).length;
  return [
    sample('coffre_build_info', { version }, 1),
    sample('coffre_daemon_start_timestamp_seconds', {}, state.startedAt / 1000),
    sample('coffre_config_refused', {}, state.configProblem !== null),
    ...[...running].map(([kind, count]) => sample('coffre_runs_running', { kind }, count)),
    sample('coffre_runs_hung', {}, state.running.filter(({ hung }) => hung).length),
    sample('coffre_runs_queued', {}, state.queued),
    sample('coffre_slots_due', {}, state.due),
    sample('coffre_shops', {}, config.shops.size),
    sample('coffre_shops_red', {}, red),
    sample(
      'coffre_survey_oldest_timestamp_seconds',
      {},
      known ? Math.min(service.clock.nowMs(), ...surveys.map(({ at }) => at)) / 1000 : 0,
    ),
    ...(await vaultSamples(service)),
    ...(await storageSamples(service, surveys)),
    ...(await requestSamples(service)),
    ...(await messageSamples(service)),
    ...(await stateSamples(config.stateDir)),
  ];
}

async function vaultSamples(service: Service): Promise<Sample[]> {
  const { catalog, config } = service;
  const samples: Sample[] = [];
  for (const vault of config.vaults.values()) {
    const of = { vault: vault.name };
    const probe = await lastProbe(catalog, vaultPlace(vault));
    const checkpoint = await lastCheckpoint(catalog.db, vault.name);
    samples.push(
      sample('coffre_vault_probe_timestamp_seconds', of, (probe?.at ?? 0) / 1000),
      sample('coffre_vault_lock_proven', of, probe?.outcome === 'proven'),
      sample('coffre_vault_checkpoint_timestamp_seconds', of, (checkpoint?.at ?? 0) / 1000),
    );
  }
  const open = new Map<string, Sample>();
  for (const vault of config.vaults.keys()) open.set(`${vault}\0`, sample('coffre_incidents_open', { vault, kind: '' }, 0));
  for (const { vault, kind } of await listIncidents(catalog.db)) {
    const name = `${vault}\0${kind}`;
    open.set(name, sample('coffre_incidents_open', { vault, kind }, (open.get(name)?.value ?? 0) + 1));
  }
  return [...samples, ...open.values(), ...(await breachSamples(service))];
}

/** Of vaults that are declared no more too, while a case waits: its clients are still to be told. */
async function breachSamples({ catalog, clock, config }: Service): Promise<Sample[]> {
  const waiting = Map.groupBy(await listBreaches(catalog.db, { all: false }), ({ vault }) => vault);
  const vaults = [...new Set([...config.vaults.keys(), ...waiting.keys()])];
  const nowMs = clock.nowMs();
  return vaults.flatMap((vault) => {
    const cases = waiting.get(vault) ?? [];
    const open = sample('coffre_breaches_open', { vault }, cases.length);
    if (cases.length === 0) return [open];
    const leftMs = Math.min(...cases.map(({ deadline }) => deadline - nowMs));
    return [open, sample('coffre_breach_left_seconds', { vault }, leftMs / 1000)];
  });
}

/** What vaults hold of everybody: of declared shops as last seen, and of shops that are declared no more and the daemon itself. */
async function storageSamples({ catalog, config }: Service, surveys: readonly ShopSurvey[]): Promise<Sample[]> {
  const held = new Map<string, Map<string, number>>();
  const others = (await shopsHeld(catalog.db)).filter((name) => !config.shops.has(name));
  for (const vault of config.vaults.keys()) {
    const ofVault = new Map(surveys.map((survey) => [survey.shop, survey.levels.get(vault) ?? 0]));
    held.set(vault, ofVault);
    for (const shop of others) {
      for (const { levelBytes } of await levels(catalog, { vault, shop })) ofVault.set(shop, levelBytes);
      // each takes a while where much is stored: requests go between them
      await nextTurn();
    }
  }
  const sum = (ofVault: ReadonlyMap<string, number> | undefined, covers: (shop: string) => boolean): number =>
    [...(ofVault ?? [])].reduce((total, [shop, bytes]) => (covers(shop) ? total + bytes : total), 0);
  return [
    ...[...held].map(([vault, ofVault]) =>
      sample(
        'coffre_vault_stored_bytes',
        { vault },
        sum(ofVault, () => true),
      ),
    ),
    ...[...config.contracts.values()].flatMap(({ name, shops, subscribedTB, vault }) => {
      const covered = shops && new Set(shops);
      return [
        sample(
          'coffre_contract_stored_bytes',
          { contract: name },
          sum(held.get(vault), (shop) => covered?.has(shop) ?? true),
        ),
        sample('coffre_contract_subscribed_bytes', { contract: name }, subscribedTB * TB),
      ];
    }),
  ];
}

/** Of each channel that messages wait for; zero of those that are configured. A ping that does not get through waits like a message. */
async function messageSamples({ catalog, config }: Service): Promise<Sample[]> {
  const waiting = new Map<string, readonly { readonly at: number }[]>(Map.groupBy(await waitingMessages(catalog.db), (row) => row.channel));
  const ping = await pingFailure(catalog.db);
  if (ping !== null) waiting.set('ping', [{ at: ping.since }]);
  const channels = (['mail', 'webhook', 'ping'] as const).filter((channel) => config.notify[channel] !== null || waiting.has(channel));
  return channels.flatMap((channel) => {
    const [oldest, ...more] = waiting.get(channel) ?? [];
    if (oldest === undefined) return [sample('coffre_notifications_waiting', { channel }, 0)];
    return [
      sample('coffre_notifications_waiting', { channel }, 1 + more.length),
      sample('coffre_notifications_oldest_timestamp_seconds', { channel }, oldest.at / 1000),
    ];
  });
}

async function stateSamples(stateDir: string): Promise<Sample[]> {
  const { bavail, blocks, bsize } = await statfs(stateDir);
  const path = catalogPath(stateDir);
  const sizes = await Promise.all([path, `${path}-wal`].map(async (file) => (await stat(file).catch(() => null))?.size ?? 0));
  return [
    sample('coffre_state_free_bytes', {}, bavail * bsize),
    sample('coffre_state_size_bytes', {}, blocks * bsize),
    sample('coffre_catalog_bytes', {}, (sizes[0] ?? 0) + (sizes[1] ?? 0)),
  ];
}

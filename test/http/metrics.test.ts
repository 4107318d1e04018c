import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { sql } from 'kysely';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openMissingBreaches } from '../../src/catalog/breaches.ts';
import { recordDrill } from '../../src/catalog/drills.ts';
import { openCatalog } from '../../src/catalog/open.ts';
import { type RatePhase, recordRates } from '../../src/catalog/rates.ts';
import { systemClock } from '../../src/clock.ts';
import { parseConfig } from '../../src/config/load.ts';
import { vaultPlace } from '../../src/config/vault-place.ts';
import { Metrics } from '../../src/http/metrics.ts';
import { METRICS } from '../../src/http/metrics-table.ts';
import { RunHub } from '../../src/schedule/feed.ts';
import type { Service } from '../../src/schedule/service.ts';
import { StatusBoard } from '../../src/schedule/status-board.ts';
import { Survey } from '../../src/schedule/survey.ts';
import type { SourceKind } from '../../src/source/source.ts';
import { fillCatalog, shopName } from '../schedule/large-catalog.ts';
import { tempDir } from '../temp-dir.ts';
import { startDaemon } from './daemon.ts';

/** A daemon's metrics over a catalog of `shops` shops with two snapshots of each source. */
async function setting(shops: number, { segments = shops * 10, schedule = '' } = {}) {
  const dir = await tempDir();
  const config = parseConfig(
    [
      `stateDir: ${dir}/state`,
      'encryption: none',
      'vaults:',
      `  nas: { type: filesystem, path: ${dir}/nas }`,
      `  offsite: { type: s3, endpoint: "http://127.0.0.1:9", bucket: b, offsite: true, credentials: { env: NONE } }`,
      `plans: { plan: { retention: 14d, quota: 20GB${schedule} } }`,
      'contracts: { csi-001: { vault: offsite, subscribedTB: 1, price: { perTBMonth: "23.00" } } }',
      'notify: { mail: { host: localhost, from: a@example.net, to: [b@example.net] } }',
      'shops:',
      ...Array.from(
        { length: shops },
        (_, i) =>
          `  ${shopName(i)}: { plan: plan, vaults: [nas, offsite], database: { socketPath: /x, user: u, name: d${i} }, files: { root: /srv/shops/${i} } }`,
      ),
    ].join('\n'),
    join(dir, 'coffre.yaml'),
    {},
  );
  const catalog = await openCatalog(config.stateDir);
  onTestFinished(() => catalog.close());
  const nowMs = systemClock.nowMs();
  const [nas, offsite] = [...config.vaults.values()].map(vaultPlace);
  await fillCatalog(catalog, { shops, segments, days: 2, nowMs, places: { nas: nas ?? '', offsite: offsite ?? '' } });
  const feed = new RunHub(systemClock);
  const board = new StatusBoard({ config: () => config, catalog, clock: systemClock });
  const survey = new Survey({ config: () => config, catalog, clock: systemClock, feed, board });
  const running = [{ run: 'r', kind: 'backup', shop: shopName(0), source: 'files', who: 'x', startedAt: nowMs, hung: true }] as const;
  const state = { startedAt: nowMs, running, queued: 1, due: 2, loading: false, stopping: false, configProblem: null };
  const service = { config, catalog, clock: systemClock, feed, survey, state, version: '1.2.3' } as unknown as Service;
  return { catalog, config, metrics: () => new Metrics(service), nowMs, survey };
}

/** Series and values of the text format. */
function seriesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

describe('GET /metrics', () => {
  it('a token of the role monitor - the text format, without asking anybody outside', async () => {
    const it = await startDaemon();
    await (it.service.survey as Survey).look();
    const cpu = process.cpuUsage();
    const answer = await it.ask(await it.token('monitor'), 'GET', '/metrics');
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const series = seriesOf(answer.text);
    expect(series.get('coffre_build_info{version="0.0.0-test"}')).toBe(1);
    expect(series.get('coffre_shops')).toBe(3);
    // nothing was ever backed up: unknown is red
    expect(series.get('coffre_shops_red')).toBe(3);
    expect(series.get('coffre_snapshot_good_timestamp_seconds{shop="dupont",source="files"}')).toBe(0);
    expect(series.get('process_resident_memory_bytes')).toBeGreaterThan(0);
    // from the start of the process, not from the first scrape
    expect(series.get('process_cpu_seconds_total')).toBeGreaterThan((cpu.user + cpu.system) / 1e6);
  });

  it('a daemon that has just started - says that it has not looked yet', async () => {
    const it = await startDaemon();
    const series = seriesOf((await it.ask(await it.token('monitor'), 'GET', '/metrics')).text);
    expect(series.get('coffre_survey_oldest_timestamp_seconds')).toBe(0);
    expect([...series.keys()].filter((name) => name.startsWith('coffre_shop_'))).toEqual([]);
  });
});

describe('the metrics', () => {
  it('a daemon with everything to tell - every declared metric is there, with its labels, and promtool finds nothing wrong', async () => {
    const { catalog, metrics, nowMs, survey } = await setting(2, { schedule: ', schedule: { drill: "0 * * * *" }' });
    const shop = shopName(0);
    await sql`insert into incidents (id, vault, shop, kind, key, versionId, sizeBytes, firstSeenAt, lastSeenAt)
      values ('i', 'nas', ${shop}, 'missing', 'k', 'v', 1, ${nowMs}, ${nowMs})`.execute(catalog.db);
    await catalog.transaction((tx) => openMissingBreaches(tx, systemClock, 'test'));
    await sql`insert into runs (id, kind, shop, source, state, startedAt, endedAt, detail)
      values ('restored', 'restore', ${shop}, 'files', 'done', ${nowMs - 2000}, ${nowMs - 1000}, '{"bytes":50000000,"durationMs":60000}')`.execute(
      catalog.db,
    );
    const promise = {
      ...{ targetMs: 14_400_000, calendar: '24x7', country: null, region: null, zone: 'UTC' },
      hours: { fromMinute: 0, toMinute: 1440, days: [1] },
    };
    await sql`insert into requests (id, shop, state, wanted, preview, createdAt, createdBy, createdRole, approvedAt, promise)
      values ('q', ${shop}, 'approved', '{}', '{}', ${nowMs}, 'x', 'client', ${nowMs}, ${JSON.stringify(promise)})`.execute(catalog.db);
    await sql`insert into messages (id, at, channel, content, tries, nextAt) values ('m', ${nowMs}, 'mail', '{}', 1, ${nowMs})`.execute(
      catalog.db,
    );
    for (const [source, phases] of Object.entries({ files: ['open', 'write'], database: ['open', 'load', 'keys'] }) as [
      SourceKind,
      RatePhase[],
    ][]) {
      const of = { host: 'local', shop, source, kind: 'restore' as const, runId: null, beside: false };
      const amount = { bytes: 50_000_000, vault: null };
      await recordRates(catalog, systemClock, of, [
        { phase: 'download', vault: 'nas', bytes: 20_000_000, ms: 5000 },
        ...phases.map((phase) => ({ ...amount, phase, ms: 30_000 / phases.length })),
        { ...amount, phase: 'check', ms: 0 },
        { ...amount, phase: 'fixed', ms: 1000 },
      ]);
    }
    await recordDrill(catalog, {
      ...{ drill: 'd', shop, vault: 'nas', startedAt: nowMs - 40 * 3600_000, endedAt: nowMs - 39 * 3600_000, outcome: 'passed' },
      ...{ code: null, said: null, restoreMs: 60_000, targetMs: 14_400_000, snapshots: [], document: '{}' },
    });
    await survey.look();
    const { text } = await metrics().scrape();
    const series = seriesOf(text);
    for (const [name, { labels }] of Object.entries(METRICS)) {
      const own = [...series.keys()].filter((key) => key === name || key.startsWith(`${name}{`));
      expect(own, name).not.toEqual([]);
      for (const key of own) expect([...key.matchAll(/(\w+)="/g)].map(([, label]) => label).sort(), key).toEqual([...labels].sort());
    }
    const of = `{shop="${shop}",source="files"}`;
    expect(series.get(`coffre_snapshot_good_timestamp_seconds${of}`)).toBeCloseTo((nowMs - 3_660_000) / 1000, -1);
    expect(series.get(`coffre_snapshot_plain_bytes${of}`)).toBe(50_000_000);
    expect(series.get(`coffre_snapshot_duration_seconds${of}`)).toBe(60);
    expect(series.get(`coffre_run_last_success${of}`)).toBe(1);
    // measured apart, and so one after the other: 30 s of work and 1 s before it, for each of two sources of 50 MB
    expect(series.get(`coffre_restore_estimate_seconds{shop="${shop}"}`)).toBeCloseTo(62);
    expect(series.get(`coffre_restore_fits{shop="${shop}"}`)).toBe(1);
    expect(series.get(`coffre_copy_lock_end_timestamp_seconds{shop="${shop}",vault="offsite"}`)).toBeCloseTo(
      nowMs / 1000 + 20 * 86_400,
      -1,
    );
    expect(series.get('coffre_incidents_open{vault="nas",kind="missing"}')).toBe(1);
    expect(series.get('coffre_breaches_open{vault="nas"}')).toBe(1);
    expect(series.get('coffre_breaches_open{vault="offsite"}')).toBe(0);
    expect(series.get('coffre_breach_left_seconds{vault="nas"}')).toBeCloseTo(48 * 3600, -2);
    expect(series.get(`coffre_shop_alarms{shop="${shop}",kind="incident"}`)).toBe(1);
    expect(series.get('coffre_notifications_waiting{channel="mail"}')).toBe(1);
    expect(series.get('coffre_runs_hung')).toBe(1);
    const checked = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
    // prom-client's own names are not ours to choose
    expect(`${checked.stdout}${checked.stderr}`.split('\n').filter((line) => line.startsWith('coffre'))).toEqual([]);
    expect(checked.error).toBeUndefined();
  });

  it('bytes - those of the ledger, shops that are declared no more and the daemon itself included', async () => {
    const { catalog, metrics, survey } = await setting(2);
    await sql`insert into ledger (at, vault, shop, key, versionId, event, bytes, hash)
      values (1, 'offsite', 'former', 'k', 'v', 'put', 1000, 'h'), (1, 'offsite', '_coffre', 'k', 'v', 'put', 10, 'h')`.execute(catalog.db);
    await sql`insert into objects (vault, shop, key, versionId, kind, state, expectedBytes, sizeBytes, createdAt)
      values ('offsite', 'former', 'k', 'v', 'segment', 'stored', 1000, 1000, 1)`.execute(catalog.db);
    await survey.look();
    const series = seriesOf((await metrics().scrape()).text);
    const { rows } = await sql<{ bytes: number }>`select sum(bytes) as bytes from ledger where vault = 'offsite'`.execute(catalog.db);
    expect(series.get('coffre_vault_stored_bytes{vault="offsite"}')).toBe(rows[0]?.bytes);
    expect(series.get('coffre_contract_stored_bytes{contract="csi-001"}')).toBe(rows[0]?.bytes);
    expect(series.get('coffre_contract_subscribed_bytes{contract="csi-001"}')).toBe(1e12);
  });

  it('a shop that cannot be looked at - red, and nothing else is said of it', async () => {
    const { catalog, metrics, survey } = await setting(2);
    await survey.look();
    await sql`update snapshots set requiredVaults = 'no JSON' where shop = ${shopName(1)}`.execute(catalog.db);
    await survey.look();
    const series = seriesOf((await metrics().scrape()).text);
    const own = [...series].filter(([name]) => name.includes(`"${shopName(1)}"`));
    expect(own).toEqual([[`coffre_shop_red{shop="${shopName(1)}"}`, 1]]);
  });

  it('many shops - so many series as there are names, and no more', async () => {
    const { metrics, survey } = await setting(40);
    await survey.look();
    const series = [...seriesOf((await metrics().scrape()).text).keys()].filter((name) => name.startsWith('coffre_'));
    expect(series.length).toBeLessThan(40 * 50 + 100);
  });

  it('asked twice within some seconds - made once', async () => {
    const { metrics, survey } = await setting(1);
    await survey.look();
    const all = metrics();
    const [first, second] = await Promise.all([all.scrape(), all.scrape()]);
    expect(second).toBe(first);
  });
});

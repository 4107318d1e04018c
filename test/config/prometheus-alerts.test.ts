// The alert rules that coffre comes with, by Prometheus' own tool: each fires when it should, and does not when it should not.
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { METRICS } from '../../src/http/metrics-table.ts';
import { tempDir } from '../temp-dir.ts';

const RULES = new URL('../../config/prometheus-alerts.yml', import.meta.url).pathname;
const run = promisify(execFile);

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const rules = (parse(readFileSync(RULES, 'utf8')) as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules);

type Series = Readonly<Record<string, string | number>>;

/** Values of the series from minute 0 on, the same every minute; promtool's time begins at 0. `after`: when it is looked. */
interface Case {
  readonly after: string;
  readonly fires: readonly Series[];
  readonly quiet: readonly Series[];
}

const HOUR = 3600;
const DAY = 24 * HOUR;
const BACKED_UP = { 'coffre_shop_backed_up{shop="a"}': 1 };
const SUSPENDED = { 'coffre_shop_backed_up{shop="a"}': 0 };
const good = (at: number) => ({ 'coffre_snapshot_good_timestamp_seconds{shop="a",source="files"}': at });
const due = (at: number) => ({ 'coffre_snapshot_due_timestamp_seconds{shop="a",source="files"}': at });
const lockEnd = (at: number) => ({ 'coffre_snapshot_lock_end_timestamp_seconds{shop="a",source="files"}': at });
const probe = (proven: number, at: number) => ({
  'coffre_vault_lock_proven{vault="offsite"}': proven,
  'coffre_vault_probe_timestamp_seconds{vault="offsite"}': at,
});
const checkpoint = (at: number, bytes: number) => ({
  'coffre_vault_checkpoint_timestamp_seconds{vault="offsite"}': at,
  'coffre_vault_stored_bytes{vault="offsite"}': bytes,
});

/** Of one vault drilled at `at`, another never; `due` 0: none is missing. */
const drilled = (at: number, due: number) => ({
  'coffre_drill_timestamp_seconds{shop="a",vault="nas"}': at,
  'coffre_drill_timestamp_seconds{shop="a",vault="offsite"}': 0,
  'coffre_drill_due_timestamp_seconds{shop="a"}': due,
});

const CASES: Readonly<Record<string, Case>> = {
  CoffreDown: { after: '10m', fires: [{ 'up{job="coffre"}': 0 }, { 'up{job="other"}': 1 }], quiet: [{ 'up{job="coffre"}': 1 }] },
  CoffreShopRed: { after: '20m', fires: [{ 'coffre_shop_red{shop="a"}': 1 }], quiet: [{ 'coffre_shop_red{shop="a"}': 0 }] },
  CoffreSurveyStale: {
    after: '60m',
    fires: [{ coffre_survey_oldest_timestamp_seconds: 1200 }],
    quiet: [{ coffre_survey_oldest_timestamp_seconds: '0+60x60' }],
  },
  CoffreNoSnapshot: {
    after: '7h',
    fires: [{ ...good(0), ...BACKED_UP }],
    quiet: [
      { ...good(1), ...BACKED_UP },
      { ...good(0), ...SUSPENDED },
    ],
  },
  CoffreSnapshotOverdue: {
    after: '10m',
    fires: [{ ...good(100), ...due(200), ...BACKED_UP }],
    quiet: [
      { ...good(200), ...due(200), ...BACKED_UP },
      { ...good(100), ...due(200), ...SUSPENDED },
      { ...good(100), ...BACKED_UP },
    ],
  },
  CoffreBackupFailing: {
    after: '70m',
    fires: [{ 'coffre_run_last_success{shop="a",source="files"}': 0 }],
    quiet: [{ 'coffre_run_last_success{shop="a",source="files"}': 1 }, { 'coffre_run_last_success{shop="a",source="files"}': '0x40 1x40' }],
  },
  CoffreLockEndsSoon: {
    after: '40m',
    fires: [
      { ...lockEnd(DAY), ...BACKED_UP },
      { ...lockEnd(0), ...BACKED_UP },
    ],
    quiet: [
      { ...lockEnd(3 * DAY), ...BACKED_UP },
      { ...lockEnd(0), ...SUSPENDED },
    ],
  },
  CoffreCopiesMissing: {
    after: '70m',
    fires: [{ 'coffre_copies_ok{shop="a"}': 0, ...BACKED_UP }],
    quiet: [
      { 'coffre_copies_ok{shop="a"}': 1, ...BACKED_UP },
      { 'coffre_copies_ok{shop="a"}': 0, ...SUSPENDED },
    ],
  },
  CoffreVerificationFailed: {
    after: '1m',
    fires: [{ 'coffre_copies_verify_errors{shop="a"}': 1 }],
    quiet: [{ 'coffre_copies_verify_errors{shop="a"}': 0 }],
  },
  CoffreVaultLacksSnapshots: {
    after: '7h',
    fires: [{ 'coffre_copy_lacking_snapshots{shop="a",vault="nas"}': 1, 'coffre_copy_lacking_snapshots{shop="b",vault="nas"}': 2 }],
    quiet: [
      { 'coffre_copy_lacking_snapshots{shop="a",vault="nas"}': 0 },
      { 'coffre_copy_lacking_snapshots{shop="a",vault="nas"}': '1x6 0x8' },
    ],
  },
  CoffreUnreadBytes: {
    after: '25h',
    fires: [{ 'coffre_copy_unread_bytes{shop="a",vault="nas"}': 10 }],
    quiet: [{ 'coffre_copy_unread_bytes{shop="a",vault="nas"}': 0 }],
  },
  CoffreIncident: {
    after: '1m',
    fires: [{ 'coffre_incidents_open{vault="nas",kind="missing"}': 2 }],
    quiet: [{ 'coffre_incidents_open{vault="nas",kind=""}': 0 }],
  },
  CoffreBreachUntold: {
    after: '1m',
    fires: [{ 'coffre_breaches_open{vault="nas"}': 1 }],
    quiet: [{ 'coffre_breaches_open{vault="nas"}': 0 }],
  },
  CoffreBreachDueSoon: {
    after: '1m',
    fires: [{ 'coffre_breach_left_seconds{vault="nas"}': 12 * HOUR - 1 }],
    quiet: [{ 'coffre_breach_left_seconds{vault="nas"}': 12 * HOUR }, { 'coffre_breach_left_seconds{vault="nas"}': -1 }],
  },
  CoffreBreachOverdue: {
    after: '1m',
    fires: [{ 'coffre_breach_left_seconds{vault="nas"}': -1 }],
    quiet: [{ 'coffre_breach_left_seconds{vault="nas"}': 0 }, { 'coffre_breaches_open{vault="nas"}': 0 }],
  },
  CoffreLockUnproven: { after: '27h', fires: [probe(0, 20 * HOUR), probe(1, 0)], quiet: [probe(1, 20 * HOUR)] },
  CoffreCheckpointOld: { after: '51h', fires: [checkpoint(0, 5)], quiet: [checkpoint(40 * HOUR, 5), checkpoint(0, 0)] },
  CoffreRestoreTooSlow: {
    after: '70m',
    fires: [{ 'coffre_restore_fits{shop="a"}': 0 }],
    quiet: [{ 'coffre_restore_fits{shop="a"}': 1 }, { 'coffre_restore_target_seconds{shop="a"}': 14_400 }],
  },
  CoffreRequestLate: {
    after: '5m',
    fires: [{ 'coffre_request_left_seconds{shop="a"}': -1 }],
    quiet: [{ 'coffre_request_left_seconds{shop="a"}': 0 }, {}],
  },
  CoffreRequestDueSoon: {
    after: '5m',
    fires: [{ 'coffre_request_left_seconds{shop="a"}': 3599 }],
    quiet: [{ 'coffre_request_left_seconds{shop="a"}': 3600 }, { 'coffre_request_left_seconds{shop="a"}': -1 }],
  },
  CoffreRequestNotBegun: {
    after: '15m',
    fires: [{ 'coffre_requests{state="approved"}': 1 }],
    quiet: [
      { 'coffre_requests{state="approved"}': 0, 'coffre_requests{state="requested"}': 3 },
      { 'coffre_requests{state="approved"}': '1x5 0x20' },
    ],
  },
  CoffreDrillFailed: {
    after: '10m',
    fires: [{ 'coffre_drill_passed{shop="a",vault="nas"}': 1, 'coffre_drill_passed{shop="a",vault="offsite"}': 0 }],
    quiet: [{ 'coffre_drill_passed{shop="a",vault="nas"}': 1 }],
  },
  CoffreDrillOverdue: {
    after: '2h',
    fires: [
      { ...drilled(0, HOUR), ...BACKED_UP },
      { ...drilled(HOUR, 2 * HOUR), ...BACKED_UP },
    ],
    quiet: [
      { ...drilled(2 * HOUR, HOUR), ...BACKED_UP },
      { ...drilled(HOUR, 2 * HOUR), ...SUSPENDED },
    ],
  },
  CoffreQuotaExceeded: {
    after: '70m',
    fires: [{ 'coffre_shop_used_bytes{shop="a"}': 11, 'coffre_shop_quota_bytes{shop="a"}': 10 }],
    quiet: [{ 'coffre_shop_used_bytes{shop="a"}': 9, 'coffre_shop_quota_bytes{shop="a"}': 10 }, { 'coffre_shop_used_bytes{shop="a"}': 9 }],
  },
  CoffreContractNearlyFull: {
    after: '70m',
    fires: [{ 'coffre_contract_stored_bytes{contract="c"}': 95, 'coffre_contract_subscribed_bytes{contract="c"}': 100 }],
    quiet: [{ 'coffre_contract_stored_bytes{contract="c"}': 85, 'coffre_contract_subscribed_bytes{contract="c"}': 100 }],
  },
  CoffreConfigRefused: { after: '10m', fires: [{ coffre_config_refused: 1 }], quiet: [{ coffre_config_refused: 0 }] },
  CoffreRunHung: { after: '15m', fires: [{ coffre_runs_hung: 1 }], quiet: [{ coffre_runs_hung: 0 }] },
  CoffreNotificationsStuck: {
    after: '70m',
    fires: [{ 'coffre_notifications_oldest_timestamp_seconds{channel="mail"}': 0 }],
    quiet: [
      { 'coffre_notifications_oldest_timestamp_seconds{channel="mail"}': 3000 },
      { 'coffre_notifications_waiting{channel="mail"}': 0 },
    ],
  },
  CoffreStateDiskFull: {
    after: '20m',
    fires: [{ coffre_state_free_bytes: 5, coffre_state_size_bytes: 100 }],
    quiet: [{ coffre_state_free_bytes: 50, coffre_state_size_bytes: 100 }],
  },
};

/** Of hours every half of one is enough, and a day is soon over. */
const isLong = (after: string): boolean => after.endsWith('h');
const steps = (after: string): number => Number.parseInt(after, 10) * (isLong(after) ? 2 : 1);
const interval = (after: string): string => (isLong(after) ? '30m' : '1m');

function testOf(alert: string, series: Series, after: string, fires: boolean) {
  return {
    interval: interval(after),
    name: `${alert} ${fires ? 'fires' : 'is quiet'}: ${JSON.stringify(series)}`,
    input_series: Object.entries(series).map(([name, value]) => ({
      series: name,
      values: typeof value === 'string' ? value : `${value}x${steps(after)}`,
    })),
    promql_expr_test: [
      {
        expr: `count(ALERTS{alertname="${alert}",alertstate="firing"})`,
        eval_time: after,
        exp_samples: fires ? [{ labels: '{}', value: 1 }] : [],
      },
    ],
  };
}

it('the rules - promtool accepts them, and each has a severity, a summary and something to do', async () => {
  const { stdout } = await run('promtool', ['check', 'rules', RULES]);
  expect(stdout).toContain(`SUCCESS: ${rules.length} rules found`);
  for (const { alert, annotations, labels } of rules) {
    expect(['critical', 'warning', 'info'], alert).toContain(labels.severity);
    expect(annotations.summary, alert).toBeTruthy();
    expect(annotations.description, alert).toBeTruthy();
  }
});

it('each rule - fires on what it is for, and on nothing else', async () => {
  expect(Object.keys(CASES).sort()).toEqual(rules.map(({ alert }) => alert).sort());
  const tests = Object.entries(CASES).flatMap(([alert, { after, fires, quiet }]) => [
    ...fires.map((series) => testOf(alert, series, after, true)),
    ...quiet.map((series) => testOf(alert, series, after, false)),
  ]);
  for (const every of ['1m', '30m']) {
    const own = tests.filter((one) => one.interval === every);
    expect(own.length).toBeGreaterThan(5);
    const file = join(await tempDir(), 'tests.yml');
    writeFileSync(file, stringify({ rule_files: [RULES], evaluation_interval: every, tests: own }));
    // a failure is what promtool says of it
    const outcome = await run('promtool', ['test', 'rules', file]).catch((error: { stdout: string; stderr: string }) => error);
    expect(`${outcome.stdout}${outcome.stderr}`).toContain('SUCCESS');
  }
});

it('a test that is turned round - promtool says so', async () => {
  const file = join(await tempDir(), 'tests.yml');
  const wrong = testOf('CoffreConfigRefused', { coffre_config_refused: 0 }, '10m', true);
  writeFileSync(file, stringify({ rule_files: [RULES], evaluation_interval: '1m', tests: [wrong] }));
  await expect(run('promtool', ['test', 'rules', file])).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('CoffreConfigRefused'),
  });
});

it('metrics and labels in the rules - the daemon has them', () => {
  for (const { alert, annotations, expr } of rules) {
    const names = expr.match(/\bcoffre_\w+/g) ?? [];
    if (alert !== 'CoffreDown') expect(names.length, alert).toBeGreaterThan(0);
    for (const name of names) expect(Object.keys(METRICS), alert).toContain(name);
    const labels = new Set(names.flatMap((name): readonly string[] => METRICS[name as keyof typeof METRICS].labels));
    for (const [, label = ''] of JSON.stringify(annotations).matchAll(/\$labels\.(\w+)/g)) expect([...labels], alert).toContain(label);
  }
});

// Whether a shop was proven to come back: the last drill of each vault, and whether one was due since. Pure over what was read.
import type { DrillRow } from '../catalog/drills.ts';
import { type RunRow, wasStopped } from '../catalog/runs.ts';
import { DRILL_DEFAULTS, type ShopConfig } from '../config/config.ts';
import { type Alarm, raise } from './alarm.ts';
import { drillRules } from './start.ts';
import { lastDue } from './status-due.ts';
import { text } from './status-text.ts';

/** A drill gives way to everything and waits for windows: so long after its slot it may still come. */
const GRACE_MS = 24 * 3600_000;

export interface DrillsRead {
  /** Of each vault the newest. */
  readonly last: readonly DrillRow[];
  /** Whether it came to be a drill or not; null: none was ever begun. */
  readonly lastRun: RunRow | null;
  /** The newest slot that was taken care of, or when the schedule was first seen; null: no daemon has seen one. */
  readonly takenUpTo: number | null;
  /** null: there is nothing to drill. */
  readonly firstSnapshotAt: number | null;
}

export interface DrillFacts {
  readonly nowMs: number;
  readonly timezone: string;
  readonly jitterMs: number;
  readonly shop: ShopConfig;
  readonly drills: DrillsRead;
}

export interface DrillStatus {
  /** Of each vault of the shop that was ever drilled, or is to be by its plan; `drill` null: never was. */
  readonly vaults: readonly {
    readonly vault: string;
    readonly drill: string | null;
    readonly at: string | null;
    readonly passed: boolean | null;
    readonly code: string | null;
    readonly restoreMs: number | null;
  }[];
  /** Since when there must have been one, of whatever vault; null: no drill is scheduled, or none was due yet. */
  readonly dueSince: string | null;
}

export const UNDRILLED: DrillStatus = { vaults: [], dueSince: null };

/** What is red is red until the same vault was drilled again and passed: the next one in turn says nothing of it. */
export function checkDrills(facts: DrillFacts, red: Alarm[], notes: string[]): DrillStatus {
  const { drills, jitterMs, nowMs, shop, timezone } = facts;
  const own = drills.last.filter(({ vault }) => shop.vaults.includes(vault));
  for (const { code, drill, endedAt, outcome, said, vault } of own) {
    if (outcome === 'passed') continue;
    raise(
      red,
      'drill',
      { vault, code },
      `the drill of ${text(endedAt, timezone)} from vault ${vault} was not passed: ${said} [${code}]; coffre drill show ${drill}, then coffre drill run ${shop.name} --from ${vault}`,
    );
  }
  const { lastRun } = drills;
  const isBroken = lastRun !== null && (lastRun.state === 'failed' || lastRun.state === 'interrupted') && !wasStopped(lastRun);
  if (isBroken && !drills.last.some(({ drill }) => drill === lastRun.id)) {
    raise(
      red,
      'drill',
      { code: lastRun.errorCode },
      `the last drill came to nothing at ${text(lastRun.endedAt ?? lastRun.startedAt, timezone)}: ${lastRun.errorMessage ?? ''} [${lastRun.errorCode ?? 'unknown'}]; once that is mended, coffre drill run ${shop.name}`,
    );
  }
  const expression = shop.plan.schedule.drill ?? null;
  const newest = Math.max(0, ...drills.last.map(({ startedAt }) => startedAt));
  let dueSince: number | null = null;
  if (expression !== null) {
    const due = lastDue([expression], drillRules({ limits: { jitterMs }, timezone }, shop), nowMs - GRACE_MS);
    // neither a schedule nor a shop that is new has missed anything
    const from = Math.max(drills.takenUpTo ?? 0, drills.firstSnapshotAt ?? Number.POSITIVE_INFINITY);
    if (due !== null && due > from) dueSince = due;
    if (dueSince !== null && newest < dueSince) {
      const last = newest === 0 ? 'there was never one' : `the last one was at ${text(newest, timezone)}`;
      raise(
        red,
        'drill',
        { detail: 'missed' },
        `a drill was due at ${text(dueSince, timezone)} and ${last}: that the shop comes back is not known; coffre drill run ${shop.name}`,
      );
    }
  }
  const last = own.find(({ startedAt }) => startedAt === newest);
  if (last?.outcome === 'passed') notes.push(`last drilled at ${text(last.endedAt, timezone)} from vault ${last.vault}, passed`);
  return { vaults: vaultsOf(shop, own, timezone, expression !== null), dueSince: dueSince === null ? null : text(dueSince, timezone) };
}

function vaultsOf(shop: ShopConfig, own: readonly DrillRow[], timezone: string, isScheduled: boolean): DrillStatus['vaults'] {
  const planned = (shop.plan.drill ?? DRILL_DEFAULTS).vaults;
  return shop.vaults.flatMap((vault): DrillStatus['vaults'][number][] => {
    const row = own.find((one) => one.vault === vault);
    if (row) {
      const { code, drill, endedAt, outcome, restoreMs } = row;
      return [{ vault, drill, at: text(endedAt, timezone), passed: outcome === 'passed', code, restoreMs }];
    }
    const isPlanned = isScheduled && (planned === null || planned.includes(vault));
    return isPlanned ? [{ vault, drill: null, at: null, passed: null, code: null, restoreMs: null }] : [];
  });
}

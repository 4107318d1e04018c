// Child of the billing benchmark: anchors the days that have ended, then asks for a month and a year as the daemon does, its loop watched.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { anchorLedger } from '../../../src/billing/anchors.ts';
import { monthPeaksInThread } from '../../../src/billing/in-thread.ts';
import { openCatalog } from '../../../src/catalog/open.ts';
import { systemClock } from '../../../src/clock.ts';
import { FakeClock } from '../../fake-clock.ts';

export interface Measured {
  /** All days of the year but the last, whose rows are read from the ledger itself. */
  readonly anchors: number;
  readonly anchorSeconds: number;
  readonly longestAnchorMs: number;
  readonly threadMonthSeconds: number;
  readonly threadYearSeconds: number;
  readonly eventLoopMaxMs: number;
  /** Highest resident size of the process, its threads included. */
  readonly peakBytes: number;
}

const [dir = '', month = '', year = ''] = process.argv.slice(2);
const catalog = await openCatalog(dir);
const timed = async <T>(work: () => Promise<T>): Promise<{ seconds: number; value: T }> => {
  const startedMs = systemClock.monotonicMs();
  const value = await work();
  return { seconds: (systemClock.monotonicMs() - startedMs) / 1000, value };
};
const building = monitorEventLoopDelay({ resolution: 1 });
await systemClock.sleep(20);
building.enable();
const anchored = await timed(() => anchorLedger(catalog, new FakeClock('2025-12-31T18:00:00Z')));
building.disable();
const contracts = [
  { name: 'csi', vault: 'offsite', shops: null, timezone: 'UTC', period: 'month' as const, firstMonth: 1, start: null, end: null },
];
const loop = monitorEventLoopDelay({ resolution: 1 });
await systemClock.sleep(20);
loop.enable();
const ofMonth = await timed(() => monthPeaksInThread(catalog, { month, contracts, timezone: 'UTC' }));
const ofYear = await timed(() => monthPeaksInThread(catalog, { month: year, contracts, timezone: 'UTC' }));
loop.disable();
await catalog.close();
const measured: Measured = {
  anchors: anchored.value,
  anchorSeconds: anchored.seconds,
  longestAnchorMs: building.max / 1e6,
  threadMonthSeconds: ofMonth.seconds,
  threadYearSeconds: ofYear.seconds,
  eventLoopMaxMs: loop.max / 1e6,
  peakBytes: process.resourceUsage().maxRSS * 1024,
};
console.log(JSON.stringify(measured));

// Child of the prune benchmark: plans everything in the catalog, and says how long it took, how much memory, and how long the loop was held.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { openCatalog } from '../../../src/catalog/open.ts';
import { systemClock } from '../../../src/clock.ts';
import { planShop } from '../../../src/retention/prune.ts';
import { FakeClock } from '../../fake-clock.ts';

export interface Planned {
  readonly shops: number;
  readonly segments: number;
  readonly snapshots: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** Highest resident size of the process, its threads included. */
  readonly peakBytes: number;
  readonly eventLoop: { readonly maxMs: number; readonly p99Ms: number };
  readonly goes: number;
  readonly kept: number;
}

const [dir = ''] = process.argv.slice(2);
const expected = JSON.parse(readFileSync(join(dir, 'expected.json'), 'utf8'));
const catalog = await openCatalog(dir);
const clock = new FakeClock(expected.now);
const loop = monitorEventLoopDelay({ resolution: 1 });
// one turn before anything is measured: what starting took is none of the plan's
await systemClock.sleep(20);
loop.enable();
const before = process.cpuUsage();
const startedMs = systemClock.monotonicMs();
let goes = 0;
let kept = 0;
for (let s = 0; s < expected.shops; s++) {
  const plan = await planShop(catalog, clock, { shop: `shop${String(s).padStart(4, '0')}`, retentionMs: expected.retentionMs });
  goes += plan.deletedObjects;
  kept += plan.kept.length;
}
const seconds = (systemClock.monotonicMs() - startedMs) / 1000;
const cpu = process.cpuUsage(before);
loop.disable();
await catalog.close();
if (goes !== expected.goes || kept !== expected.kept) {
  throw new Error(`${goes} objects go and ${kept} snapshots stay, expected ${expected.goes} and ${expected.kept}`);
}
const planned: Planned = {
  ...{ shops: expected.shops, segments: expected.segments, snapshots: expected.snapshots, seconds },
  cpuSeconds: (cpu.user + cpu.system) / 1e6,
  peakBytes: process.resourceUsage().maxRSS * 1024,
  eventLoop: { maxMs: loop.max / 1e6, p99Ms: loop.percentile(99) / 1e6 },
  ...{ goes, kept },
};
console.log(JSON.stringify(planned));

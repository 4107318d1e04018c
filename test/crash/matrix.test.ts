import { expect, test } from 'vitest';
import { runMatrix } from './matrix.ts';
import { OPERATIONS } from './scenarios.ts';

test('backup, prune, catch-up, rebuild, erase and verify killed before and after effects of each - nothing lost, leaked or risen again', async () => {
  const report = await runMatrix({ runs: 33, seed: 20261123, operations: OPERATIONS, lanes: 2 });
  expect(report.found).toEqual([]);
  // a second kill may come after the end of what it was meant for
  expect(report.runs).toBeGreaterThanOrEqual(33);
  expect(report.points).toBeGreaterThan(500);
  for (const scenario of report.scenarios) expect(scenario.kills, scenario.name).toBeGreaterThan(0);
}, 900_000);

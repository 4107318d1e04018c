import { expect, test } from 'vitest';
import { runMatrix } from './matrix.ts';
import { OPERATIONS } from './scenarios.ts';

test('backup, prune, catch-up, rebuild, erase and verify killed before and after effects of each - nothing lost, leaked or risen again', async () => {
  const report = await runMatrix({ runs: 22, seed: 20261123, operations: OPERATIONS, lanes: 2 });
  expect(report.found).toEqual([]);
  // two of each, and a second one on top of the first
  expect(report.runs).toBeGreaterThanOrEqual(22);
  expect(report.points).toBeGreaterThan(500);
  expect(report.cuts).toBeGreaterThan(5);
  expect(report.restores).toBeGreaterThan(5);
  for (const scenario of report.scenarios) expect(scenario.kills, scenario.name).toBeGreaterThan(0);
}, 900_000);

import { expect, test } from 'vitest';
import { startMariadb } from '../servers/mariadb.ts';
import { runMatrix } from './matrix.ts';
import { OPERATIONS } from './scenarios.ts';

test('backup, prune, catch-up, rebuild, erase, close and verify killed before and after effects of each - nothing lost, leaked or risen again', async () => {
  const mariadb = await startMariadb();
  const report = await runMatrix({ runs: 30, seed: 20261123, operations: OPERATIONS, lanes: 3, mariadb }).finally(() => mariadb.stop());
  expect(report.found).toEqual([]);
  // two of each, in a world of its own or in that of another one
  expect(report.runs).toBeGreaterThanOrEqual(30);
  expect(report.points).toBeGreaterThan(500);
  expect(report.cuts).toBeGreaterThan(5);
  expect(report.restores).toBeGreaterThan(1);
  for (const scenario of report.scenarios) expect(scenario.kills, scenario.name).toBeGreaterThan(0);
}, 900_000);

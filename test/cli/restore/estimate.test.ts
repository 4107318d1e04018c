// What a restore measured is what the next one is predicted from: restore, estimate, status.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeEstimate } from '../../../src/cli/restore/estimate.ts';
import { writeTree } from '../../acceptance/tree.ts';
import { makeWorld, type World } from '../../world/world.ts';

let dir: string;
let world: World;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-test-'));
  writeTree(join(dir, 'shop'), { directories: 20, filesEach: 20 });
  world = await makeWorld({ vaults: ['nas'], files: { root: join(dir, 'shop') } });
  await world.ok(['backup', 'dupont']);
}, 60_000);
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  if (dir) rmSync(dir, { recursive: true, force: true });
});

it('nothing was measured - unknown, which is no success; after a restore about what that took, phase by phase', async () => {
  const before = await world.coffre(['estimate', 'dupont']);
  expect(before).toMatchObject({ status: 1, json: { fit: null, estimate: null } });
  expect(before.json.notMeasured.map(({ phase }: { phase: string }) => phase)).toEqual(['download', 'open', 'write', 'check', 'fixed']);

  const { json: restored } = await world.ok(['restore', 'dupont', '--to-dir', join(dir, 'back')]);
  const [{ durationMs, phases }] = restored.restored;
  expect(phases.map(({ phase }: { phase: string }) => phase)).toEqual(['download', 'open', 'write', 'check', 'fixed']);
  const { json } = await world.ok(['estimate', 'dupont']);
  expect(json).toMatchObject({
    fit: 'yes',
    notMeasured: [],
    estimate: { vault: 'nas', combined: 'single', notIncluded: ['safety', 'finish'] },
  });
  expect(json.estimate.lowMs).toBeLessThan(json.estimate.expectedMs);
  // whole milliseconds of each phase
  expect(Math.abs(json.estimate.expectedMs - durationMs)).toBeLessThan(10 + durationMs * 0.05);
  const { json: status } = await world.coffre(['status', 'dupont']);
  expect(status.shops[0].rto.estimate).toMatchObject({ vault: 'nas', fit: 'yes', expectedMs: json.estimate.expectedMs });
});

describe('as told to people', () => {
  const range = { expectedMs: 7_200_000, lowMs: 5_000_000, highMs: 9_000_000 };
  const phase = { phase: 'download' as const, bytes: 9e9, bytesPerSecond: 1_250_000, measurements: 3, basis: 'host' as const, ...range };
  const base = { shop: 'dupont', targetMs: 3_600_000, calendar: 'business' as const, countedMs: 7_200_000, snapshots: [], notMeasured: [] };

  it('longer than promised - said first, then what takes the time and what would make it faster', () => {
    const text = describeEstimate({
      ...{ ...base, fit: 'no' as const },
      estimate: {
        ...{ vault: 'offsite', ...range, combined: 'summed' as const, notIncluded: ['safety'] as const as ['safety'], phases: [] },
        sources: [{ source: 'files' as const, boundBy: 'download' as const, ...range, phases: [phase] }],
      },
      advice: [
        { kind: 'vault', vault: 'nas', expectedMs: 1_000_000 },
        { kind: 'ballast', expectedMs: 900_000, bytes: 5e8, tables: [{ table: 'ps_guest', bytes: 5e8 }] },
      ],
    });
    expect(text).toMatch(/^dupont: about 2 h.* from offsite: LONGER than the 1 h.* of business hours that the plan promises$/m);
    expect(text).toMatch(/download +9\.0 GB .*1\.3 MB\/s +3, other shops/);
    expect(text).toContain('not in it, never measured: safety copy');
    expect(text).toMatch(/^faster: read from nas first: about 16 min.*--from nas/m);
    expect(text).toMatch(/^faster: database\.profile prestashop-ephemeral leaves out ps_guest \(500\.0 MB\)/m);
  });

  it('never measured - says what', () => {
    const text = describeEstimate({ ...base, fit: null, estimate: null, advice: [], notMeasured: [{ source: 'database', phase: 'load' }] });
    expect(text).toContain('never measured: database: load rows');
  });
});

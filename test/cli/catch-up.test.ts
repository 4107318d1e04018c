// What `coffre catch-up` says: one damaged object of many snapshots is told once.
import { expect, test } from 'vitest';
import type { CatchUpResult } from '../../src/backup/catch-up-result.ts';
import { describeCatchUp } from '../../src/cli/catch-up.ts';

const problem = (key: string) => ({ vault: 'off', key, code: 'E_OBJECT_MISSING', message: `off: ${key} is not there` });
const left = (at: number) => ({
  snapshot: `s${at}`,
  vault: 'nas',
  code: 'E_OBJECT_MISSING',
  message: problem(`k${at % 2}`).message,
  hint: '',
});
const copied = (at: number, mended: string | null) => ({
  ...{ snapshot: `s${at}`, source: 'database', vault: 'nas', mended, objects: 2, bytes: 1000, adopted: 5 },
  lock: { mode: 'COMPLIANCE', retainUntil: `2026-12-${31 - at}T00:00:00Z` },
});
const many = Array.from({ length: 22 }, (_, at) => at);
const said = (result: Partial<CatchUpResult>): string[] =>
  describeCatchUp(
    { ...{ shop: 'dupont', dryRun: false, copied: [], left: [], passed: [], problems: [] }, ...result } as CatchUpResult,
    'UTC',
  ).split('\n');

test('two objects that no vault has, of 22 snapshots - two lines', () => {
  expect(
    said({ left: many.map(left) as unknown as CatchUpResult['left'], problems: [...many, ...many].map((at) => problem(`k${at % 2}`)) }),
  ).toEqual([
    'dupont:',
    '  RED     11 snapshots (the first s0) are not in nas: off: k0 is not there [E_OBJECT_MISSING]',
    '  RED     11 snapshots (the first s1) are not in nas: off: k1 is not there [E_OBJECT_MISSING]',
  ]);
});

test('22 snapshots mended - their sum, with the lock that ends first; those that are brought anew are named', () => {
  expect(said({ copied: many.map((at) => copied(at, 'E_OBJECT_MISSING')) })).toEqual([
    'dupont:',
    '  copied  22 snapshots (the first database s0) to nas: 44 objects, 22.0 kB, 110 were there, COMPLIANCE until 2026-12-10 00:00:00+00:00 (E_OBJECT_MISSING there)',
  ]);
  expect(said({ copied: many.map((at) => copied(at, null)) })).toHaveLength(23);
});

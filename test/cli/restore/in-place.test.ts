// The command line of a restore in place: what goes with what, and what going back would do.
import { expect, test } from 'vitest';
import { checkInPlaceOptions, type RestoreOptions } from '../../../src/cli/restore/in-place.ts';
import { newestSafety, wayBack } from '../../../src/cli/restore/in-place-back.ts';
import { wouldDo } from '../../../src/cli/restore/in-place-plan.ts';
import type { InPlaceOrder, OpenRestore } from '../../../src/restore/in-place.ts';

const check = (options: Partial<RestoreOptions>) => () =>
  checkInPlaceOptions({ inPlace: true, path: [], table: [], ...options } as RestoreOptions);

test('--rollback - says by itself where to: with what chooses something it is refused', () => {
  expect(check({ rollback: true, dryRun: true })).not.toThrow();
  expect(check({ rollback: true, at: '2026-11-20' })).toThrow('leave --at out');
  expect(check({ rollback: true, skipSafety: true })).toThrow('leave --skip-safety out');
  expect(check({ rollback: true, source: 'files', path: ['img'] })).toThrow('leave --path out');
});

test('what it would do - before the swap nothing but clear away; after it tables, then files by the safety snapshot', () => {
  const order = {
    database: { snapshot: 'd', tables: null },
    files: { snapshot: 'f', paths: [], remove: true },
  } as unknown as OpenRestore['order'];
  const safety = { database: 's1', files: 's2' };
  expect(wayBack({ order, safety, swapped: false })).toBe('remove what was loaded beside, and open the shop as it was');
  expect(wayBack({ order, safety, swapped: true })).toBe(
    'put the old tables back, restore what differs of the files from the safety snapshot s2, and open the shop',
  );
  expect(wayBack({ order, safety: null, swapped: true })).toContain('no safety snapshot of them was taken');
});

test('a restore that left no word of its safety snapshots - the newest of each source that are marked as such', () => {
  const of = (id: string, source: 'files' | 'database', purpose: 'safety' | null) => ({ id, source, purpose });
  const listed = [of('d3', 'database', null), of('d2', 'database', 'safety'), of('d1', 'database', 'safety'), of('f1', 'files', null)];
  expect(newestSafety(listed)).toEqual({ database: 'd2', files: null });
});

test('what the restore unit could only call foreign - refused by the command, with what was given', () => {
  expect(check({ domain: 'bad domain!' })).toThrow('"bad domain!" is no host name');
  expect(check({ domain: 'www.dupont.example:8443' })).not.toThrow();
  for (const path of ['', '/etc/passwd', '../x', '.'])
    expect(check({ source: 'files', path: [path] })).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  expect(check({ source: 'files', path: ['img/p', '*.php'] })).not.toThrow();
  expect(check({ source: 'database', table: [''] })).toThrow('name of a table');
});

test('a dry run - says what is closed, for how long, and what goes', () => {
  const order: InPlaceOrder = {
    ...{ request: 'r', shop: 'dupont', from: null, checksum: false, keepSetuid: false, domain: null },
    secrets: 'keep',
    database: { snapshot: 'd', tables: null },
    files: { snapshot: 'f', paths: [], remove: true },
    maintenance: 'at-once',
    safety: 'take',
  };
  const text = wouldDo(order, { expectedMs: 61_000, lowMs: 30_000, highMs: 120_000 }).join('\n');
  expect(text).toContain('safety snapshot of its database and files');
  expect(text).toContain('dupont shows its maintenance page from then on');
  expect(text).toMatch(/about 1 min 1 s \(30\.0 s to 2 min\)/);
  const open = wouldDo({ ...order, files: null, maintenance: 'at-swap', safety: 'skip' }, null).join('\n');
  expect(open).toContain('stays open while all is loaded');
  expect(open).toContain('no way back');
  expect(open).toContain('coffre drill dupont');
});

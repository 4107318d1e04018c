// What a thread asks of the guard: as much is refused as when every member is asked for.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MemberGuard, oneOfEachDirectory } from '../../../src/target/files/member-guard.ts';
import type { Admission } from '../../../src/target/target.ts';

const component = fc.constantFrom('a', 'b', 'c', '..', '.', '');
const path = fc
  .array(fc.oneof({ weight: 30, arbitrary: fc.constantFrom('a', 'b', 'c') }, { weight: 1, arbitrary: component }), {
    minLength: 1,
    maxLength: 4,
  })
  .map((components) => components.join('/'));
const member: fc.Arbitrary<Admission> = fc.record({
  type: fc.constantFrom('file', 'file', 'file', 'directory', 'symlink', 'hardlink', 'fifo'),
  path,
  linkPath: path,
});

function isRefused(batches: readonly (readonly Admission[])[], ask: (batch: readonly Admission[]) => readonly Admission[]): boolean {
  const guard = new MemberGuard();
  try {
    for (const batch of batches) for (const one of ask(batch)) guard.admit(one);
    return false;
  } catch (error) {
    expect(error).toMatchObject({ code: 'E_FORMAT' });
    return true;
  }
}

test('any archives, hostile ones among them - asked for by directories, the same ones are refused', () => {
  fc.assert(
    fc.property(fc.array(fc.array(member, { maxLength: 12 }), { maxLength: 4 }), (batches) => {
      expect(isRefused(batches, oneOfEachDirectory)).toBe(isRefused(batches, (batch) => batch));
    }),
    { numRuns: 3000 },
  );
});

test('many files of few directories - one question for each, and all that is no plain file', () => {
  const file = (name: string): Admission => ({ type: 'file', path: name, linkPath: '' });
  const link: Admission = { type: 'symlink', path: 'a/link', linkPath: 'elsewhere' };
  const asked = oneOfEachDirectory([file('top'), file('a/1'), file('a/2'), link, file('other'), file('a/b/1'), file('a/3')]);
  expect(asked).toEqual([file('top'), file('a/1'), link, file('a/b/1')]);
});

test.each(['../x', 'a/../x', '/x', 'a//x', 'a/./x', 'a/x/..', 'a\0b', ''])(
  'a file %j behind another of its directory - is refused',
  (bad) => {
    const slash = bad.lastIndexOf('/');
    const first: Admission = { type: 'file', path: slash > 0 ? `${bad.slice(0, slash)}/first` : 'first', linkPath: '' };
    expect(() => oneOfEachDirectory([first, { type: 'file', path: bad, linkPath: '' }])).toThrow(
      expect.objectContaining({ code: 'E_FORMAT' }),
    );
  },
);

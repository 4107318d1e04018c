// Paths longer than one argument of a system call: parted so that each piece does for one, and nothing of them is lost.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isDeep, part, stepsTo } from '../../src/host/deep-path.ts';

const component = fc.oneof(
  fc
    .string({ unit: fc.constantFrom('a', '.', '-', '\n', '\\', '"', '\xe9'), minLength: 1, maxLength: 255 })
    .filter((name) => !/^\.\.?$/.test(name)),
  fc.constant('d'.repeat(255)),
);
const path = fc.array(component, { minLength: 1, maxLength: 120 }).map((components) => components.join('/'));

test('any path - its directory and the rest below it are the path, and neither they nor the steps are too long', () => {
  fc.assert(
    fc.property(path, (whole) => {
      const { directory, rest } = part(whole);
      expect(directory === '.' ? rest : `${directory}/${rest}`).toBe(whole);
      const steps = stepsTo(directory);
      expect(steps.length === 0 ? '.' : steps.join('/')).toBe(directory);
      for (const piece of [rest, ...steps]) expect(piece.length).toBeLessThan(2048 + 256);
    }),
    { numRuns: 300 },
  );
});

test('a path at the limit with its root and separator - fits; one byte more - is too deep', () => {
  expect(isDeep(10, 'x'.repeat(4084))).toBe(false);
  expect(isDeep(10, 'x'.repeat(4085))).toBe(true);
});

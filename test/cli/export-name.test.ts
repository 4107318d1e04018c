// What an export may be called: its name says what is in it.
import { expect, test } from 'vitest';
import { isCompressed } from '../../src/cli/export.ts';

test('a name - .tar is plain, .tar.zst compressed, any other is refused', () => {
  expect(isCompressed('/srv/dupont.tar')).toBe(false);
  expect(isCompressed('/srv/dupont.tar.zst')).toBe(true);
  for (const name of ['y.zip', 'y.zst', 'y.tar.gz', 'y', 'tar']) {
    expect(() => isCompressed(`/srv/${name}`)).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  }
});

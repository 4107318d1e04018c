// What tar says on stderr, taken apart.
import { expect, test } from 'vitest';
import { gnuTarVersion, packArguments, parseComplaint, printable, startTar } from '../../src/host/gnu-tar.ts';
import { localHost } from '../../src/host/local.ts';

test.each([
  ['tar: a.log: file changed as we read it', { path: 'a.log', message: 'file changed as we read it' }],
  ['tar: dir/x: File shrank by 5 bytes; padding with zeros', { path: 'dir/x', message: 'File shrank by 5 bytes; padding with zeros' }],
  [
    'tar: a\\:b\\nc\\\\d\\351: Cannot stat: No such file or directory',
    { path: 'a:b\nc\\d\xe9', message: 'Cannot stat: No such file or directory' },
  ],
  ['tar: ./: Cannot open: Permission denied', { path: '.', message: 'Cannot open: Permission denied' }],
  ['tar: Exiting with failure status due to previous errors', null],
  ['something else', { path: null, message: 'something else' }],
])('%s', (line, complaint) => {
  expect(parseComplaint(line)).toEqual(complaint);
});

test('paths for people - UTF-8 stays, other bytes and control characters are escaped', () => {
  expect(printable(Buffer.from('café').toString('latin1'))).toBe('café');
  expect(printable('caf\xe9')).toBe('caf\\351');
  expect(printable('a\nb')).toBe('a\\012b');
});

test('the installed GNU tar - gives its version', async () => {
  expect(await gnuTarVersion(localHost)).toMatch(/^\d+\.\d+/);
});

test('no tar in PATH - is said as such', async () => {
  const path = process.env.PATH;
  process.env.PATH = '/nonexistent';
  try {
    await expect(gnuTarVersion(localHost)).rejects.toMatchObject({ code: 'E_TOOL_MISSING' });
    await expect(startTar(localHost, packArguments('/')).ended).rejects.toMatchObject({ code: 'E_TOOL_MISSING' });
  } finally {
    process.env.PATH = path;
  }
});

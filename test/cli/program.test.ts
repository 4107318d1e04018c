// The frame of the command line: exit statuses, one JSON document, errors with code and hint.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERRORS } from '../../src/errors.ts';
import { tempDir } from '../temp-dir.ts';
import { coffre, coffreJson } from './run-coffre.ts';

describe('usage', () => {
  it('a command that does not exist - status 2, E_USAGE and the nearest one', async () => {
    expect(await coffre(['doctr'])).toEqual({
      status: 2,
      stdout: '',
      stderr: "coffre: unknown command 'doctr' [E_USAGE]\nHINT: Did you mean doctor?\n",
    });
  });

  it('the same with --json, before or after - one document on stdout, nothing on stderr', async () => {
    const expected = { error: { code: 'E_USAGE', message: "unknown command 'doctr'", hint: 'Did you mean doctor?' } };
    expect(await coffreJson(['doctr'])).toMatchObject({ status: 2, stderr: '', json: expected });
    const after = await coffre(['doctr', '--json']);
    expect({ ...after, stdout: JSON.parse(after.stdout) }).toEqual({ status: 2, stderr: '', stdout: expected });
  });

  it.each([
    [['doctor', '--nope']],
    [['keys', 'make', 'a', 'b']],
    [['keys', 'init']],
    [['--log-level', 'loud', 'errors']],
    [['--config']],
    [[]],
    [['errors', 'E_NOPE']],
  ])('%j - status 2 and E_USAGE', async (args) => {
    const { status, stdout, stderr } = await coffre(args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(/coffre: .+ \[E_USAGE\]\nHINT: .+\n$/);
  });

  it('a command that is none, where one is meant by itself - named, with those that are', async () => {
    expect((await coffreJson(['keys', 'init'])).json.error).toMatchObject({
      message: 'unknown command "init" of coffre keys',
      hint: expect.stringContaining('recovery-kit'),
    });
  });

  it('--version and --help - status 0, on stdout; as a document with --json', async () => {
    expect(await coffre(['--version'])).toMatchObject({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), stderr: '' });
    expect(await coffreJson(['--version'])).toMatchObject({ status: 0, json: { version: expect.stringMatching(/^\d/) } });
    expect(await coffreJson(['doctor', '--help'])).toMatchObject({
      status: 0,
      json: { help: expect.stringContaining('Usage: coffre doctor') },
    });
  });
});

describe('errors', () => {
  it('the table - every code with its exit status', async () => {
    const { status, json } = await coffreJson(['errors']);
    expect(status).toBe(0);
    expect(json.errors.map((row: { code: string; exit: number }) => [row.code, row.exit])).toEqual(
      Object.entries(ERRORS).map(([code, kind]) => [code, kind.exit]),
    );
  });

  it('one code - shown alone, whatever its case', async () => {
    const { stdout } = await coffre(['errors', 'e_no_object_lock']);
    expect(stdout.split('\n')).toHaveLength(3);
    expect(stdout).toContain('the bucket has no Object Lock');
  });
});

describe('the configuration', () => {
  it('missing - status 2, E_CONFIG_MISSING, naming the file', async () => {
    const file = join(await tempDir(), 'coffre.yaml');
    expect(await coffreJson(['--config', file, 'doctor'])).toMatchObject({
      status: 2,
      json: { error: { code: 'E_CONFIG_MISSING', message: `no configuration at ${file}` } },
    });
  });

  it('from $COFFRE_CONFIG - used; --config is stronger', async () => {
    const file = join(await tempDir(), 'coffre.yaml');
    expect((await coffre(['doctor'], { env: { COFFRE_CONFIG: file } })).stderr).toContain(`no configuration at ${file}`);
    expect((await coffre(['doctor', '--config', `${file}.other`], { env: { COFFRE_CONFIG: file } })).stderr).toContain(
      `no configuration at ${file}.other`,
    );
  });

  it('wrong - status 2, E_CONFIG with file and line', async () => {
    const file = join(await tempDir(), 'coffre.yaml');
    await writeFile(file, 'encryption: none\nshop: {}\n');
    const { status, stderr } = await coffre(['--config', file, 'keys']);
    expect(status).toBe(2);
    expect(stderr).toContain(`coffre: ${file}:2: shop is not a known key: did you mean shops? [E_CONFIG]`);
  });
});

// Secrets: read from where they are, refused when others could read them.
import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { secretFileProblem, secretFromCredential, secretFromEnvironment, secretFromFile } from '../../src/config/secret.ts';
import { tempDir } from '../temp-dir.ts';

async function secretFile(content: string, mode: number): Promise<string> {
  const file = join(await tempDir(), 'secret');
  await writeFile(file, content);
  await chmod(file, mode);
  return file;
}

const failsWith = (code: string) => expect.objectContaining({ code });

describe('a secret file', () => {
  it.each([0o600, 0o400])('mode %o - read without the newline at its end', async (mode) => {
    const file = await secretFile(' pass word \n', mode);
    expect(secretFromFile(file).read()).toBe(' pass word ');
  });

  it.each([0o640, 0o604, 0o660, 0o644, 0o610])('mode %o - E_SECRET_MODE, its content not in the message', async (mode) => {
    const file = await secretFile('hunter2\n', mode);
    expect(() => secretFromFile(file).read()).toThrow(failsWith('E_SECRET_MODE'));
    expect(() => secretFromFile(file).read()).not.toThrow(/hunter2/);
  });

  it('a link to a file that is too open - E_SECRET_MODE', async () => {
    const file = await secretFile('hunter2\n', 0o644);
    await symlink(file, `${file}.link`);
    expect(() => secretFromFile(`${file}.link`).read()).toThrow(failsWith('E_SECRET_MODE'));
  });

  it.skipIf(process.geteuid?.() !== 0)("another user's file - E_SECRET_MODE", async () => {
    const file = await secretFile('hunter2\n', 0o600);
    await chown(file, 12_345, 12_345);
    expect(() => secretFromFile(file).read()).toThrow(failsWith('E_SECRET_MODE'));
  });

  it('empty, missing, a folder, too large - E_SECRET_MISSING', async () => {
    const file = await secretFile('\n', 0o600);
    expect(() => secretFromFile(file).read()).toThrow(failsWith('E_SECRET_MISSING'));
    expect(() => secretFromFile(`${file}.none`).read()).toThrow(failsWith('E_SECRET_MISSING'));
    await mkdir(`${file}.d`, { mode: 0o700 });
    expect(() => secretFromFile(`${file}.d`).read()).toThrow(failsWith('E_SECRET_MISSING'));
    await writeFile(file, 'x'.repeat(70_000));
    expect(() => secretFromFile(file).read()).toThrow(failsWith('E_SECRET_MISSING'));
  });

  it('rights - judged by group, others and owner', () => {
    expect(secretFileProblem({ mode: 0o100600, uid: 1000 }, 1000)).toBeNull();
    expect(secretFileProblem({ mode: 0o100600, uid: 0 }, 1000)).toBeNull();
    expect(secretFileProblem({ mode: 0o100600, uid: 1001 }, 1000)).toContain('uid 1001');
    expect(secretFileProblem({ mode: 0o100620, uid: 1000 }, 1000)).toContain('0620');
  });
});

describe('a secret file that the unit loads', () => {
  it('a credential named after the path, or after its folder - taken from there, where the file itself need not be readable', async () => {
    const directory = await tempDir();
    const env = { CREDENTIALS_DIRECTORY: directory };
    for (const [path, name] of [
      ['/etc/coffre/secrets/db-1.password', 'etc-coffre-secrets-db\\x2d1.password'],
      ['/etc/coffre/secrets/off site.json', 'etc-coffre-secrets_off site.json'],
    ] as const) {
      await writeFile(join(directory, name), `${name}\n`, { mode: 0o440 });
      expect(secretFromFile(path, env).read()).toBe(name);
    }
    const escaped = execFileSync('systemd-escape', ['--path', '/etc/coffre/.s e-é/x_1'], { encoding: 'utf8' }).trimEnd();
    await writeFile(join(directory, escaped), 'the same name\n');
    expect(secretFromFile('/etc/coffre/.s e-é/x_1', env).read()).toBe('the same name');
  });

  it('no such credential, or an empty one - the file itself', async () => {
    const file = await secretFile('from the file\n', 0o600);
    const directory = await tempDir();
    const env = { CREDENTIALS_DIRECTORY: directory };
    expect(secretFromFile(file, env).read()).toBe('from the file');
    await writeFile(join(directory, execFileSync('systemd-escape', ['--path', file], { encoding: 'utf8' }).trimEnd()), '\n');
    expect(secretFromFile(file, env).read()).toBe('from the file');
  });
});

describe('a systemd credential', () => {
  it('found in $CREDENTIALS_DIRECTORY, whatever mode systemd gave it', async () => {
    const file = await secretFile('hunter2', 0o440);
    const env = { CREDENTIALS_DIRECTORY: join(file, '..') };
    expect(secretFromCredential('secret', env).read()).toBe('hunter2');
  });

  it('started without systemd - E_SECRET_MISSING, with the line that the unit needs', () => {
    expect(() => secretFromCredential('db', {}).read()).toThrow(
      expect.objectContaining({ code: 'E_SECRET_MISSING', hint: expect.stringContaining('LoadCredential=db:') }),
    );
  });
});

describe('an environment variable', () => {
  it('set - read; not set or empty - E_SECRET_MISSING', () => {
    expect(secretFromEnvironment('DB', { DB: 'hunter2' }).read()).toBe('hunter2');
    expect(() => secretFromEnvironment('DB', {}).read()).toThrow(failsWith('E_SECRET_MISSING'));
    expect(() => secretFromEnvironment('DB', { DB: '' }).read()).toThrow(failsWith('E_SECRET_MISSING'));
  });
});

// What bash, zsh and fish offer when the Tab key is pressed, each asked itself.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { coffre } from '../run-coffre.ts';

const run = promisify(execFile);
const top = resolve(import.meta.dirname, '../../..');
const example = join(top, 'config/coffre.example.yaml');
let dir: string;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-completion-'));
  mkdirSync(join(dir, 'bin'));
  symlinkSync(join(top, 'bin/coffre'), join(dir, 'bin/coffre'));
  writeFileSync(join(dir, 'a file.txt'), '');
  mkdirSync(join(dir, 'folder'));
  for (const [shell, name] of [
    ['bash', 'coffre.bash'],
    ['zsh', '_coffre'],
    ['fish', 'coffre.fish'],
  ] as const) {
    const { status, stdout } = await coffre(['completion', shell]);
    expect(status).toBe(0);
    writeFileSync(join(dir, name), stdout);
  }
  env = {
    ...process.env,
    PATH: `${join(dir, 'bin')}:${process.env.PATH}`,
    HOME: dir,
    XDG_CONFIG_HOME: dir,
    XDG_DATA_HOME: dir,
    TERM: 'dumb',
  };
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Each shell's answer to a line whose last word is being typed. */
const SHELLS: Record<string, (words: readonly string[]) => Promise<string[]>> = {
  async bash(words) {
    const { stdout } = await run('bash', ['--norc', join(import.meta.dirname, 'bash-line.bash'), join(dir, 'coffre.bash'), ...words], {
      env,
      cwd: dir,
    });
    return stdout.split('\n').filter((line) => line !== '');
  },
  async zsh(words) {
    const { stdout } = await run('zsh', ['-f', join(import.meta.dirname, 'zsh-line.zsh'), dir, words.join(' ')], {
      env,
      cwd: dir,
      timeout: 60_000,
    });
    return [...stdout.matchAll(/OFFER:([^\r\n]*)/g)].map((match) => match[1] as string);
  },
  async fish(words) {
    const { stdout } = await run(
      'fish',
      ['--no-config', '-c', `source ${join(dir, 'coffre.fish')}; complete -C $argv[1]`, words.join(' ')],
      { env, cwd: dir },
    );
    return stdout
      .split('\n')
      .map((line) => line.split('\t')[0] as string)
      .filter((line) => line !== '');
  },
};

describe.each(Object.entries(SHELLS))('%s', (_shell, offered) => {
  it.each([
    ['the beginning of a command', 're', ['restore', 'reconcile', 'reload', 'request', 'report'], ['restore', 'reconcile']],
    ['a subcommand', 'shop su', ['suspend'], ['suspend']],
    ['options', 'restore dupont --to-d', ['--to-dir', '--to-database'], ['--to-dir', '--to-database']],
    ['a global option after the command', 'restore dupont --conf', ['--config'], ['--config']],
    ['a value out of a few', 'restore dupont --source ', ['database', 'files', 'server'], ['database', 'files', 'server']],
    ['a shop, configuration named before', `--config ${example} backup `, ['dupont', 'martin', 'petit'], ['dupont', 'martin', 'petit']],
    ['a shop, configuration named after', `backup -c ${example} --full m`, ['martin'], ['martin']],
    ['a vault', `-c ${example} restore dupont --from n`, ['nas'], ['nas']],
    ['a vault as argument', `-c ${example} vault prepare o`, ['offsite'], ['offsite']],
    ['no second shop', `-c ${example} backup dupont `, [], []],
    ['a shop without a configuration', '-c missing.yaml backup ', [], []],
  ])('%s - is offered', async (_what, line, allowed, needed) => {
    const words = await offered(['coffre', ...line.split(' ')]);
    // other commands may begin with the same letters one day
    expect(words.filter((word) => word !== '')).toEqual(expect.arrayContaining(needed));
    // where nothing else fits, zsh offers options
    const wanted = allowed.length === 0 ? words.filter((word) => !word.startsWith('-')) : words;
    expect(allowed).toEqual(expect.arrayContaining(wanted));
  });

  it('a file and a folder - names with spaces are one word, a folder option offers no file', async () => {
    const files = await offered(['coffre', 'keys', 'recovery-kit', '--to', 'a']);
    expect(files.map((file) => file.replaceAll('\\', ''))).toEqual(['a file.txt']);
    const folders = await offered(['coffre', 'restore', 'dupont', '--to-dir', '']);
    expect(folders.map((folder) => folder.replace(/\/$/, ''))).toEqual(expect.arrayContaining(['bin', 'folder']));
    expect(folders.join()).not.toContain('.txt');
  });
});

it('with --json - the script, and every command, argument and option as data', async () => {
  const { stdout } = await coffre(['--json', 'completion', 'bash']);
  const { shell, script, program } = JSON.parse(stdout);
  expect(shell).toBe('bash');
  expect(script).toContain('complete -F _coffre coffre');
  const names = program.commands.map(({ name }: { name: string }) => name);
  expect(names).toEqual(expect.arrayContaining(['backup', 'completion', 'errors']));
  expect(names).not.toContain('completion-words');
  const restore = program.commands.find(({ name }: { name: string }) => name === 'restore');
  expect(restore.arguments).toEqual([expect.objectContaining({ name: 'shop', required: true, words: { kind: 'shops' } })]);
  expect(restore.options).toContainEqual(expect.objectContaining({ long: '--to-dir', value: expect.objectContaining({ name: 'dir' }) }));
  expect(restore.after).toContain('coffre restore dupont');
});

// init on a terminal (a real one, made by script(1)): asks, takes defaults, and leaves nothing behind when it is left.
import { spawn } from 'node:child_process';
import { mkdir, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { PRESTASHOP, write } from '../source/shop/places.ts';
import { tempDir } from '../temp-dir.ts';

const COFFRE = resolve(import.meta.dirname, '../../bin/coffre');

/** Answers question after question; gives back all that the terminal showed. */
async function converse(config: string, answers: readonly string[]): Promise<{ status: number | null; shown: string }> {
  const child = spawn('script', ['-qec', `${COFFRE} --config ${config} init`, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH ?? '', TERM: 'xterm', TZ: 'UTC' },
  });
  let shown = '';
  let asked = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
    // readline clears the line before each question and moves the cursor behind it when it waits
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the terminal's own language
    const questions = shown.match(/\u001b\[0J[^\u001b]*: \u001b\[\d+G/g)?.length ?? 0;
    for (; asked < questions; asked += 1) child.stdin.write(answers[asked] ?? '\r');
  });
  const status = await new Promise<number | null>((done, failed) => {
    child.once('error', failed);
    child.once('close', done);
  });
  return { status, shown };
}

describe('questions on a terminal', () => {
  it('answered - the configuration holds the answers, and the defaults where there was none', async () => {
    const dir = await tempDir();
    await mkdir(join(dir, 'www'));
    const config = join(dir, 'etc/coffre.yaml');
    const answers = ['Europe/Paris', join(dir, 'state'), '', '30d', join(dir, 'nas'), '', 'dupont', '', join(dir, 'www'), '', '', '', ''];
    const { status, shown } = await converse(
      config,
      answers.map((answer) => `${answer}\r`),
    );
    expect(status).toBe(1); // doctor: the password's file is not there yet
    expect(shown).toContain('PRINT THE RECOVERY KIT NOW');
    expect(shown).not.toContain('AGE-SECRET-KEY');
    const loaded = loadConfig(config, {});
    expect(loaded).toMatchObject({ timezone: 'Europe/Paris', stateDir: join(dir, 'state') });
    expect(loaded.shops.get('dupont')).toMatchObject({
      plan: { retentionMs: 30 * 86_400_000 },
      vaults: ['nas'],
      database: { name: 'dupont', user: 'coffre', socketPath: '/run/mysqld/mysqld.sock' },
      files: { root: join(dir, 'www') },
    });
  });

  it('a shop on another host - its SSH is asked for, and its files are not looked for on this machine', async () => {
    const dir = await tempDir();
    const config = join(dir, 'etc/coffre.yaml');
    const place = ['UTC', join(dir, 'state'), '', '', join(dir, 'nas'), '', 'martin', '127.0.0.1', 'backup', '', '', '/var/www/martin', ''];
    const { shown } = await converse(
      config,
      place.map((answer) => `${answer}\r`),
    );
    expect(shown).toContain('RED');
    expect(loadConfig(config, {}).shops.get('martin')).toMatchObject({
      host: { type: 'ssh', host: '127.0.0.1', port: 22, user: 'backup', knownHostsFile: join(dir, 'etc/known_hosts') },
      files: { root: '/var/www/martin', profile: 'prestashop' },
      database: { fromShop: true },
    });
  });

  it('a shop one folder below what was typed - found, and its database taken from it on Enter; or typed after no', async () => {
    for (const [taken, more, database] of [
      ['', [], { fromShop: true }],
      ['no', ['other', '', '', ''], { name: 'other', user: 'coffre' }],
    ] as const) {
      const dir = await tempDir();
      write(join(dir, 'client/www'), PRESTASHOP['8.1.2']);
      const config = join(dir, 'etc/coffre.yaml');
      const place = ['UTC', join(dir, 'state'), '', '', join(dir, 'nas'), '', 'dupont', ''];
      const answers = [...place, join(dir, 'client'), '', taken, ...more];
      const { shown } = await converse(
        config,
        answers.map((answer) => `${answer}\r`),
      );
      expect(shown).toContain(`There is no shop, but PrestaShop 8.1.2 at ${join(dir, 'client/www')}.`);
      expect(shown).toContain(`Its database, by ${join(dir, 'client/www/app/config/parameters.php')}: ps as ps at 127.0.0.1.`);
      expect(shown).not.toContain("p'w");
      expect(loadConfig(config, {}).shops.get('dupont')).toMatchObject({
        files: { root: join(dir, 'client/www'), profile: 'prestashop' },
        database,
      });
    }
  }, 60_000);

  it('wrong answers - each is asked again at once, the others are kept', async () => {
    const dir = await tempDir();
    await mkdir(join(dir, 'www'));
    const config = join(dir, 'etc/coffre.yaml');
    const place = ['Paris', 'Europe/Paris', join(dir, 'state'), '', '14', '9000d', '30d', join(dir, 'nas')];
    const s3 = ['s3.example.net', 'http://127.0.0.1:9', '', '', '', 'NONE', 'GOVERNANCE', ''];
    const shop = ['Du Pont', 'dupont', '', join(dir, 'www'), '', '', '', ''];
    const { shown } = await converse(
      config,
      [...place, ...s3, ...shop].map((answer) => `${answer}\r`),
    );
    for (const said of ['a time zone is expected', 'a duration with its unit', 'COMPLIANCE or GOVERNANCE is expected', 'not a good name']) {
      expect(shown).toContain(said);
    }
    expect(shown).not.toMatch(/:\d+: (timezone|plans|shops)/);
    const loaded = loadConfig(config, {});
    expect(loaded).toMatchObject({ timezone: 'Europe/Paris', stateDir: join(dir, 'state') });
    expect(loaded.vaults.get('offsite')).toMatchObject({ endpoint: 'http://127.0.0.1:9', bucket: 'coffre' });
    expect(loaded.shops.get('dupont')).toMatchObject({ plan: { retentionMs: 30 * 86_400_000 }, files: { root: join(dir, 'www') } });
  });

  it.each([
    ['Ctrl-C', '\u0003'],
    ['Ctrl-D', '\u0004'],
  ])('%s at the third question - E_INTERRUPTED, nothing written', async (_key, byte) => {
    const dir = await tempDir();
    const { status, shown } = await converse(join(dir, 'etc/coffre.yaml'), ['\r', '\r', byte]);
    expect(status).toBe(1);
    expect(shown).toContain('[E_INTERRUPTED]');
    expect(await readdir(dir)).toEqual([]);
  });
});

// init on a terminal (a real one, made by script(1)): asks, takes defaults, and leaves nothing behind when it is left.
import { spawn } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { startMariadb } from '../../servers/mariadb.ts';
import { freshBucket } from '../../servers/s3.ts';
import { PRESTASHOP, parameters, write } from '../../source/shop/places.ts';
import { tempDir } from '../../temp-dir.ts';

const COFFRE = resolve(import.meta.dirname, '../../../bin/coffre');

/** Answers question after question; gives back all that the terminal showed. `shops`: where it looks for some. `rest`: to what is asked beyond. */
async function converse(
  config: string,
  answers: readonly string[],
  shops = join(config, 'nowhere'),
  rest = '\r',
): Promise<{ status: number | null; shown: string }> {
  const child = spawn('script', ['-qec', `${COFFRE} --config ${config} init --find-shops ${shops}`, '/dev/null'], {
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
    for (; asked < questions; asked += 1) child.stdin.write(answers[asked] ?? rest);
  });
  const status = await new Promise<number | null>((done, failed) => {
    child.once('error', failed);
    child.once('close', done);
  });
  return { status, shown };
}

/** A folder of another file system than that of `dir`, as far as the machine has one. */
function otherDisk(dir: string): string {
  return ['/dev/shm', '/var/tmp', '/tmp'].find((other) => statSync(other).dev !== statSync(dir).dev) ?? dir;
}

describe('questions on a terminal', () => {
  it('answered - the configuration holds the answers, and the defaults where there was none', async () => {
    const dir = await tempDir();
    await mkdir(join(dir, 'www'));
    const config = join(dir, 'etc/coffre.yaml');
    const answers = [
      'Europe/Paris',
      join(dir, 'state'),
      '',
      '30d',
      '',
      join(dir, 'nas'),
      '',
      'dupont',
      '',
      join(dir, 'www'),
      '',
      '',
      '',
      '',
      '',
    ];
    const { status, shown } = await converse(
      config,
      answers.map((answer) => `${answer}\r`),
      join(dir, 'nowhere'),
      // whether to look again, when everything is written: left by Ctrl-D
      '\u0004',
    );
    expect(status).toBe(1); // doctor: the password's file is not there yet
    expect(shown).toContain('Look again');
    expect(shown).not.toContain('E_INTERRUPTED');
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
    const place = [
      'UTC',
      join(dir, 'state'),
      '',
      '',
      'business',
      'CH-VD',
      join(dir, 'nas'),
      '',
      'martin',
      '127.0.0.1',
      'backup',
      '',
      '',
      '/var/www/martin',
      '',
    ];
    const { shown } = await converse(
      config,
      place.map((answer) => `${answer}\r`),
    );
    expect(shown).toContain('RED');
    expect(loadConfig(config, {}).shops.get('martin')).toMatchObject({
      host: { type: 'ssh', host: '127.0.0.1', port: 22, user: 'backup', knownHostsFile: join(dir, 'etc/known_hosts') },
      files: { root: '/var/www/martin', profile: 'prestashop' },
      database: { fromShop: true },
      plan: { rto: { calendar: 'business', country: 'CH-VD' } },
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
      const place = ['UTC', join(dir, 'state'), '', '', '', join(dir, 'nas'), '', 'dupont', ''];
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
    const place = ['Paris', 'Europe/Paris', join(dir, 'state'), '', '14', '9000d', '30d', 'sometimes', '', join(dir, 'nas')];
    const s3 = ['s3.example.net', 'http://127.0.0.1:9', '', '', '', 'NONE', 'GOVERNANCE', '', ''];
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

  it('a machine with shops, a bucket and a second disk - from nothing to a green doctor; what was typed in secret is in its file alone', async () => {
    const server = await startMariadb();
    onTestFinished(() => server.stop());
    const dir = await tempDir();
    const bucket = await freshBucket();
    const nas = await tempDir(otherDisk(dir));
    await server.createDatabase('ps', { user: 'ps', password: 'shop' });
    const database = {
      database_host: '127.0.0.1',
      database_port: String(server.port),
      database_name: 'ps',
      database_user: 'ps',
      database_password: 'shop',
    };
    for (const name of ['dupont', 'martin', 'durand']) {
      write(join(dir, 'www', name), { ...PRESTASHOP['8.1.2'], 'app/config/parameters.php': parameters(database) });
    }
    const config = join(dir, 'etc/coffre.yaml');
    const { endpoint, region, accessKey, secretKey } = bucket.store;
    const s3 = [endpoint, region, bucket.name, '', 'GOVERNANCE', '', accessKey, secretKey];
    const answers = ['Europe/Paris', join(dir, 'state'), '', '', '', join(nas, 'vault'), ...s3, '1 4', '1, 3', '', 'shop-martin'];
    const { status, shown } = await converse(
      config,
      answers.map((answer) => `${answer}\r`),
      join(dir, 'www'),
    );
    expect(shown).toContain('PrestaShop 8.1.2, database ps');
    expect(shown).toContain('numbers from 1 to 3 are expected');
    expect(shown).toContain(`aws s3api create-bucket --bucket ${bucket.name} --object-lock-enabled-for-bucket --endpoint-url ${endpoint}`);
    expect(shown).not.toContain(secretKey);
    expect(shown).toContain(' backup dupont ');
    expect(shown).not.toMatch(/\bred\b/i);
    expect(status).toBe(0);
    const credentials = join(dir, 'etc/secrets/offsite.json');
    expect(JSON.parse(readFileSync(credentials, 'utf8'))).toEqual({ accessKeyId: accessKey, secretAccessKey: secretKey });
    expect(statSync(credentials).mode & 0o777).toBe(0o600);
    expect([...loadConfig(config, {}).shops.values()]).toMatchObject([
      {
        name: 'dupont',
        vaults: ['nas', 'offsite'],
        files: { root: join(dir, 'www/dupont'), profile: 'prestashop' },
        database: { fromShop: true },
      },
      { name: 'shop-martin', files: { root: join(dir, 'www/martin') } },
    ]);
  }, 120_000);

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

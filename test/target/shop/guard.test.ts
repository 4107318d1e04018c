// The guard before a shop's entry points: what it shows, whom it lets through, and that a kill at any point leaves it closed or whole.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { localHost } from '../../../src/host/local.ts';
import { type Entry, lookAtEntries, placeGuards, removeGuards, stepToGuard, stepToOpen } from '../../../src/target/shop/guard.ts';
import { CHECK_ADDRESS, GUARD_PREFIX, GUARDED, guardText, keptOf } from '../../../src/target/shop/guard-page.ts';
import { type PhpFront, startPhpFront } from '../../servers/php-front.ts';
import { tempDir } from '../../temp-dir.ts';

const PATHS = GUARDED.prestashop;
const TOKEN = 'one-time';
const PASS = 'f69ddcc92c44eb5a38d0e9d9f1b1da4e8b1d5d5b9b5b5b5b5b5b5b5b5b5b5b5b';

function tree(root: string): void {
  mkdirSync(join(root, 'config'), { recursive: true });
  writeFileSync(
    join(root, 'index.php'),
    "<?php\nrequire dirname(__FILE__).'/config/config.inc.php';\necho 'shop '.$_SERVER['REMOTE_ADDR'].($_SERVER['HTTP_X_FORWARDED_FOR'] ?? '');\n",
  );
  writeFileSync(join(root, 'config/config.inc.php'), '<?php $configured = true;\n');
  writeFileSync(join(root, 'cron.php'), "<?php require 'config/config.inc.php'; echo 'cron';\n");
}

const left = (root: string): string[] =>
  [root, join(root, 'config')].flatMap((folder) => readdirSync(folder)).filter((name) => name.startsWith('.coffre'));

describe('what is to be done about an entry point', () => {
  const entry = (is: Entry['is'], says: string | null = null, kept: readonly string[] = []): Entry => ({
    path: 'index.php',
    is,
    says,
    kept,
  });
  const options = { always: true, again: false, fresh: 'fresh' };

  it.each([
    ['a real file - it is kept', entry('real'), { do: 'keep', kept: 'fresh' }],
    ['a real file that was written over a guard - the newer one is kept', entry('real', null, ['old']), { do: 'keep', kept: 'fresh' }],
    ['a guard that stands - nothing', entry('guard', 'a', ['a']), { do: 'nothing' }],
    ['a guard, and a newer real file beside it - that one counts', entry('guard', 'a', ['b', 'a']), { do: 'write', kept: 'b' }],
    ['a guard whose file is still to come - it stays', entry('guard', 'a'), { do: 'nothing' }],
    ['a file that was moved away by a killed one - the guard names it', entry('missing', null, ['a']), { do: 'write', kept: 'a' }],
    ['nothing at all - a guard that keeps nothing', entry('missing'), { do: 'write', kept: null }],
    ['its folder is behind a link - nothing', entry('away'), { do: 'nothing' }],
  ] as const)('%s', (_, found, step) => expect(stepToGuard(found, options)).toEqual(step));

  it('a staged tree without the file - none is made, it would hide the root’s', () => {
    expect(stepToGuard(entry('missing'), { ...options, always: false })).toEqual({ do: 'nothing' });
  });

  it.each([
    ['a guard with its file - the file comes back', entry('guard', 'a', ['a']), { do: 'put back', kept: 'a' }],
    ['a guard with two files - the newest', entry('guard', 'a', ['b', 'a']), { do: 'put back', kept: 'b' }],
    ['a guard that never kept anything - it goes', entry('guard'), { do: 'put back', kept: null }],
    ['a guard whose file is gone - lost', entry('guard', 'a'), { do: 'lost' }],
    ['the real file - nothing', entry('real', null, ['a']), { do: 'nothing' }],
    ['no file, but a kept one - it comes back', entry('missing', null, ['a']), { do: 'put back', kept: 'a' }],
  ] as const)('opening: %s', (_, found, step) => expect(stepToOpen(found)).toEqual(step));
});

describe('a guard’s text', () => {
  it('says what it keeps; other lines are none', () => {
    expect(keptOf(guardText({ kept: '.coffre-kept-1-index.php', passSha256: null }).split('\n')[0] ?? '')).toBe('.coffre-kept-1-index.php');
    expect(keptOf(guardText({ kept: null, passSha256: PASS }).split('\n')[0] ?? '')).toBeNull();
    expect(keptOf('<?php')).toBeUndefined();
  });
});

describe('guards in a tree behind a web server', () => {
  let front: PhpFront;
  let root: string;

  beforeAll(async () => {
    root = execFileSync('mktemp', ['-d', join(process.env.TMPDIR ?? '/tmp', 'coffre-test-XXXXXX')], { encoding: 'utf8' }).trim();
    tree(root);
    front = await startPhpFront(root);
  });
  afterAll(async () => {
    await front?.stop();
    execFileSync('rm', ['-rf', root]);
  });

  it('every PHP page is 503 in French and English, files are served; a token gets through from an address of no client; opened, all is as before', async () => {
    const inode = statSync(join(root, 'index.php')).ino;
    const { createHash } = await import('node:crypto');
    const passSha256 = createHash('sha256').update(TOKEN).digest('hex');
    expect((await front.get()).body).toBe('shop 127.0.0.1');

    expect(await placeGuards(localHost, root, PATHS, { always: true })).toEqual({
      changed: true,
      detail: 'guard before index.php, config/config.inc.php',
    });
    for (const path of ['/', '/index.php', '/index.php?fc=module&module=x', '/cron.php', '/config/config.inc.php']) {
      const page = await front.get(path);
      expect(page).toMatchObject({ status: 503, headers: { 'retry-after': '600', 'x-coffre-guard': '1', 'cache-control': 'no-store' } });
      expect(page.body).toContain('Nous revenons bientôt');
      expect(page.body).toContain('We will be back soon');
      expect(page.body).not.toMatch(/Warning|Notice|Fatal/);
    }
    expect((await front.get('/', { headers: { 'x-coffre-check': TOKEN } })).status).toBe(503);
    expect(await placeGuards(localHost, root, PATHS, { always: true })).toMatchObject({ changed: false });

    await placeGuards(localHost, root, PATHS, { always: false, passSha256 });
    const headers = { 'x-coffre-check': TOKEN, 'x-forwarded-for': '9.9.9.9' };
    expect(await front.get('/', { headers })).toMatchObject({ status: 200, body: `shop ${CHECK_ADDRESS}` });
    expect((await front.get('/', { headers: { 'x-coffre-check': 'other' } })).status).toBe(503);
    expect((await front.get()).status).toBe(503);
    await placeGuards(localHost, root, PATHS, { always: false, passSha256: null });
    expect((await front.get('/', { headers })).status).toBe(503);

    expect(() => execFileSync('php', ['-n', join(root, 'cron.php')], { stdio: 'pipe' })).toThrow(/being restored/);
    expect((await removeGuards(localHost, root, PATHS)).detail).toBe('no guard any more before config/config.inc.php, index.php');
    expect(await front.get()).toMatchObject({ status: 200, body: 'shop 127.0.0.1' });
    expect(statSync(join(root, 'index.php')).ino).toBe(inode);
    expect(left(root)).toEqual([]);
    expect(await removeGuards(localHost, root, PATHS)).toMatchObject({ changed: false });
  });

  it('clients who ask all the time while it comes and goes - the whole page or the whole guard, nothing else', async () => {
    let over = false;
    const seen = new Set<string>();
    const clients = [1, 2].map(async () => {
      while (!over) {
        const { status, body } = await front.get();
        seen.add(status === 503 && body.includes('</html>') ? 'guard' : `${status} ${body}`);
      }
    });
    try {
      for (let i = 0; i < 8; i++) {
        await placeGuards(localHost, root, PATHS, { always: true });
        await removeGuards(localHost, root, PATHS);
      }
    } finally {
      over = true;
      await Promise.all(clients);
    }
    expect([...seen].sort()).toEqual(['200 shop 127.0.0.1', 'guard']);
  });

  it('killed between any two steps of a script - closed or as before, and the same again comes to its end', async () => {
    const dir = await tempDir();
    const steps = new Set<string>();
    for (const work of ['place', 'remove'] as const) {
      for (let line = 1; line < 40; line++) {
        const at = join(dir, `${work}${line}`);
        tree(at);
        if (work === 'remove') await placeGuards(localHost, at, PATHS, { always: true });
        const mortal = hostThatDiesBeforeCommand(line);
        const run = (host: typeof localHost) =>
          work === 'place' ? placeGuards(host, at, PATHS, { always: true }) : removeGuards(host, at, PATHS);
        const died = await run(mortal).then(
          () => false,
          () => true,
        );
        const index = readFileSync(join(at, 'index.php'), 'utf8');
        const guarded = index.startsWith('<?php /* coffre-guard 1 kept=');
        steps.add(`${work} ${guarded}`);
        expect(guarded || index.startsWith('<?php\nrequire')).toBe(true);
        // whatever was said before: it can be gone on with, and gone back from
        await run(localHost);
        if (work === 'place') expect((await lookAtEntries(localHost, at, PATHS)).map(({ is }) => is)).toEqual(['guard', 'guard']);
        await removeGuards(localHost, at, PATHS);
        expect(readFileSync(join(at, 'index.php'), 'utf8')).toMatch(/^<\?php\nrequire/);
        expect(readFileSync(join(at, 'config/config.inc.php'), 'utf8')).toMatch(/^<\?php \$configured/);
        expect(left(at)).toEqual([]);
        if (!died) break;
      }
    }
    expect([...steps].sort()).toEqual(['place false', 'place true', 'remove false', 'remove true']);
  });

  it('what is staged with its own guards is moved in, file by file in any order - closed all the time, the new files come out', async () => {
    const dir = await tempDir();
    for (const guardFirst of [true, false]) {
      const live = join(dir, `live${guardFirst}`);
      const staged = join(dir, `staged${guardFirst}`);
      for (const at of [live, staged]) tree(at);
      writeFileSync(join(staged, 'index.php'), '<?php\n// new\n');
      await placeGuards(localHost, live, PATHS, { always: true });
      await placeGuards(localHost, staged, PATHS, { always: false });
      const names = readdirSync(staged).filter((name) => name.endsWith('index.php'));
      for (const name of guardFirst ? names.sort().reverse() : names.sort()) {
        renameSync(join(staged, name), join(live, name));
        expect(readFileSync(join(live, 'index.php'), 'utf8')).toContain('coffre-guard');
        expect((await placeGuards(localHost, live, PATHS, { always: true })).detail).toBeTypeOf('string');
      }
      await removeGuards(localHost, live, PATHS);
      expect(readFileSync(join(live, 'index.php'), 'utf8')).toContain('// new');
      expect(left(live)).toEqual([]);
    }
  });

  it('a tree without index.php - guarded, and without one again; a staged one - left alone', async () => {
    const at = await tempDir();
    mkdirSync(join(at, 'config'));
    expect((await placeGuards(localHost, at, PATHS, { always: false })).changed).toBe(false);
    await placeGuards(localHost, at, PATHS, { always: true });
    expect(readFileSync(join(at, 'index.php'), 'utf8')).toContain('kept=none');
    await removeGuards(localHost, at, PATHS);
    expect(existsSync(join(at, 'index.php'))).toBe(false);
  });

  it.skipIf(process.getuid?.() !== 0)('a tree of somebody else, as root - the guard is that user’s, and all may read it', async () => {
    const at = await tempDir();
    tree(at);
    chownSync(join(at, 'index.php'), 33, 34);
    chmodSync(join(at, 'index.php'), 0o600);
    await placeGuards(localHost, at, PATHS, { always: true });
    expect(statSync(join(at, 'index.php'))).toMatchObject({ uid: 33, gid: 34, mode: 0o100644 });
    await removeGuards(localHost, at, PATHS);
    expect(statSync(join(at, 'index.php'))).toMatchObject({ uid: 33, gid: 34, mode: 0o100600 });
  });

  it('the real file is gone - E_SHOP_GUARD names it, and nothing is opened', async () => {
    const at = await tempDir();
    tree(at);
    await placeGuards(localHost, at, PATHS, { always: true });
    const kept = readdirSync(at).find((name) => name.startsWith(GUARD_PREFIX)) ?? '';
    renameSync(join(at, kept), join(at, 'elsewhere.php'));
    await expect(removeGuards(localHost, at, PATHS)).rejects.toMatchObject({
      code: 'E_SHOP_GUARD',
      message: expect.stringContaining('index.php'),
    });
    expect(readFileSync(join(at, 'config/config.inc.php'), 'utf8')).toContain('coffre-guard');
  });

  it('folders behind links are not entered; index.php that is a link is kept as that link', async () => {
    const dir = await tempDir();
    const at = join(dir, 'shop');
    tree(at);
    renameSync(join(at, 'config'), join(dir, 'outside'));
    symlinkSync('../outside', join(at, 'config'));
    renameSync(join(at, 'index.php'), join(dir, 'front.php'));
    symlinkSync('../front.php', join(at, 'index.php'));
    expect((await placeGuards(localHost, at, PATHS, { always: true })).detail).toBe('guard before index.php');
    expect(readFileSync(join(dir, 'outside/config.inc.php'), 'utf8')).toContain('$configured');
    expect(readFileSync(join(dir, 'front.php'), 'utf8')).not.toContain('coffre');
    await removeGuards(localHost, at, PATHS);
    expect(execFileSync('readlink', [join(at, 'index.php')], { encoding: 'utf8' }).trim()).toBe('../front.php');
  });
});

/** Every script ends before its command of that number, as a kill of the host's shell would end it: no trap runs. */
function hostThatDiesBeforeCommand(number: number): typeof localHost {
  let left = number;
  return {
    ...localHost,
    start(argv, signal) {
      const [sh, dashC, script = '', ...args] = argv;
      const body = script.slice(script.indexOf('enter "$1"'));
      if (sh !== 'sh' || !body.startsWith('enter "$1"\n')) return localHost.start(argv, signal);
      const lines = body.split('\n');
      const cut = Math.min(left, lines.length);
      left -= cut;
      if (cut === lines.length) return localHost.start(argv, signal);
      const head = script.slice(0, script.indexOf('enter "$1"'));
      return localHost.start([sh, dashC as string, `${head}${lines.slice(0, cut).join('\n')}\nkill -KILL $$`, ...args], signal);
    },
  };
}

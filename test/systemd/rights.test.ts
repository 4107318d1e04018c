// What the units' rights allow and what they do not, tried with real users, capabilities and mount namespaces.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { bash } from '../source/files/tree.ts';
import { COFFRE, DAEMON, listen, makeSetting, OWNER, run, type Setting } from './setting.ts';

// each starts coffre several times
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

/** Between two users it has all capabilities still; what it becomes is looked at. */
const SETPRIV = '/usr/bin/setpriv';
const isRoot = process.geteuid?.() === 0;
let setting: Setting;
let snapshot: string;

const coffre = (...args: string[]): string[] => [COFFRE, '--config', setting.configFile, '--json', ...args];

async function until(what: string, holds: () => boolean): Promise<void> {
  const giveUpAt = systemClock.monotonicMs() + 300_000;
  while (!holds()) {
    if (systemClock.monotonicMs() > giveUpAt) throw new Error(`waited in vain for ${what}`);
    await systemClock.sleep(10);
  }
}

/** Restores as root does; `ask` may look at what runs meanwhile. */
async function inPlace(peer: number, ...more: string[]) {
  using _ = listen(setting, peer);
  await until('the socket', () => existsSync(setting.socket));
  const said = await run(coffre('restore', 'dupont', '--in-place', '--source', 'files', '--skip-safety', ...more));
  return { ...said, json: JSON.parse(said.stdout) };
}

describe.skipIf(!isRoot)('the rights of the units', () => {
  beforeAll(async () => {
    setting = await makeSetting();
    const said = await setting.asDaemon(coffre('backup', 'dupont'));
    expect(said.status, said.stdout + said.stderr).toBe(0);
    snapshot = JSON.parse(said.stdout).snapshots[0].id;
  });
  afterAll(() => setting?.[Symbol.dispose]());

  test('the daemon’s user with its one capability - backs up a tree of mode 0700 that is another user’s', async () => {
    const shown = await setting.asDaemon(coffre('show', snapshot));
    expect(JSON.parse(shown.stdout)).toMatchObject({ snapshot: { state: 'good', files: 4, directories: 4 } });
    expect(statSync(join(setting.dir, 'state/catalog.db')).uid).toBe(DAEMON);
  });

  test.for([
    ['a new file', 'touch "$ROOT/new"'],
    ['another content', 'echo altered > "$ROOT/index.php"'],
    ['a removal', 'rm -f "$ROOT/index.php"'],
    ['another mode', 'chmod 777 "$ROOT/index.php"'],
    ['another owner', 'chown "$(id -u)" "$ROOT/index.php"'],
    ['a rename of the tree', 'mv "$ROOT" "$ROOT.old"'],
    ['a hard link out of it', 'ln "$ROOT/secret" "$STATE/mine"'],
    ['another user', 'setpriv --reuid=0 --clear-groups true'],
    ['a mount over it', 'mount -t tmpfs none "$ROOT"'],
    ['another root', 'chroot / true'],
  ] as const)('the daemon tries %s - refused, the tree is as it was', async ([, command]) => {
    const look = (): string => bash('cd "$ROOT/.." && find . -printf "%p %m %u %g %s %T@ %n\\n" | sort', { ROOT: setting.root });
    const before = look();
    const script = `ROOT='${setting.root}' STATE='${join(setting.dir, 'state')}'; ${command}`;
    expect((await setting.asDaemon(['sh', '-c', script])).status).not.toBe(0);
    expect(look()).toBe(before);
  });

  test('the daemon tries to read an identity - it is not there, neither by its path nor through another process, nor can the mount be taken away', async () => {
    const identity = join(setting.identities, 'dupont.key');
    // what makes hiding it necessary: the capability reads every file, root's of mode 0600 too
    expect((await setting.withCapabilityAlone(['cat', identity])).stdout).toContain('AGE-SECRET-KEY-1');
    for (const argv of [
      ['cat', identity],
      ['cat', `/proc/1/root${identity}`],
      ['cat', `/proc/${process.pid}/root${identity}`],
      ['sh', '-c', `umount '${setting.identities}' && cat '${identity}'`],
      ['nsenter', `--mount=/proc/${process.pid}/ns/mnt`, 'cat', identity],
      ['unshare', '--mount', 'sh', '-c', `umount '${setting.identities}'; cat '${identity}'`],
    ]) {
      const said = await setting.asDaemon(argv);
      expect(said.stdout + said.stderr, argv.join(' ')).not.toContain('AGE-SECRET-KEY-1');
      expect(said.status, argv.join(' ')).not.toBe(0);
    }
    const restored = await setting.asDaemon(
      coffre('restore', 'dupont', '--source', 'files', '--to-dir', join(setting.dir, 'state/stolen')),
    );
    expect(JSON.parse(restored.stdout).error.code).toBe('E_KEY');
  });

  test('root’s command works as the daemon’s user, beside a daemon that somebody else controls - out of its reach, identities included', async () => {
    const looking = `cat /proc/$0/root${join(setting.identities, 'dupont.key')}`;
    const beside = async (capabilities: string): Promise<string> => {
      const become = ['inh-caps', 'ambient-caps'].map((set) => `--${set}=-all,${capabilities}`);
      const child = spawn('setpriv', [`--reuid=${DAEMON}`, `--regid=${DAEMON}`, '--clear-groups', ...become, '--', 'sleep', '60']);
      try {
        await until('the other process', () => readFileSync(`/proc/${child.pid}/cmdline`, 'latin1').startsWith('sleep'));
        return (await setting.asDaemon(['sh', '-c', looking, String(child.pid)])).stdout;
      } finally {
        child.kill();
      }
    };
    // why it matters: a process like the daemon in everything but what it sees
    expect(await beside('+dac_read_search')).toContain('AGE-SECRET-KEY-1');
    expect(await beside('+dac_read_search,+wake_alarm')).toBe('');
    // and that is what root's commands have
    const doctor = run(coffre('doctor'));
    let capabilities = '';
    await until('the command', () => {
      for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
        try {
          const status = readFileSync(`/proc/${pid}/status`, 'latin1');
          const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
          if (
            !line.startsWith(SETPRIV) &&
            line.includes(setting.configFile) &&
            line.includes('main.ts') &&
            status.includes(`\nUid:\t${DAEMON}\t`)
          )
            capabilities = /^CapPrm:\t(\w+)/m.exec(status)?.[1] ?? '';
        } catch {
          // it ended meanwhile
        }
      }
      return capabilities !== '';
    });
    expect(capabilities).toBe('0000000800000004');
    await doctor;
    expect(bash('find "$DIR/nas" "$DIR/state" -user 0', { DIR: setting.dir })).toBe('');
  });

  test('root asks for a restore - done as the tree’s owner, with one capability that reads, out of reach of the owner’s other processes', async () => {
    const { root } = setting;
    rmSync(join(root, 'index.php'));
    writeFileSync(join(root, 'img/p/1.jpg'), 'overwritten');
    rmSync(join(root, 'program'));
    const wasIn = readdirSync('/proc');
    const restoring = inPlace(0);
    const looked = (async () => {
      let pid = '';
      await until('the restore unit', () => {
        for (const one of readdirSync('/proc')) {
          if (!/^\d+$/.test(one) || wasIn.includes(one)) continue;
          try {
            const line = readFileSync(`/proc/${one}/cmdline`, 'latin1');
            const status = readFileSync(`/proc/${one}/status`, 'latin1');
            if (
              !line.startsWith(SETPRIV) &&
              line.includes(setting.configFile) &&
              line.includes('--as-owner') &&
              status.includes(`\nUid:\t${OWNER}\t`)
            )
              pid = one;
          } catch {
            // it ended meanwhile
          }
        }
        return pid !== '';
      });
      const status = readFileSync(`/proc/${pid}/status`, 'latin1');
      const spied = await run(['setpriv', `--reuid=${OWNER}`, `--regid=${OWNER}`, '--clear-groups', 'cat', `/proc/${pid}/environ`]);
      return { status, spied };
    })();
    const [{ json }, { status, spied }] = await Promise.all([restoring, looked]);
    // bit 2 is CAP_DAC_READ_SEARCH; all four ids, and in no set anything else
    expect(status).toContain(`\nUid:\t${OWNER}\t${OWNER}\t${OWNER}\t${OWNER}\n`);
    for (const set of ['Inh', 'Prm', 'Eff', 'Bnd', 'Amb']) expect(status).toContain(`\nCap${set}:\t0000000000000004\n`);
    expect(spied).toMatchObject({ stdout: '', status: 1 });
    expect(json).toMatchObject({ shop: 'dupont', verified: true, restored: [{ snapshot, written: 3, withheld: { bits: 1 } }] });
    expect(bash('cd "$ROOT"; find . -printf "%p %m %U %G\\n" | sort', { ROOT: root }).trimEnd()).toBe(
      ['. 700', './img 755', './img/p 755', './img/p/1.jpg 644', './index.php 644', './program 755', './secret 600', './shared 2770']
        .map((line) => `${line} ${OWNER} ${OWNER}`)
        .join('\n'),
    );
    expect(statSync(join(root, 'img/p/1.jpg')).size).toBe(300_000);
    using catalog = new DatabaseSync(join(setting.dir, 'state/catalog.db'), { readOnly: true });
    expect(catalog.prepare("select state, source from runs where kind = 'restore' order by startedAt desc limit 1").all()).toMatchObject([
      { state: 'done', source: 'files' },
    ]);
  });

  test('the daemon asks for a restore - refused, unless the configuration leaves it to it; setuid bits stay away even then', async () => {
    rmSync(join(setting.root, 'index.php'), { force: true });
    const refused = await inPlace(DAEMON);
    expect(refused.json.error).toMatchObject({ code: 'E_RESTORE_REFUSED', message: expect.stringContaining('only root') });
    expect(existsSync(join(setting.root, 'index.php'))).toBe(false);
    setting.configure(true);
    try {
      expect((await inPlace(DAEMON, '--keep-setuid')).json.error).toMatchObject({ code: 'E_RESTORE_REFUSED' });
      expect((await inPlace(DAEMON)).json).toMatchObject({ verified: true });
    } finally {
      setting.configure(false);
    }
    expect(readFileSync(join(setting.root, 'index.php'), 'utf8')).toBe('<?php\n');
  });

  test('requests that name a path, a shop that is not declared, another shop’s snapshot, or nothing at all - refused', async () => {
    // as whoever asks has it open, with his pins
    using catalog = new DatabaseSync(join(setting.dir, 'state/catalog.db'));
    catalog.prepare('select count(*) from snapshots').get();
    const good = {
      kind: 'files',
      request: snapshot,
      shop: 'dupont',
      snapshot,
      from: null,
      paths: [],
      delete: false,
      checksum: false,
      keepSetuid: false,
    };
    using _ = listen(setting, 0);
    await until('the socket', () => existsSync(setting.socket));
    const ask = async (line: string): Promise<{ event: string; code?: string }> => {
      const connection = createConnection(setting.socket);
      connection.write(`${line}\n`);
      const said = await text(connection);
      return JSON.parse(said.trim().split('\n').at(-1) ?? '');
    };
    for (const [line, code] of [
      [JSON.stringify({ ...good, toDir: '/etc' }), 'E_RESTORE_REFUSED'],
      [JSON.stringify({ ...good, shop: '../dupont' }), 'E_UNKNOWN_SHOP'],
      [JSON.stringify({ ...good, from: '/srv' }), 'E_RESTORE_REFUSED'],
      [JSON.stringify({ ...good, snapshot: '01m82h3cw97btjdmx27ewcqz2w' }), 'E_UNKNOWN_SNAPSHOT'],
      ['coffre restore dupont --to-dir /etc', 'E_RESTORE_REFUSED'],
      ['x'.repeat(100_000), 'E_RESTORE_REFUSED'],
    ] as const) {
      expect(await ask(line), line.slice(0, 200)).toMatchObject({ event: 'failed', code });
    }
  });

  test('a tree that is root’s, or behind a symbolic link - refused: there is nobody to become', async () => {
    const { root } = setting;
    bash('chown 0:0 "$ROOT"', { ROOT: root });
    expect((await inPlace(0)).json.error).toMatchObject({ code: 'E_RESTORE_REFUSED', message: expect.stringContaining('belongs to root') });
    bash('chown "$OWNER:$OWNER" "$ROOT"; mv "$ROOT" "$ROOT.real"; ln -s "$ROOT.real" "$ROOT"', { ROOT: root, OWNER: String(OWNER) });
    expect((await inPlace(0)).json.error).toMatchObject({ code: 'E_RESTORE_REFUSED', message: expect.stringContaining('symbolic link') });
    bash('rm "$ROOT"; mv "$ROOT.real" "$ROOT"', { ROOT: root });
  });
});

// The units under a systemd of their own: it boots in namespaces, starts the daemon, and what may not work is tried from inside its unit.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { tempDir } from '../temp-dir.ts';

const TOP = resolve(import.meta.dirname, '../..');
const NAMESPACES = ['--mount', '--pid', '--fork', '--uts', '--ipc', '--cgroup', '--kill-child'];
/** What a machine must allow: checked first, because containers often do not. */
const CAN =
  'mount --make-rprivate / && mount -t tmpfs t /mnt && cd /mnt && mkdir u w && mount -t overlay o -o lowerdir=/etc,upperdir=u,workdir=w /etc && mount -t cgroup2 none /sys/fs/cgroup';

test('booted - ready, fed, reloading; backs up, restores as the tree’s owner, and does nothing that its rights do not cover', async ({
  skip,
}) => {
  const cgroup = makeCgroup();
  if (process.geteuid?.() !== 0 || cgroup === null) return skip('namespaces need root and a cgroup2 that may be written');
  const inside = (argv: readonly string[]): readonly [string, string[]] => [
    'sh',
    ['-c', 'echo $$ >"$0/cgroup.procs" && exec unshare "$@"', cgroup, ...NAMESPACES, ...argv],
  ];
  if (spawnSync(...(inside(['sh', '-c', CAN]) as [string, string[]])).status !== 0)
    return skip('this machine does not let mounts be made in namespaces');

  const folder = await tempDir();
  const said = await booted(...inside(['bash', join(TOP, 'test/systemd/boot.sh'), 'boot', folder, TOP]));
  const seen = (name: string): string => {
    try {
      return readFileSync(join(folder, name), 'utf8');
    } catch {
      return '';
    }
  };
  const everything = `${said}\n${seen('watch')}\n${seen('init')}\n${seen('log')}`;

  expect(seen('ready'), everything).toMatch(/^ActiveState=active$/m);
  expect(seen('ready')).toMatch(/^NRestarts=0$/m);
  expect(seen('ready')).toMatch(/^NotifyAccess=main$/m);
  expect(seen('ready')).toMatch(/^StatusText=.*1 shop/m);
  for (const set of ['Inh', 'Prm', 'Eff', 'Bnd', 'Amb']) expect(seen('process')).toContain(`\nCap${set}:\t0000000000000004\n`);
  expect(seen('process')).toMatch(/^NoNewPrivs:\t1$/m);
  expect(seen('process')).toMatch(/^Seccomp:\t2$/m);
  expect(
    seen('sees')
      .split('\n')
      .filter((line) => line !== '')
      .sort(),
  ).toEqual(['/etc/coffre/keys/identities:', '/run/credentials/coffre.service:', 'etc-coffre-keys-signing.key', 'etc-coffre-secrets_test']);

  expect(JSON.parse(seen('backup')), everything).toMatchObject({ shop: 'dupont', snapshots: [{ source: 'files', complete: true }] });
  expect([seen('broken-reload'), seen('reload')]).toEqual(['', 'taken\n']);
  expect(JSON.parse(seen('restore')), everything).toMatchObject({ verified: true, restored: [{ written: 2, withheld: { bits: 1 } }] });
  const tree = ['. 700', './index.php 644', './program 755', './shared 2770'].map((line) => `${line} www-data www-data\n`).join('');
  expect(seen('tree')).toBe(tree);
  expect(seen('restore-units')).toBe('');

  expect(seen('attack').trimEnd().split('\n')).toEqual(
    [
      'read a shop: done',
      'read the signing key: done',
      ...['write into a shop', 'remove from a shop', 'chown', 'change the configuration', 'become root', 'read an identity'],
      ...[
        'read it through another process',
        'take the mount away',
        'enter a namespace',
        'enter a user namespace',
        'see a disk',
        'make a disk',
      ],
      'open_by_handle_at: errno 1',
      'ask for a restore: E_RESTORE_REFUSED',
    ].map((line) => (line.includes(':') ? line : `${line}: refused`)),
  );
  expect(seen('tree-after-attack')).toBe(tree);

  expect(seen('watchdog')).toBe('fed\n');
  expect(seen('later')).toMatch(/^ActiveState=active$/m);
  expect(seen('later')).toMatch(/^NRestarts=0$/m);
  expect(seen('stopped')).toMatch(/^ActiveState=inactive$/m);
  expect(seen('stopped')).toMatch(/^Result=success$/m);
}, 960_000);

/** What it wrote to the console, once it has ended. */
function booted(file: string, args: readonly string[]): Promise<string> {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 900_000, killSignal: 'SIGKILL' });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return new Promise((done, failed) => child.once('error', failed).once('close', () => done(said)));
}

/** A group of its own below the machine's cgroup2, so that this systemd never sees another process; null where there is none to write to. */
function makeCgroup(): string | null {
  const at = /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/self/mounts', 'utf8'))?.[1];
  if (at === undefined) return null;
  const path = join(at, `coffre-test-${process.pid}`);
  try {
    execFileSync('mkdir', [path], { stdio: 'ignore' });
    writeFileSync(join(path, 'cgroup.procs'), '');
  } catch {
    // written below, by whoever enters it
  }
  onTestFinished(async () => {
    // its processes are gone when the kernel says so
    const giveUpAt = systemClock.monotonicMs() + 60_000;
    for (;;) {
      try {
        removeCgroup(path);
        return;
      } catch (error) {
        if (systemClock.monotonicMs() > giveUpAt) throw error;
      }
      await systemClock.sleep(50);
    }
  });
  return path;
}

function removeCgroup(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) if (entry.isDirectory()) removeCgroup(join(path, entry.name));
  rmdirSync(path);
}

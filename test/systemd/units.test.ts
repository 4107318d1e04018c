// The units: systemd finds nothing wrong with them, and what they leave open is little and is explained.
import { execFileSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { tempDir } from '../temp-dir.ts';

const SYSTEMD = resolve(import.meta.dirname, '../../systemd');
const COFFRE = resolve(import.meta.dirname, '../../bin/coffre');
const UNITS = readdirSync(SYSTEMD).filter((name) => /\.(service|socket)$/.test(name));

const unit = (name: string): string => readFileSync(join(SYSTEMD, name), 'utf8');
/** Settings in force: `Name=value` lines without comments. */
const settings = (name: string): string[] => unit(name).match(/^[A-Za-z]+=.*$/gm) ?? [];

function analyze(args: readonly string[]): string {
  return execFileSync('systemd-analyze', args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, SYSTEMD_COLORS: '0' },
  });
}

describe('systemd-analyze', () => {
  test('verify - says nothing of any unit', async () => {
    const dir = await tempDir();
    for (const name of UNITS) {
      cpSync(join(SYSTEMD, name), join(dir, name));
      // the program is where the package puts it, which is not here
      writeFileSync(join(dir, name), unit(name).replaceAll('/usr/bin/coffre', COFFRE));
    }
    const said = execFileSync('sh', ['-c', 'systemd-analyze verify ./*.service ./*.socket 2>&1'], { encoding: 'utf8', cwd: dir });
    expect(said).toBe('');
  });

  test('verify - does speak up when something is wrong', async () => {
    const dir = await tempDir();
    writeFileSync(join(dir, 'coffre.service'), unit('coffre.service').replaceAll('/usr/bin/coffre', COFFRE).replace('Nice=10', 'Nise=10'));
    const said = execFileSync('sh', ['-c', 'systemd-analyze verify ./coffre.service 2>&1'], { encoding: 'utf8', cwd: dir });
    expect(said).toContain('Nise');
  });

  test.for([
    ['coffre.service', 1.7],
    // it begins as root and may become anybody: that alone is 0.7
    ['coffre-restore@.service', 2.6],
  ] as const)('security --offline - the exposure of %s is %d at most', async ([name, most]) => {
    const dir = await tempDir();
    cpSync(join(SYSTEMD, name), join(dir, name));
    const said = analyze(['security', '--offline=true', join(dir, name)]);
    const level = /Overall exposure level for \S+: (\d+\.\d) /.exec(said)?.[1];
    expect(Number(level), said).toBeLessThanOrEqual(most);
  });

  test('syscall-filter - neither unit leaves a way round its mounts, into other processes or into the kernel', () => {
    for (const name of ['coffre.service', 'coffre-restore@.service']) {
      const allowed = allowedCalls(settings(name));
      expect(allowed.has('openat')).toBe(true);
      // setns and unshare
      expect(settings(name)).toContain('RestrictNamespaces=yes');
      for (const call of ['open_by_handle_at', 'mount', 'umount2', 'move_mount', 'open_tree', 'pivot_root', 'chroot'].concat(
        ...[
          ['ptrace', 'process_vm_readv', 'process_vm_writev', 'pidfd_getfd', 'bpf', 'init_module', 'kexec_load', 'iopl', 'perf_event_open'],
        ],
      )) {
        expect(allowed.has(call), `${name}: ${call}`).toBe(false);
      }
    }
    const daemon = allowedCalls(settings('coffre.service'));
    for (const call of ['chown', 'fchownat', 'setuid', 'setresuid', 'setgroups', 'capset']) expect(daemon.has(call), call).toBe(false);
  });
});

describe('the daemon’s unit', () => {
  test('one capability, no identities, no disks - and nothing is left out of it silently', () => {
    const set = settings('coffre.service');
    for (const line of [
      'Type=notify',
      'NotifyAccess=main',
      'User=coffre',
      'CapabilityBoundingSet=CAP_DAC_READ_SEARCH',
      'AmbientCapabilities=CAP_DAC_READ_SEARCH',
      'NoNewPrivileges=yes',
      'InaccessiblePaths=-/etc/coffre/keys/identities',
      'InaccessiblePaths=-/var/cache/coffre-restore/drills',
      'PrivateDevices=yes',
      'ProtectSystem=strict',
      'LimitCORE=0',
    ]) {
      expect(set).toContain(line);
    }
    expect(set.some((line) => line.startsWith('MemoryDenyWriteExecute='))).toBe(false);
  });

  test('each relaxation that systemd-analyze counts is explained in a comment', async () => {
    const dir = await tempDir();
    cpSync(join(SYSTEMD, 'coffre.service'), join(dir, 'coffre.service'));
    const all = JSON.parse(analyze(['security', '--offline=true', '--json=short', join(dir, 'coffre.service')])) as {
      name: string;
      exposure: string | null;
    }[];
    const comments = (unit('coffre.service').match(/^#.*$/gm) ?? []).join('\n');
    const explained = (name: string): boolean => {
      const setting = name.split('=')[0] as string;
      if (comments.includes(setting)) return true;
      const line = unit('coffre.service')
        .split('\n')
        .findIndex((text) => text.startsWith(`${setting}=`));
      return line > 0 && (unit('coffre.service').split('\n')[line - 1] as string).startsWith('#');
    };
    const open = all.filter(({ exposure }) => exposure !== null).map(({ name }) => name);
    expect(open.length).toBeGreaterThan(5);
    expect(open.filter((name) => !explained(name.split(/[=/]/)[0] as string))).toEqual([]);
  });
});

/** Of SystemCallFilter= lines in order: what the first one lists, less what lines with ~ take away. */
function allowedCalls(set: readonly string[]): Set<string> {
  const allowed = new Set<string>();
  for (const line of set.filter((one) => one.startsWith('SystemCallFilter='))) {
    const value = line.slice('SystemCallFilter='.length);
    const removes = value.startsWith('~');
    for (const word of value.replace(/^~/, '').split(' '))
      for (const call of callsOf(word)) removes ? allowed.delete(call) : allowed.add(call);
  }
  return allowed;
}

function callsOf(word: string): string[] {
  if (!word.startsWith('@')) return [word];
  const lines = analyze(['syscall-filter', '--no-pager', word]).split('\n').slice(1);
  return lines
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .flatMap(callsOf);
}

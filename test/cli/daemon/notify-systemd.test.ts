// What systemd hears of the daemon, on a real datagram socket.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { tempDir } from '../../temp-dir.ts';

const COFFRE = resolve(import.meta.dirname, '../../../bin/coffre');
const SOURCES = new URL('../../../src/', import.meta.url).href;

/** Prints each datagram on a line, its lines parted by bars. */
const RECEIVER = `
  use Socket; $| = 1;
  socket(my $s, AF_UNIX, SOCK_DGRAM, 0);
  bind($s, pack_sockaddr_un($ARGV[0] =~ s/^@/\\0/r)) or die; print "listening\\n";
  while (1) {
    defined recv($s, my $text, 65536, 0) or die;
    $text =~ s/\\n/|/g; print "$text\\n";
  }`;

interface Receiver {
  readonly lines: string[];
  heard(what: string, wanted: (line: string) => boolean, count?: number): Promise<void>;
}

async function receiver(socket: string): Promise<Receiver> {
  const child = spawn('perl', ['-e', RECEIVER, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill());
  const lines: string[] = [];
  let rest = '';
  child.stdout.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  const heard: Receiver['heard'] = async (what, wanted, count = 1) => {
    const giveUpAt = systemClock.monotonicMs() + 20_000;
    while (lines.filter(wanted).length < count) {
      if (systemClock.monotonicMs() > giveUpAt) throw new Error(`waited in vain for ${what}; heard ${lines.join(' / ')}`);
      await systemClock.sleep(10);
    }
  };
  await heard('the receiver', (line) => line === 'listening');
  return { lines, heard };
}

const SCRIPT = `
  const { systemdNotifier } = await import('${SOURCES}cli/daemon/notify-systemd.ts');
  const { systemClock } = await import('${SOURCES}clock.ts');
  const notifier = systemdNotifier(process.env, systemClock);
  notifier.ready('3 shops\\nMAINPID=1');
  await systemClock.sleep(600);
  notifier.reloading();
  notifier.ready('again');
  notifier.stopping('soon');
  notifier.close();
  process.stdout.write('pid ' + process.pid);
  await systemClock.sleep(300);`;

/** bin/coffre, with this script in the place of its own: started as systemd starts it. */
async function daemonOf(socket: string, env: Record<string, string>): Promise<ChildProcess> {
  const dir = await tempDir();
  writeFileSync(join(dir, 'script.mjs'), SCRIPT);
  const launcher = execFileSync('sed', ['-e', `s|^self=.*|self=${COFFRE}|`, '-e', `s|^main=.*|main=${dir}/script.mjs|`, COFFRE]);
  writeFileSync(join(dir, 'coffre'), launcher);
  chmodSync(join(dir, 'coffre'), 0o755);
  const child = spawn(join(dir, 'coffre'), [], {
    env: { PATH: process.env.PATH, NOTIFY_SOCKET: socket, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill());
  return child;
}

test.for(['in the file system', 'abstract'] as const)(
  'a socket %s - ready, the watchdog three times within its time, reloading with the monotonic time, stopping; nothing after that',
  async (kind) => {
    const dir = await tempDir();
    const socket = kind === 'abstract' ? `@coffre-test-${process.pid}` : join(dir, 'notify');
    const { lines, heard } = await receiver(socket);
    const before = uptimeUsec();
    const child = await daemonOf(socket, { WATCHDOG_USEC: '300000' });
    await heard('the end', (line) => line.startsWith('STOPPING=1'));
    const ended = new Promise((done) => child.once('exit', done));
    expect(lines[1]).toBe('READY=1|STATUS=3 shops MAINPID=1');
    const fed = lines.filter((line) => line === 'WATCHDOG=1').length;
    expect(fed).toBeGreaterThanOrEqual(3);
    const reloading = lines.find((line) => line.startsWith('RELOADING=1')) ?? '';
    const usec = Number(/^RELOADING=1\|MONOTONIC_USEC=(\d+)\|STATUS=.+$/.exec(reloading)?.[1]);
    expect(usec).toBeGreaterThanOrEqual(before);
    expect(usec).toBeLessThanOrEqual(uptimeUsec());
    expect(lines.at(-1)).toBe('STOPPING=1|STATUS=soon');
    await ended;
    expect(lines.filter((line) => line === 'WATCHDOG=1')).toHaveLength(fed);
  },
);

test('a watchdog that is meant for another process - not fed; no socket, or one that nobody listens at - nothing happens', async () => {
  const dir = await tempDir();
  const socket = join(dir, 'notify');
  const { lines, heard } = await receiver(socket);
  await daemonOf(socket, { WATCHDOG_USEC: '300000', WATCHDOG_PID: '1' });
  await heard('the end', (line) => line.startsWith('STOPPING=1'));
  expect(lines).not.toContain('WATCHDOG=1');
  for (const gone of ['', join(dir, 'nobody')]) {
    const child = await daemonOf(gone, {});
    expect(await new Promise((done) => child.once('exit', done))).toBe(0);
  }
});

test('without perl - systemd’s own program says it', async () => {
  const dir = await tempDir();
  const socket = join(dir, 'notify');
  const bin = join(dir, 'bin');
  execFileSync('sh', [
    '-c',
    'mkdir "$0" && for name in sh uname readlink systemd-notify; do ln -s "$(command -v $name)" "$0/$name"; done',
    bin,
  ]);
  const { heard } = await receiver(socket);
  await daemonOf(socket, { PATH: bin });
  await heard('the end', (line) => line.startsWith('STOPPING=1'));
  expect(existsSync(join(bin, 'perl'))).toBe(false);
});

/** CLOCK_MONOTONIC: the same in all processes. */
function uptimeUsec(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

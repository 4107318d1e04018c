// What becomes of programs on the host when they are killed, and when the line or coffre itself is gone.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { SshHost } from '../../src/host/ssh.ts';
import { type FaultProxy, startFaultProxy } from '../servers/fault-proxy.ts';
import { until } from '../servers/rig.ts';
import { type Sshd, startSshd } from '../servers/sshd.ts';

let sshd: Sshd;
let proxy: FaultProxy;
let knownHostsFile: string;
beforeAll(async () => {
  sshd = await startSshd();
  proxy = await startFaultProxy(sshd.port);
  knownHostsFile = join(sshd.dir, 'proxy_known_hosts');
  writeFileSync(knownHostsFile, sshd.knownHostsFor(proxy.port));
});
afterAll(async () => {
  await proxy.stop();
  await sshd.stop();
});

const throughProxy = () => sshd.hostConfig({ port: proxy.port, knownHostsFile });

/** Whatever runs with these words as its command line, whoever its parent is now. */
function running(words: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1).join(' ') === words;
      } catch {
        return false;
      }
    });
}

const sshdChildren = (): string[] => readFileSync(`/proc/${sshd.pid}/task/${sshd.pid}/children`, 'utf8').trim().split(' ').filter(Boolean);

/** A program that reads nothing and writes nothing: nothing but a signal ends it. */
let made = 0;
const idle = (): { argv: string[]; words: string } => {
  made += 1;
  const seconds = `${100_000 + process.pid}.${made}`;
  return { argv: ['sleep', seconds], words: `sleep ${seconds}` };
};
const begins = (words: string): Promise<void> => until(`${words} runs`, 10_000, async () => running(words).length > 0);
const isGone = (words: string): Promise<void> => until(`${words} is gone`, 10_000, async () => running(words).length === 0);

describe('a program on the host', () => {
  it('killed, by itself or by a signal, and its children - gone', async () => {
    const host = new SshHost(sshd.hostConfig(), systemClock);
    try {
      const one = idle();
      const killed = host.start(one.argv);
      await begins(one.words);
      killed.kill();
      killed.kill();
      expect(await killed.ended).toEqual({ status: null, lost: false });
      await isGone(one.words);

      const two = idle();
      const stop = new AbortController();
      const aborted = host.start(['sh', '-c', `${two.words} & ${two.words}; true`], stop.signal);
      await begins(two.words);
      stop.abort();
      expect(await aborted.ended).toEqual({ status: null, lost: false });
      await isGone(two.words);

      const three = idle();
      host.start(three.argv).kill();
      expect(await host.start(['true'], AbortSignal.abort()).ended).toEqual({ status: null, lost: false });
      expect(await host.start(['true']).ended).toEqual({ status: 0, lost: false });
      await isGone(three.words);
    } finally {
      await host.close();
    }
  });

  it('ended by a signal of its own - status null, and not lost', async () => {
    const host = new SshHost(sshd.hostConfig(), systemClock);
    expect(await host.start(['sh', '-c', 'kill -TERM $$']).ended).toEqual({ status: null, lost: false });
    await host.close();
  });

  it('running when the host is closed - gone, as lost; a later one E_SSH_LOST', async () => {
    const host = new SshHost(sshd.hostConfig(), systemClock);
    const { argv, words } = idle();
    const program = host.start(argv);
    await begins(words);
    await host.close();
    expect(await program.ended).toEqual({ status: null, lost: true });
    await isGone(words);
    await expect(host.start(['true']).ended).rejects.toMatchObject({ code: 'E_SSH_LOST' });
  });

  it('running when the connection is cut - all end as lost, streams and tunnels too, nothing runs on, the next start works', async () => {
    const host = new SshHost(throughProxy(), systemClock);
    try {
      const { argv, words } = idle();
      const sleeping = host.start(argv);
      const reading = host.start(['cat']);
      const writing = host.start(['sh', '-c', 'yes; true']);
      const tunnel = host.connect({ host: '127.0.0.1', port: sshd.port });
      const tunnelError = once(tunnel, 'error').then(([error]) => error);
      await Promise.all([once(tunnel, 'data'), once(writing.stdout, 'readable'), begins(words)]);
      const written = new Promise((resolve) => reading.stdin.write(Buffer.alloc(20_000_000), resolve));
      proxy.set({ mode: 'reset' });
      const lost = { status: null, lost: true };
      expect(await Promise.all([sleeping.ended, reading.ended, writing.ended])).toEqual([lost, lost, lost]);
      await written;
      expect(await tunnelError).toMatchObject({ code: 'E_SSH_LOST' });
      await isGone(words);
      proxy.set({ mode: 'pass' });
      expect(await host.start(['true']).ended).toEqual({ status: 0, lost: false });
    } finally {
      proxy.set({ mode: 'pass' });
      await host.close();
    }
    await until('sshd has no session left', 10_000, async () => sshdChildren().length === 0);
  });

  it('behind a line that swallows everything - lost after the intervals without a byte, though nobody asks', async () => {
    const host = new SshHost(throughProxy(), systemClock, { intervalMs: 200, missed: 3 });
    try {
      const program = host.start(['sleep', '60']);
      await systemClock.sleep(1500);
      let ended = false;
      program.ended.then(
        () => {
          ended = true;
        },
        () => {},
      );
      expect(ended, 'a quiet line that answers pings is alive').toBe(false);
      proxy.set({ mode: 'blackHole' });
      const from = systemClock.monotonicMs();
      expect(await program.ended).toEqual({ status: null, lost: true });
      expect(systemClock.monotonicMs() - from).toBeLessThan(20_000);
    } finally {
      proxy.set({ mode: 'pass' });
      await host.close();
    }
  });

  it('when coffre is killed - gone', async () => {
    const { argv, words } = idle();
    const script = `
      import { systemClock } from ${JSON.stringify(new URL('../../src/clock.ts', import.meta.url).href)};
      import { secretFromFile } from ${JSON.stringify(new URL('../../src/config/secret.ts', import.meta.url).href)};
      import { SshHost } from ${JSON.stringify(new URL('../../src/host/ssh.ts', import.meta.url).href)};
      const { keyFile, ...config } = JSON.parse(process.argv[1]);
      new SshHost({ ...config, keys: [secretFromFile(keyFile)] }, systemClock).start(${JSON.stringify(argv)});
    `;
    const { keys: _, ...config } = sshd.hostConfig();
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, JSON.stringify({ ...config, keyFile: sshd.keyFile })], {
      stdio: 'inherit',
    });
    try {
      await begins(words);
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await isGone(words);
    await until('sshd has no session left', 10_000, async () => sshdChildren().length === 0);
  });
});

// Programs on a host behind a real sshd.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { HostProcess } from '../../src/host/host.ts';
import { SshHost } from '../../src/host/ssh.ts';
import { type Sshd, startSshd } from '../servers/sshd.ts';

let sshd: Sshd;
beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd.stop());

async function text(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

async function outcome(program: HostProcess) {
  const [stdout, stderr, end] = await Promise.all([text(program.stdout), text(program.stderr), program.ended]);
  return { stdout, stderr, ...end };
}

describe('start', () => {
  it('a program and its arguments - arrive as they are, whatever they hold, and no environment but PATH and the locale', async () => {
    const host = new SshHost(sshd.hostConfig(), systemClock);
    try {
      const awkward = ['a b', "it's", '"$HOME"', '\\n \\\\ \\', '!x', '%s%%', 'é😀', 'two\nlines\n', '', '*', '-n', '`id`'];
      const printed = await outcome(host.start(['printf', '%s\\0', ...awkward]));
      expect(printed.stdout.split('\0').slice(0, -1)).toEqual(awkward);
      const environment = (await outcome(host.start(['env']))).stdout
        .trim()
        .split('\n')
        .map((line) => line.split('=')[0]);
      expect(environment.sort()).toEqual(['LC_ALL', 'PATH', 'SSH_CONNECTION']);
      expect(await outcome(host.start(['sh', '-c', 'echo out; echo err >&2; exit 3']))).toEqual({
        stdout: 'out\n',
        stderr: 'err\n',
        status: 3,
        lost: false,
      });
    } finally {
      await host.close();
    }
  });

  it('input of 200 MB - comes back as it was', async () => {
    const host = new SshHost(sshd.hostConfig(), systemClock);
    try {
      const block = randomBytes(1_000_000);
      const blocks = function* () {
        for (let i = 0; i < 200; i += 1) yield block;
      };
      const sent = createHash('sha256');
      for (const one of blocks()) sent.update(one);
      const before = process.memoryUsage().rss;
      let most = 0;
      const program = host.start(['cat']);
      program.stdout.on('data', () => {
        most = Math.max(most, process.memoryUsage.rss());
      });
      const received = createHash('sha256');
      await Promise.all([pipeline(Readable.from(blocks()), program.stdin), pipeline(program.stdout, received)]);
      expect(await program.ended).toEqual({ status: 0, lost: false });
      expect(most - before).toBeLessThan(100_000_000);
      expect(received.digest('hex')).toBe(sent.digest('hex'));
    } finally {
      await host.close();
    }
  });

  it('a program that is not there - E_TOOL_MISSING', async () => {
    const host = new SshHost(sshd.hostConfig(), systemClock);
    try {
      await expect(host.start(['no-such-program']).ended).rejects.toMatchObject({ code: 'E_TOOL_MISSING' });
    } finally {
      await host.close();
    }
  });

  it('30 programs at once where a connection takes 4 sessions - each runs', async () => {
    const few = await startSshd({ config: ['MaxSessions 4'] });
    const host = new SshHost(few.hostConfig(), systemClock);
    try {
      const programs = Array.from({ length: 30 }, (_, i) => outcome(host.start(['sh', '-c', `sleep 0.1; echo ${i}`])));
      expect((await Promise.all(programs)).map(({ stdout, status }) => [stdout, status])).toEqual(
        Array.from({ length: 30 }, (_, i) => [`${i}\n`, 0]),
      );
    } finally {
      await host.close();
      await few.stop();
    }
  });

  it('a connection that takes one session alone - programs run one after the other', async () => {
    const one = await startSshd({ config: ['MaxSessions 1', 'MaxStartups 1:100:1'] });
    const host = new SshHost(one.hostConfig(), systemClock);
    try {
      const programs = Array.from({ length: 8 }, (_, i) => outcome(host.start(['echo', String(i)])));
      expect((await Promise.all(programs)).map(({ stdout }) => stdout)).toEqual(Array.from({ length: 8 }, (_, i) => `${i}\n`));
    } finally {
      await host.close();
      await one.stop();
    }
  });

  it('a login shell that talks on both outputs first - nothing of it is taken for the program’s', async () => {
    const talking = await startSshd({
      config: ['ForceCommand echo Welcome; echo "no mail" >&2; printf unfinished; eval "$SSH_ORIGINAL_COMMAND"'],
    });
    const host = new SshHost(talking.hostConfig(), systemClock);
    try {
      expect(await outcome(host.start(['sh', '-c', 'echo out; echo err >&2']))).toEqual({
        stdout: 'out\n',
        stderr: 'err\n',
        status: 0,
        lost: false,
      });
    } finally {
      await host.close();
      await talking.stop();
    }
  });

  it('a host for SFTP alone - E_SSH_COMMAND with what it says', async () => {
    const sftpOnly = await startSshd({ config: ['ForceCommand internal-sftp'] });
    const refusing = await startSshd({ config: ['ForceCommand echo no programs here; exit 1'] });
    try {
      for (const server of [sftpOnly, refusing]) {
        const host = new SshHost(server.hostConfig({ connectTimeoutMs: 5000 }), systemClock);
        const program = host.start(['echo', 'x']);
        program.stdin.end();
        await expect(program.ended).rejects.toMatchObject({ code: 'E_SSH_COMMAND' });
        await host.close();
      }
    } finally {
      await Promise.all([sftpOnly.stop(), refusing.stop()]);
    }
  });

  it('output that nobody reads - is held back on the host, not here', async () => {
    const host = new SshHost(sshd.hostConfig(), systemClock);
    try {
      const program = host.start(['sh', '-c', 'yes | head -c 100000000; echo end >&2']);
      await once(program.stdout, 'readable');
      const before = process.memoryUsage().rss;
      await systemClock.sleep(1000);
      expect(process.memoryUsage().rss - before).toBeLessThan(30_000_000);
      let bytes = 0;
      program.stdout.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      expect(await program.ended).toEqual({ status: 0, lost: false });
      expect(bytes).toBe(100_000_000);
    } finally {
      await host.close();
    }
  });
});

// Programs on a host behind a real sshd.
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { SshHostConfig } from '../../src/config/config.ts';
import { secretFromFile } from '../../src/config/secret.ts';
import type { HostProcess } from '../../src/host/host.ts';
import { SshHost } from '../../src/host/ssh.ts';
import { type Sshd, startSshd } from '../servers/sshd.ts';

let sshd: Sshd;
beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd.stop());

const configOf = (server: Sshd): SshHostConfig => ({
  type: 'ssh',
  host: server.host,
  port: server.port,
  user: server.user,
  keys: [secretFromFile(server.keyFile)],
  passphrase: null,
  agent: null,
  knownHostsFile: server.knownHostsFile,
  connectTimeoutMs: 10_000,
});

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
  it('a program and its arguments - arrive as they are, whatever they hold, and only PATH and the locale are set', async () => {
    const host = new SshHost(configOf(sshd), systemClock);
    try {
      const awkward = ['a b', "it's", '"$HOME"', '\\n \\\\ \\', '!x', '%s%%', 'é😀', 'two\nlines\n', '', '*', '-n', '`id`'];
      const printed = await outcome(host.start(['printf', '%s\\0', ...awkward]));
      expect(printed.stdout.split('\0').slice(0, -1)).toEqual(awkward);
      const environment = (await outcome(host.start(['env']))).stdout
        .trim()
        .split('\n')
        .map((line) => line.split('=')[0]);
      expect(environment.sort()).toEqual(['LC_ALL', 'PATH']);
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

  it('input of 50 MB - comes back as it was', async () => {
    const host = new SshHost(configOf(sshd), systemClock);
    try {
      const block = randomBytes(1_000_000);
      const blocks = function* () {
        for (let i = 0; i < 50; i += 1) yield block;
      };
      const sent = createHash('sha256');
      for (const one of blocks()) sent.update(one);
      const program = host.start(['cat']);
      const received = createHash('sha256');
      await Promise.all([pipeline(Readable.from(blocks()), program.stdin), pipeline(program.stdout, received)]);
      expect(await program.ended).toEqual({ status: 0, lost: false });
      expect(received.digest('hex')).toBe(sent.digest('hex'));
    } finally {
      await host.close();
    }
  });

  it('a program that is not there - E_TOOL_MISSING', async () => {
    const host = new SshHost(configOf(sshd), systemClock);
    try {
      await expect(host.start(['no-such-program']).ended).rejects.toMatchObject({ code: 'E_TOOL_MISSING' });
    } finally {
      await host.close();
    }
  });
});

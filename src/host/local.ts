// The machine that coffre runs on.
import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { CoffreError } from '../errors.ts';
import type { Host, HostProcess, ProcessEnd } from './host.ts';

export const localHost: Host = {
  type: 'local',
  name: 'this machine',
  start,
  connect: (to) => ('socketPath' in to ? connect(to.socketPath) : connect(to.port, to.host)),
  close: async () => {},
};

function start(argv: readonly string[], signal?: AbortSignal): HostProcess {
  const [program = '', ...args] = argv;
  const child = spawn(program, args, {
    // Messages are parsed, so they must be in English; variables of ours (TAR_OPTIONS) must not change what a program does.
    env: { PATH: process.env.PATH, LC_ALL: 'C' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  if (signal?.aborted) kill();
  signal?.addEventListener('abort', kill, { once: true });
  child.stdin.on('error', () => {});
  const ended = new Promise<ProcessEnd>((resolve, reject) => {
    child.once('error', (cause: NodeJS.ErrnoException) => {
      if (child.pid === undefined) reject(new CoffreError('E_TOOL_MISSING', `${program} cannot be started`, { cause }));
    });
    child.once('close', (status) => resolve({ status, lost: false }));
  }).finally(() => signal?.removeEventListener('abort', kill));
  ended.catch(() => {});
  return { stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, ended, kill };
}

// A rig: a temporary folder and the processes in it, which end with whoever made it, however that one ends.
import { fork } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../../src/clock.ts';
import type { SpawnOrder, SupervisorNote } from './supervisor.ts';

export interface Rig {
  /** Removed, with all that is in it, by `stop` or by the death of this process. */
  readonly dir: string;
  /** Starts a program that stays in the foreground; resolves with its pid. Its output goes to `dir/<name>.log`. */
  start(name: string, command: string, args: readonly string[], env?: Readonly<Record<string, string>>): Promise<number>;
  /** Pids of what runs now, by name. */
  pids(): ReadonlyMap<string, number>;
  /** Resolves when the program of that name has ended (at once when it does not run). */
  ended(name: string): Promise<void>;
  /** The last lines of a program's output. */
  logTail(name: string): string;
  /** Kills what it started and removes the folder. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Makes an empty rig. `kind` becomes part of the folder's name, which lies in memory where a test run found room for it
 * (global-setup.ts); of benches and the demo always in the temporary folder: they measure servers that write to a disk.
 */
export function makeRig(kind: string): Rig {
  const dir = mkdtempSync(path.join(process.env.COFFRE_TEST_RIGS || tmpdir(), `coffre-rig-${kind}-`));
  const supervisor = fork(path.join(import.meta.dirname, 'supervisor.ts'), [dir], {
    execArgv: [],
    // its own process group: Ctrl-C on a terminal must not end it before it has cleaned up
    detached: true,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  // a finished program is not held back by its rig: its end closes the channel, which is the order to clean up
  supervisor.unref();
  supervisor.channel?.unref();
  const running = new Map<string, number>();
  const waiting = new Map<string, { resolve: (pid: number) => void; reject: (error: Error) => void }>();
  const endings = new Map<string, (() => void)[]>();
  supervisor.on('message', (note: SupervisorNote) => {
    if (note.type === 'spawned') {
      running.set(note.name, note.pid);
      waiting.get(note.name)?.resolve(note.pid);
    } else if (note.type === 'failed') {
      waiting.get(note.name)?.reject(new Error(`${note.name}: ${note.message}`));
    } else if (running.get(note.name) === note.pid) {
      running.delete(note.name);
      for (const tell of endings.get(note.name) ?? []) tell();
      endings.delete(note.name);
    }
  });
  let stopping: Promise<void> | null = null;
  const logFile = (name: string): string => path.join(dir, `${name}.log`);
  return {
    dir,
    start(name, command, args, env = {}) {
      return new Promise<number>((resolve, reject) => {
        waiting.set(name, { resolve, reject });
        const order: SpawnOrder = { name, command, args, env, logFile: logFile(name) };
        // a referenced channel for as long as an answer is owed
        supervisor.channel?.ref();
        supervisor.send(order, (error) => error && reject(error));
      }).finally(() => {
        waiting.delete(name);
        supervisor.channel?.unref();
      });
    },
    pids: () => new Map(running),
    ended(name) {
      if (!running.has(name)) return Promise.resolve();
      return new Promise((resolve) => endings.set(name, [...(endings.get(name) ?? []), resolve]));
    },
    logTail(name) {
      try {
        return readFileSync(logFile(name), 'utf8').split('\n').slice(-15).join('\n');
      } catch {
        return '(no output)';
      }
    },
    stop() {
      stopping ??= new Promise<void>((resolve) => {
        supervisor.ref();
        if (supervisor.exitCode !== null || supervisor.signalCode !== null) resolve();
        supervisor.once('exit', () => resolve());
        if (supervisor.connected) supervisor.disconnect();
      });
      return stopping;
    },
  };
}

/** Polls `check` until it is true; throws, naming `what`, after `limitMs`. The one way in which tests wait for something. */
export async function until(what: string, limitMs: number, check: () => Promise<boolean> | boolean, everyMs = 50): Promise<void> {
  const end = systemClock.monotonicMs() + limitMs;
  for (;;) {
    if (await check()) return;
    if (systemClock.monotonicMs() > end) throw new Error(`not within ${limitMs} ms: ${what}`);
    await systemClock.sleep(everyMs);
  }
}

/** Whether a process runs: a zombie that nobody has reaped yet does not. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat[stat.lastIndexOf(')') + 2] !== 'Z';
  } catch {
    return false;
  }
}

/**
 * A loopback port that nobody listens on. Below the range from which the kernel takes the ports of outgoing connections
 * (32768 up) and above Ceph's own (6800 to 7568), so that it is still free when the server binds it a moment later.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)));
  });
}

// Runs one command of a benchmark and says what it took: time, memory of its process tree, processor time of everyone involved.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { systemClock } from '../../../src/clock.ts';
import { until } from '../../servers/rig.ts';
import type { Command } from './commands.ts';
import { ProcessTreeWatch, type TreePeak } from './process-tree.ts';

/** USER_HZ: on Linux always a hundredth of a second, whatever the kernel's own clock. */
const TICKS_PER_SECOND = 100;
export const SETTLE_LIMIT_MS = 180_000;
/** Share of one core that idle servers still take: heartbeats, statistics. */
const IDLE_SHARE = 0.15;

export interface CpuSeconds {
  /** The command and everything that it started and waited for. */
  readonly client: number;
  /** Of the watched server and what it has started and waited for; 0 without one. */
  readonly server: number;
  /** 0 when the store is not on this machine. */
  readonly store: number;
}

export interface Measured {
  /** From before the process is started until it has ended and closed its output. */
  readonly seconds: number;
  readonly cpuSeconds: CpuSeconds;
  /** Of the whole process tree, at one instant. */
  readonly peakBytes: number;
  /** Who held it, the largest first. */
  readonly atPeak: TreePeak['atPeak'];
  readonly stdout: string;
}

/** A server whose processor time counts, and which must be idle before a step. */
export interface WatchedServer {
  readonly pid: number;
  /** Makes it finish what the step before left behind. */
  settle(signal: AbortSignal): Promise<void>;
}

export class Meter {
  readonly #server: WatchedServer | null;
  readonly #storePids: readonly number[];
  readonly #signal: AbortSignal;

  /** `storeDir`: working directory of the store's processes; null when they are elsewhere. Commands end when `signal` aborts. */
  constructor(server: WatchedServer | null, storeDir: string | null, signal: AbortSignal) {
    this.#server = server;
    this.#storePids = storeDir === null ? [] : pidsIn(storeDir);
    this.#signal = signal;
  }

  /** Runs it alone; throws, with what it said, when its status is not 0. */
  async run(command: Command): Promise<Measured> {
    this.#signal.throwIfAborted();
    const before = this.#cpu();
    const startedMs = systemClock.monotonicMs();
    const child = spawn(command.program, command.args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...command.env },
      // a process group of its own, so that an interrupted benchmark can end a whole pipeline
      detached: true,
    });
    const pid = child.pid;
    const end = (): void => void (pid !== undefined && endGroup(pid));
    const watch = pid === undefined ? null : new ProcessTreeWatch(pid);
    this.#signal.addEventListener('abort', end, { once: true });
    try {
      const [stdout, stderr, status] = await Promise.all([
        text(child.stdout),
        text(child.stderr),
        new Promise<number | string>((resolve, reject) => {
          child.once('error', reject);
          child.once('close', (code, how) => resolve(code ?? how ?? '?'));
        }),
      ]);
      const seconds = (systemClock.monotonicMs() - startedMs) / 1000;
      this.#signal.throwIfAborted();
      if (status !== 0) {
        throw new Error(
          `${[command.program, ...command.args].join(' ')}: ended with ${status}\n${stdout.slice(-2000)}\n${stderr.slice(-4000)}`,
        );
      }
      const after = this.#cpu();
      const cpuSeconds = {
        client: after.client - before.client,
        server: after.server - before.server,
        store: after.store - before.store,
      };
      const { peakBytes = 0, atPeak = [] } = watch?.stop() ?? {};
      return { seconds, cpuSeconds, peakBytes, atPeak: atPeak.slice(0, 6), stdout };
    } finally {
      watch?.stop();
      this.#signal.removeEventListener('abort', end);
    }
  }

  /** Waits until nobody works off what the step before left behind: files on the disk, server and store idle. Else the next one would pay. */
  async settle(): Promise<void> {
    await this.#server?.settle(this.#signal);
    await this.run({ program: 'sync', args: [] });
    await until('server and store are idle', SETTLE_LIMIT_MS, async () => {
      const [before, startedMs] = [this.#cpu(), systemClock.monotonicMs()];
      await systemClock.sleep(400, this.#signal);
      const after = this.#cpu();
      const busy = after.server + after.store - before.server - before.store;
      return busy < (IDLE_SHARE * (systemClock.monotonicMs() - startedMs)) / 1000;
    });
  }

  #cpu(): CpuSeconds {
    const store = this.#storePids.reduce((sum, pid) => sum + cpuOf(pid).own, 0);
    return {
      client: cpuOf('self').children,
      server: this.#server === null ? 0 : cpuOf(this.#server.pid).own + cpuOf(this.#server.pid).children,
      store,
    };
  }
}

/** Seconds of processor time, user and system: of a process, and of its children that have ended (with theirs). */
function cpuOf(pid: number | 'self'): { own: number; children: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // the command name may hold blanks and parentheses: fields are counted from its end
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const ticks = (at: number): number => (fields[at] ?? 0) + (fields[at + 1] ?? 0);
  return { own: ticks(11) / TICKS_PER_SECOND, children: ticks(13) / TICKS_PER_SECOND };
}

function pidsIn(directory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`) === directory;
      } catch {
        return false; // it ended, or is another user's
      }
    });
}

/** Asks a process group to end, and after a while does not ask any more. */
function endGroup(pid: number): void {
  const signal = (name: NodeJS.Signals): void => {
    try {
      process.kill(-pid, name);
    } catch {
      // all of it has ended
    }
  };
  signal('SIGTERM');
  systemClock.after(5000, () => signal('SIGKILL'), { unref: true });
}

// Runs one command of a benchmark and says what it took: time, memory of its process tree, processor time of everyone involved.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { systemClock } from '../../../src/clock.ts';
import type { Mariadb } from '../../servers/mariadb.ts';
import { until } from '../../servers/rig.ts';
import { ProcessTreeWatch } from '../process-tree.ts';

/** USER_HZ: on Linux always a hundredth of a second, whatever the kernel's own clock. */
const TICKS_PER_SECOND = 100;
const SETTLE_LIMIT_MS = 180_000;
/** Share of one core that idle servers still take: heartbeats, statistics. */
const IDLE_SHARE = 0.15;

export interface CpuSeconds {
  /** The command and everything that it started and waited for. */
  readonly client: number;
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
  readonly stdout: string;
}

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A pipeline that fails when any of its programs fails. `values` reach it as environment variables. */
export function pipeline(script: string, values: Readonly<Record<string, string>>): Command {
  return { program: 'bash', args: ['-euc', `set -o pipefail; ${script}`], env: values };
}

export class Meter {
  readonly #server: Mariadb;
  readonly #storePids: readonly number[];
  readonly #signal: AbortSignal;

  /** `storeDir`: working directory of the store's processes; null when they are elsewhere. Commands end when `signal` aborts. */
  constructor(server: Mariadb, storeDir: string | null, signal: AbortSignal) {
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
      return { seconds, cpuSeconds, peakBytes: watch?.stop().peakBytes ?? 0, stdout };
    } finally {
      watch?.stop();
      this.#signal.removeEventListener('abort', end);
    }
  }

  /**
   * Waits until nobody works off what the step before left behind: no dirty page, no old row version to purge, files on the disk,
   * server and store idle. Else the next step would pay for it.
   */
  async settle(): Promise<void> {
    const usual = (
      await this.#server.sql('SELECT @@GLOBAL.innodb_max_dirty_pages_pct, @@GLOBAL.innodb_io_capacity, @@GLOBAL.innodb_io_capacity_max')
    )
      .trim()
      .split('\t');
    // else it writes 200 pages a second when nobody asks for more
    await this.#server.sql(
      'SET GLOBAL innodb_io_capacity_max = 40000; SET GLOBAL innodb_io_capacity = 20000; SET GLOBAL innodb_max_dirty_pages_pct = 0',
    );
    try {
      await until(
        'InnoDB has flushed and purged everything',
        SETTLE_LIMIT_MS,
        async () => {
          this.#signal.throwIfAborted();
          const left = await this.#server.sql(
            "SHOW GLOBAL STATUS WHERE Variable_name IN ('Innodb_buffer_pool_pages_dirty', 'Innodb_history_list_length')",
          );
          const counts = left
            .trim()
            .split('\n')
            .map((line) => Number(line.split('\t')[1]));
          return counts.length === 2 && counts.every((count) => count <= 50);
        },
        200,
      );
    } finally {
      const [dirty, capacity, capacityMax] = usual;
      if (!this.#signal.aborted) {
        await this.#server.sql(
          `SET GLOBAL innodb_max_dirty_pages_pct = ${dirty}; SET GLOBAL innodb_io_capacity = ${capacity}; SET GLOBAL innodb_io_capacity_max = ${capacityMax}`,
        );
      }
    }
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
    return { client: cpuOf('self').children, server: cpuOf(this.#server.pid).own, store };
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

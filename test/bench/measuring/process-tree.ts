// Watches the memory of a process and everything it starts, from /proc, without their help.
import { type Clock, systemClock, type Timer } from '../../../src/clock.ts';
import { processTree, readProc } from '../../process-tree.ts';

const SAMPLE_EVERY_MS = 50;
const FORK = 'fork';

export interface TreePeak {
  /** Highest sum of resident bytes over all processes of the tree at one instant. Pages they share count for each of them, but for a fork that runs nothing of its own yet. */
  readonly peakBytes: number;
  /** Who held them at that instant, largest first. */
  readonly atPeak: readonly { readonly name: string; readonly bytes: number }[];
  /** The kernel's own high-water mark of each process, largest first: exact, but not at one instant. */
  readonly highWater: readonly { readonly name: string; readonly bytes: number }[];
  readonly samples: number;
}

/** Samples the tree below `pid` (itself included) until `stop`. */
export class ProcessTreeWatch {
  readonly #pid: number;
  readonly #clock: Clock;
  readonly #highWater = new Map<number, { name: string; bytes: number }>();
  #peakBytes = 0;
  #atPeak: { name: string; bytes: number }[] = [];
  #samples = 0;
  #timer: Timer | null = null;

  constructor(pid: number, clock: Clock = systemClock) {
    this.#pid = pid;
    this.#clock = clock;
    this.#sample();
  }

  stop(): TreePeak {
    this.#timer?.cancel();
    const byBytes = (a: { bytes: number }, b: { bytes: number }): number => b.bytes - a.bytes;
    return {
      peakBytes: this.#peakBytes,
      atPeak: this.#atPeak.toSorted(byBytes),
      highWater: [...this.#highWater.values()].toSorted(byBytes),
      samples: this.#samples,
    };
  }

  #sample(): void {
    this.#timer = this.#clock.after(SAMPLE_EVERY_MS, () => this.#sample());
    const now: { name: string; bytes: number }[] = [];
    for (const { pid, parent } of processTree(this.#pid)) {
      const status = readProc(`${pid}/status`);
      const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
      const bytes = field('VmRSS');
      if (bytes === 0) continue;
      const name = nameOf(pid, parent);
      // what it shares with its parent is counted there; on a busy machine it may be seen again and again
      if (name === FORK) continue;
      now.push({ name, bytes });
      this.#highWater.set(pid, { name, bytes: field('VmHWM') });
    }
    this.#samples++;
    const sum = now.reduce((total, one) => total + one.bytes, 0);
    if (sum <= this.#peakBytes) return;
    this.#peakBytes = sum;
    this.#atPeak = now;
  }
}

/**
 * What it runs, in a word: `main.ts` for Node with that script, else the program. A `fork` is about to become another program
 * and for some milliseconds shares its parent's pages: they are there once.
 */
function nameOf(pid: number, parent: number): string {
  const commandLine = readProc(`${pid}/cmdline`);
  // none: in the middle of exec, between one program and the next
  if (commandLine === '' || commandLine === readProc(`${parent}/cmdline`)) return FORK;
  const words = commandLine.split('\0');
  const script = words.find((word) => word.endsWith('.ts'));
  return (script ?? words[0] ?? '?').split('/').at(-1) || '?';
}

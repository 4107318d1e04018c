// The real daemon as a child process, over a small shop on a real store.
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import { until } from '../servers/rig.ts';
import { Random } from '../shop/random.ts';
import { makeWorld, type World, type WorldOptions } from '../world/world.ts';

export interface LogLine {
  readonly event?: string;
  readonly level: string;
  readonly shop?: string;
  readonly job?: string;
  readonly code?: string;
  readonly msg: string;
}

export interface Daemon {
  readonly lines: LogLine[];
  readonly pid: number;
  /** Waits for a line with this event. */
  saw(event: string, job?: string): Promise<LogLine>;
  signal(name: NodeJS.Signals): void;
  /** Exit status, null when a signal ended it; and its standard output. */
  ended(): Promise<{ readonly status: number | null; readonly stdout: string }>;
}

/** A shop of so many files of a megabyte. */
export async function daemonWorld(options: WorldOptions = {}, megabytes = 1): Promise<World> {
  const root = mkdtempSync(join(tmpdir(), 'coffre-daemon-shop-'));
  mkdirSync(join(root, 'img'));
  for (let i = 0; i < megabytes; i++) writeFileSync(join(root, `img/${i}.jpg`), new Random(`daemon/${i}`).bytes(1_000_000));
  const made = await makeWorld({ ...options, files: { root } });
  onTestFinished(async () => {
    await made[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });
  return made;
}

/** Killed with the test, if it still runs then. */
export function startDaemon(it: World): Daemon {
  const child = it.start(['daemon']);
  const lines: LogLine[] = [];
  let stdout = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  if (child.stderr) createInterface({ input: child.stderr }).on('line', (line) => lines.push(JSON.parse(line) as LogLine));
  const end = once(child, 'close');
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await end;
  });
  return {
    lines,
    pid: child.pid ?? 0,
    async saw(event, job) {
      const find = (): LogLine | undefined => lines.find((line) => line.event === event && (job === undefined || line.job === job));
      await until(
        `the daemon logs ${event}: ${JSON.stringify(lines.slice(-5))}`,
        60_000,
        () => find() !== undefined || child.exitCode !== null,
      );
      const line = find();
      if (!line) throw new Error(`the daemon ended without logging ${event}: ${stdout} ${lines.map((one) => one.msg).join('; ')}`);
      return line;
    },
    signal: (name) => void child.kill(name),
    async ended() {
      const [status] = (await end) as [number | null];
      return { status, stdout };
    },
  };
}

// The real daemon as a child process that listens, for tests of commands that use it.
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import { until } from '../servers/rig.ts';
import type { World } from '../world/world.ts';

interface LogLine {
  readonly event?: string;
  readonly address?: string;
  readonly msg: string;
}

export interface RunningDaemon {
  readonly pid: number;
  /** `http://127.0.0.1:…` */
  readonly url: string;
  readonly lines: readonly LogLine[];
  signal(name: NodeJS.Signals): void;
  /** Resolves when it is gone. */
  readonly gone: Promise<unknown>;
}

/** Resolves once it listens. Killed at the end of the test if it still runs. */
export async function runDaemon(it: World): Promise<RunningDaemon> {
  const child = it.start(['daemon']);
  const lines: LogLine[] = [];
  if (child.stderr) createInterface({ input: child.stderr }).on('line', (line) => lines.push(JSON.parse(line) as LogLine));
  let stdout = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  const gone = once(child, 'close');
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await gone;
  });
  const doors = (): string[] => lines.flatMap((line) => (line.event === 'http.started' && line.address ? [line.address] : []));
  await until(
    `the daemon listens: ${JSON.stringify(lines.slice(-3))} ${stdout}`,
    60_000,
    () => doors().length === 2 || child.exitCode !== null,
  );
  if (doors().length < 2) throw new Error(`the daemon ended: ${stdout} ${lines.map((one) => one.msg).join('; ')}`);
  return {
    pid: child.pid ?? 0,
    url: doors().find((door) => door.startsWith('http')) ?? '',
    lines,
    signal: (name) => void child.kill(name),
    gone,
  };
}

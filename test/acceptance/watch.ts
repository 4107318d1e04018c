// Reads command line, title and environment of every process of a coffre while it runs, as anybody on the machine could.
import { readdirSync, readFileSync } from 'node:fs';
import { systemClock, type Timer } from '../../src/clock.ts';

export interface Seen {
  /** What `ps` shows, one text for each command line and name that was ever seen. */
  readonly shown: ReadonlySet<string>;
  /** Environments of the tar processes that coffre started. */
  readonly helperEnvironments: ReadonlySet<string>;
}

/** Watches everything below `pid` until the function it returns is called. */
export function watchProcesses(pid: number): () => Seen {
  const shown = new Set<string>();
  const helperEnvironments = new Set<string>();
  let timer: Timer;
  const look = (): void => {
    for (const one of tree(pid)) {
      const commandLine = read(`/proc/${one}/cmdline`);
      shown.add(commandLine);
      shown.add(read(`/proc/${one}/comm`));
      if (/^(\S*\/)?tar\0/.test(commandLine)) helperEnvironments.add(read(`/proc/${one}/environ`));
    }
    timer = systemClock.after(5, look);
  };
  look();
  return () => {
    timer.cancel();
    return { shown, helperEnvironments };
  };
}

function* tree(pid: number): Generator<number> {
  yield pid;
  let tasks: string[] = [];
  try {
    tasks = readdirSync(`/proc/${pid}/task`);
  } catch {
    return; // it ended
  }
  for (const task of tasks) {
    for (const child of read(`/proc/${pid}/task/${task}/children`).split(' ')) if (child) yield* tree(Number(child));
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // it ended
  }
}

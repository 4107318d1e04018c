// Reads command line, title and environment of every process of a coffre while it runs, as anybody on the machine could.
import { systemClock, type Timer } from '../../src/clock.ts';
import { processTree, readProc } from '../process-tree.ts';

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
    for (const { pid: one } of processTree(pid)) {
      const commandLine = readProc(`${one}/cmdline`);
      shown.add(commandLine);
      shown.add(readProc(`${one}/comm`));
      if (/^(\S*\/)?tar\0/.test(commandLine)) helperEnvironments.add(readProc(`${one}/environ`));
    }
    timer = systemClock.after(5, look);
  };
  look();
  return () => {
    timer.cancel();
    return { shown, helperEnvironments };
  };
}

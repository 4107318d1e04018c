// Child processes of tests: started with our Node, heard line by line, killed by pid and reaped.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';

export interface Child {
  readonly process: ChildProcess;
  /** The next line of its stdout; rejects when it ends without one. */
  line(): Promise<string>;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
  /** Waits for its end; its exit status, null when a signal ended it. */
  ended(): Promise<number | null>;
}

/** Runs a TypeScript file in a process of its own. */
export function startChild(script: string, args: readonly string[]): Child {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const end = once(child, 'close');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const kill = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await end;
  };
  onTestFinished(kill);
  return {
    process: child,
    kill,
    async line() {
      const next = await lines.next();
      if (next.done) throw new Error(`the child ended without another line: ${errors}`);
      return next.value;
    },
    async ended() {
      await end;
      if (child.exitCode !== 0 && errors !== '') process.stderr.write(errors);
      return child.exitCode;
    },
  };
}

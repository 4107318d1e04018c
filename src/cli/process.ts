// From a process to its one command and back: what nobody caught is printed as an error, and the process ends when the command has.
import { readFileSync } from 'node:fs';
import { systemClock } from '../clock.ts';
import { asCoffreError } from '../errors.ts';
import type { CliContext } from './context.ts';
import { type Io, processIo } from './io.ts';
import { printError } from './output.ts';
import { runProgram } from './program.ts';

/** How long a socket that some library keeps open may hold the terminal once nothing is left to do. */
const LINGER_MS = 2000;

/** Runs this process's command line with what `make` gives it. */
export async function runProcess(make: (argv: readonly string[], io: Io) => Pick<CliContext, 'adapters' | 'restore'>): Promise<void> {
  const io = processIo();
  const argv = process.argv.slice(2);
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      printError(io, argv.includes('--json'), asCoffreError(error));
      process.exit(1);
    });
  }
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  await runProgram(argv, version, { ...make(argv, io), clock: systemClock, io });
  systemClock.after(LINGER_MS, leave, { unref: true });
}

/** Ends the process although one of its threads may hang in the kernel: `process.exit` would wait for that thread. */
function leave(): never {
  const status = Number(process.exitCode ?? 0);
  process.execve?.('/bin/sh', ['sh', '-c', `exit ${status}`], {});
  process.exit(status);
}

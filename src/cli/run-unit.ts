// Hands this command line to the restore unit: the same arguments, the same terminal, its exit status.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { CoffreError } from '../errors.ts';
import type { Io } from './io.ts';

/** `script` is run by this very Node. A signal that stops us stops it, and it decides how. */
export async function runUnit(script: string, argv: readonly string[], io: Io): Promise<number> {
  return await new Promise<number>((resolve, reject) => {
    const child = spawn(process.execPath, [...process.execArgv, script, ...argv], { stdio: 'inherit' });
    // a terminal sends ^C to both of us; a manager's SIGTERM comes to us alone
    const stop = (): void => void child.kill('SIGTERM');
    if (io.signal.aborted) stop();
    io.signal.addEventListener('abort', stop, { once: true });
    child.once('error', (cause) => reject(new CoffreError('E_INTERNAL', `the restore unit does not start: ${cause.message}`, { cause })));
    child.once('exit', (code, signal) => {
      io.signal.removeEventListener('abort', stop);
      resolve(code ?? 128 + (signal ? constants.signals[signal] : 0));
    });
  });
}

// Hands this command line to the restore unit: the same arguments, the same terminal, the same process.
import { asCoffreError, CoffreError } from '../../errors.ts';
import type { Io } from '../io.ts';

/**
 * Becomes `script`, run by this very Node: this process has done nothing yet, and beside the unit it would only take the 90 MB
 * that a Node takes. Throws what a signal said, E_INTERNAL when the unit does not start.
 */
export function becomeUnit(script: string, argv: readonly string[], io: Io): never {
  io.signal.throwIfAborted();
  try {
    process.execve?.(process.execPath, [process.execPath, ...process.execArgv, script, ...argv], process.env);
  } catch (cause) {
    throw asCoffreError(cause, 'E_INTERNAL', 'the restore unit does not start');
  }
  throw new CoffreError('E_INTERNAL', 'this system cannot start the restore unit');
}

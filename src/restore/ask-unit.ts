// Asks the restore unit for what it alone may do, and hears what becomes of it.
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { CoffreError } from '../errors.ts';
import type { DamagedCopy } from './damaged-copy.ts';
import type { RestoreProgress } from './progress.ts';
import { parseEvent, type UnitRequest } from './request.ts';

export interface AskOptions extends Hearing {
  /** Where systemd listens for requests. */
  readonly socket: string;
}

export interface Hearing {
  /** Ends the connection, and by that the restore: the same request goes on with it later. */
  readonly signal: AbortSignal;
  readonly onStep?: (step: string) => void;
  readonly onProgress: (progress: RestoreProgress) => void;
  readonly onDamaged: (problem: DamagedCopy) => void;
}

/**
 * Resolves to what the task of the request's kind returns, once it is done. Snapshots must be pinned by a run of the caller: the unit writes
 * nothing into the catalog. Throws what the unit says, E_RESTORE_UNIT when it says nothing, and the signal's reason.
 */
export async function askRestoreUnit<Result extends object>(
  request: UnitRequest,
  { socket, signal, onStep, onProgress, onDamaged }: AskOptions,
): Promise<Result> {
  signal.throwIfAborted();
  const connection = createConnection(socket);
  const stop = (): void => void connection.destroy();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await once(connection, 'connect').catch((cause) => {
      signal.throwIfAborted();
      const code = (cause as NodeJS.ErrnoException).code;
      throw new CoffreError('E_RESTORE_UNIT', `${socket}: ${code ?? 'cannot be connected to'}`, {
        cause,
        hint:
          code === 'EACCES'
            ? 'run it as root'
            : 'systemctl enable --now coffre-restore.socket; without systemd, as root: coffre restore --to-dir DIR --overwrite',
      });
    });
    connection.on('error', () => {});
    // not ended: the unit takes the end of its input for the end of whoever asked
    connection.write(`${JSON.stringify(request)}\n`);
    return await hearUnit<Result>(connection, { signal, ...(onStep ? { onStep } : {}), onProgress, onDamaged });
  } finally {
    signal.removeEventListener('abort', stop);
    connection.destroy();
  }
}

/** What a restore unit says on `output`, to its answer. Throws as askRestoreUnit. */
export async function hearUnit<Result extends object>(
  output: Readable,
  { signal, onStep, onProgress, onDamaged }: Omit<AskOptions, 'socket'>,
): Promise<Result> {
  for await (const line of createInterface({ input: output })) {
    const event = parseEvent(line);
    if (event === null) continue;
    if (event.event === 'step') onStep?.(event.step);
    else if (event.event === 'progress') onProgress(event.progress);
    else if (event.event === 'damaged') onDamaged(event.problem);
    else if (event.event === 'failed') throw new CoffreError(event.code, event.message, { hint: event.hint });
    else return event.result as Result;
  }
  signal.throwIfAborted();
  throw new CoffreError('E_RESTORE_UNIT', 'the restore unit ended without an answer');
}

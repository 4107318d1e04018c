// Asks the restore unit for what it alone may do, and hears what becomes of it.
import { once } from 'node:events';
import { createConnection } from 'node:net';
import type { Readable } from 'node:stream';
import type { Clock, Timer } from '../clock.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import type { DamagedCopy } from './damaged-copy.ts';
import type { RestoreProgress } from './progress.ts';
import { ALIVE_EVERY_MS, parseEvent, type UnitRequest } from './unit-protocol.ts';

/**
 * A unit that lives says so every ALIVE_EVERY_MS, from its beginning on (request.ts). Its process can be gone, or hang in the kernel, and its
 * connection be there still: kept open by whoever started it, say. So many of its signs of life have to be missing.
 */
const SILENT_MS = 12 * ALIVE_EVERY_MS;
/** A unit that lives undoes and removes what it has to, and says that it ends; nobody waits longer for that. */
const LEAVE_WITHIN_MS = 5_000;
/** Longer than any answer: what was found about files is counted there, not listed. */
const LONGEST_LINE = 16 * 1024 * 1024;

export interface AskOptions extends Hearing {
  /** Where systemd listens for requests. */
  readonly socket: string;
  readonly clock: Clock;
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
 * nothing into the catalog. Throws what the unit says, E_RESTORE_UNIT when it says nothing, and the signal's reason, some seconds after it
 * at the latest.
 */
export async function askRestoreUnit<Result extends object>(
  request: UnitRequest,
  { clock, socket, signal, onStep, onProgress, onDamaged }: AskOptions,
): Promise<Result> {
  signal.throwIfAborted();
  const connection = createConnection(socket);
  connection.on('error', () => {});
  // our end of it alone: what the unit says to that is heard
  const stop = (): void => void connection.end();
  try {
    await once(connection, 'connect', { signal }).catch((cause) => {
      signal.throwIfAborted();
      const code = (cause as NodeJS.ErrnoException).code;
      throw new CoffreError('E_RESTORE_UNIT', `${socket}: ${code ?? 'cannot be connected to'}`, {
        cause,
        hint:
          code === 'EACCES'
            ? 'run it as root'
            : 'systemctl enable --now coffre-restore.socket; without systemd, as root: coffre request run ID, coffre drill SHOP, coffre export SHOP --to FILE',
      });
    });
    signal.addEventListener('abort', stop, { once: true });
    // not ended: the unit takes the end of its input for the end of whoever asked
    connection.write(`${JSON.stringify(request)}\n`);
    return await hearUnit<Result>(connection, clock, { signal, ...(onStep ? { onStep } : {}), onProgress, onDamaged });
  } finally {
    signal.removeEventListener('abort', stop);
    connection.destroy();
  }
}

/** What a restore unit says on `output`, to its answer; told to stop it has `leaveMs` for its last word. Throws as askRestoreUnit. */
export async function hearUnit<Result extends object>(
  output: Readable,
  clock: Clock,
  { signal, onStep, onProgress, onDamaged }: Hearing,
  leaveMs = LEAVE_WITHIN_MS,
): Promise<Result> {
  using ear = new Ear(output, clock, signal, leaveMs);
  for await (const line of ear.lines()) {
    const event = parseEvent(line);
    if (event === null || event.event === 'alive') continue;
    if (event.event === 'step') onStep?.(event.step);
    else if (event.event === 'progress') onProgress(event.progress);
    else if (event.event === 'damaged') onDamaged(event.problem);
    else if (event.event === 'done') return event.result as Result;
    else {
      // told to stop it fails of that, in whatever words
      signal.throwIfAborted();
      throw new CoffreError(event.code, event.message, { hint: event.hint });
    }
  }
  signal.throwIfAborted();
  throw new CoffreError('E_RESTORE_UNIT', 'the restore unit ended without an answer');
}

/** Hears a unit's lines, and gives up on one that is silent, or that does not leave. */
class Ear implements Disposable {
  readonly #output: Readable;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #leaveMs: number;
  readonly #onAbort = (): void => this.#giveUpAfter(this.#leaveMs);
  #timer: Timer | null = null;

  constructor(output: Readable, clock: Clock, signal: AbortSignal, leaveMs: number) {
    this.#output = output;
    this.#clock = clock;
    this.#signal = signal;
    this.#leaveMs = leaveMs;
    if (signal.aborted) this.#onAbort();
    else {
      this.#giveUpAfter(SILENT_MS);
      signal.addEventListener('abort', this.#onAbort, { once: true });
    }
  }

  /** Not by node:readline: that waits for ever on a stream that is destroyed instead of ended. */
  async *lines(): AsyncGenerator<string> {
    let begun = '';
    try {
      for await (const chunk of this.#output.setEncoding('utf8') as AsyncIterable<string>) {
        if (!this.#signal.aborted) this.#giveUpAfter(SILENT_MS);
        const lines = (begun + chunk).split('\n');
        begun = lines.pop() ?? '';
        if (begun.length > LONGEST_LINE) throw new CoffreError('E_RESTORE_UNIT', 'what the restore unit says has no end');
        yield* lines;
      }
    } catch (error) {
      this.#signal.throwIfAborted();
      throw asCoffreError(error, 'E_RESTORE_UNIT', 'the connection to the restore unit was lost');
    }
  }

  #giveUpAfter(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(ms, () => {
      const minutes = Math.round(ms / 60_000);
      this.#output.destroy(
        new CoffreError('E_RESTORE_UNIT', `the restore unit has said nothing for ${minutes} minutes`, {
          hint: 'its process is gone, or hangs in a file system: journalctl -u "coffre-restore@*", ps, df and dmesg say which',
        }),
      );
    });
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel();
    this.#signal.removeEventListener('abort', this.#onAbort);
  }
}

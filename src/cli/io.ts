// The process around a command: streams, terminal, environment and signals, so that nothing else touches `process`.
import { CoffreError } from '../errors.ts';

export interface Io {
  out(text: string): void;
  err(text: string): void;
  readonly stdin: NodeJS.ReadStream;
  readonly stdoutIsTerminal: boolean;
  readonly stderr: NodeJS.WriteStream;
  /** Width of the terminal, 80 where there is none. */
  readonly columns: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Aborts with E_INTERRUPTED at the first SIGINT, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal;
  /** From now on SIGHUP calls this instead. */
  onHangup(listener: () => void): void;
  /** From now on SIGUSR2 calls this, instead of ending the process. */
  onUser2(listener: () => void): void;
  setExitStatus(status: number): void;
}

const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/** The real process. A second signal ends it at once, with the status that a shell expects. */
export function processIo(): Io {
  const controller = new AbortController();
  let hangup: (() => void) | null = null;
  for (const [name, number] of Object.entries(SIGNAL_NUMBERS)) {
    process.on(name, () => {
      if (name === 'SIGHUP' && hangup !== null) {
        hangup();
        return;
      }
      if (controller.signal.aborted) process.exit(128 + number);
      controller.abort(new CoffreError('E_INTERRUPTED', `stopped by ${name}`));
    });
  }
  // `coffre snapshots | head` closes our stdout: that is the reader's right and no error of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
    throw error;
  });
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    stdin: process.stdin,
    stdoutIsTerminal: process.stdout.isTTY === true,
    stderr: process.stderr,
    columns: process.stdout.columns ?? 80,
    env: process.env,
    cwd: process.cwd(),
    signal: controller.signal,
    onHangup: (listener) => {
      hangup = listener;
    },
    onUser2: (listener) => void process.on('SIGUSR2', listener),
    setExitStatus: (status) => {
      process.exitCode = status;
    },
  };
}

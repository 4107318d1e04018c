// The port to the machine that a shop lives on: this one, or one reached over SSH. Programs, their streams, and tunnels.
import type { Duplex, Readable, Writable } from 'node:stream';

/** How a program ended. `status` null: by a signal, or the connection that it ran over is gone (`lost` says so). */
export interface ProcessEnd {
  readonly status: number | null;
  readonly lost: boolean;
}

export interface HostProcess {
  /** Its errors are swallowed: the exit status and stderr of a program that died early say more than EPIPE. */
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** After exit and after all output was read. Rejects with E_TOOL_MISSING when it could not be started, E_SSH_… when the host cannot be reached. */
  readonly ended: Promise<ProcessEnd>;
  /** At once and for good. Idempotent. */
  kill(): void;
}

export interface Host {
  readonly type: 'local' | 'ssh';
  /** For messages: `this machine`, or `user@host:port`. */
  readonly name: string;
  /**
   * Starts a program, without a shell's interpretation of `argv`, in the C locale and with nothing else of our environment than PATH.
   * No secret in `argv`. `signal` kills it.
   */
  start(argv: readonly string[], signal?: AbortSignal): HostProcess;
  /** A byte stream to a TCP port or a unix socket as seen from the host. Errors come from the stream. */
  connect(to: { readonly host: string; readonly port: number } | { readonly socketPath: string }): Duplex;
  /** Starts a subsystem of an SSH server by its name, such as `sftp`; hosts without one lack it. Errors come from the stream. */
  subsystem?(name: string): Duplex;
  /** Ends what runs and the connection. Idempotent. */
  close(): Promise<void>;
}

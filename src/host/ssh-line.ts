// A connection in use: its sessions are counted, since sshd allows few (MaxSessions), and a guard on the host ends what outlives it.
import type { ClientChannel } from 'ssh2';
import { commandLine } from './ssh-command.ts';
import { ChannelRefused, type SshConnection } from './ssh-connection.ts';
import type { ProcessLine } from './ssh-process.ts';

/** What sshd allows unless it is told otherwise. */
const USUAL_MAX_SESSIONS = 10;

/**
 * Reads `+ PID`, `- PID` (a group of ours began, ended) and `k PID` (kill it). sshd kills nothing when a connection ends; but then
 * this script's input ends, and it kills what is left.
 */
const GUARD_SCRIPT = [
  'trap "" HUP PIPE',
  'left=',
  'while read -r what pid; do',
  'case $what in',
  '+) left="$left $pid" ;;',
  '-) kept=; for p in $left; do [ "$p" = "$pid" ] || kept="$kept $p"; done; left=$kept ;;',
  'k) kill -KILL "-$pid" 2>/dev/null ;;',
  'esac',
  'done',
  'for p in $left; do kill -KILL "-$p" 2>/dev/null; done',
].join('\n');

export class SshLine implements ProcessLine {
  readonly connection: SshConnection;
  #sessions = 0;
  #limit = USUAL_MAX_SESSIONS;
  #guard: ClientChannel | null = null;

  constructor(connection: SshConnection) {
    this.connection = connection;
  }

  get name(): string {
    return this.connection.name;
  }

  get isLost(): boolean {
    return this.connection.lost !== null;
  }

  get hasRoom(): boolean {
    return this.#sessions < this.#limit;
  }

  get sessions(): number {
    return this.#sessions;
  }

  onLost(callback: () => void): () => void {
    return this.connection.onLost(callback);
  }

  /** Starts the guard; goes without when the host has no room for it or runs nothing (which the first program will say). */
  async startGuard(): Promise<void> {
    try {
      await this.session(
        async (connection) => {
          const guard = await connection.exec(commandLine(['sh', '-c', GUARD_SCRIPT]));
          guard.on('error', () => {}).resume();
          guard.stderr.resume();
          guard.on('close', () => {
            this.#guard = null;
          });
          this.#guard = guard;
          return guard;
        },
        () => {},
      );
    } catch {
      this.#guard = null;
    }
  }

  /**
   * Opens a session. `whenFree` is called when its place is free again. Throws what `open` throws; ChannelRefused means that the
   * host allows no more sessions here, which is remembered.
   */
  async session(open: (connection: SshConnection) => Promise<ClientChannel>, whenFree: () => void): Promise<ClientChannel> {
    this.#sessions += 1;
    let isFree = false;
    const free = (): void => {
      if (isFree) return;
      isFree = true;
      this.#sessions -= 1;
      whenFree();
    };
    try {
      const channel = await open(this.connection);
      const leave = this.onLost(free);
      channel.once('close', () => {
        leave();
        free();
      });
      return channel;
    } catch (error) {
      if (error instanceof ChannelRefused) this.#limit = this.#sessions - 1;
      free();
      throw error;
    }
  }

  /** Gives the guard's session to a program, where the host allows one alone. False: it had none. */
  dropGuard(): boolean {
    if (this.#guard === null) return false;
    this.#guard.end();
    this.#guard = null;
    this.#limit = Math.max(1, this.#limit);
    return true;
  }

  began(leader: number): void {
    this.#tell(`+ ${leader}\n`);
  }

  ended(leader: number): void {
    this.#tell(`- ${leader}\n`);
  }

  killGroup(leader: number): void {
    this.#tell(`k ${leader}\n`);
  }

  #tell(words: string): void {
    if (this.#guard?.writable && !this.isLost) this.#guard.write(words);
  }
}

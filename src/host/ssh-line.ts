// A connection in use: its sessions are counted, since sshd allows few (MaxSessions), and a guard on the host ends what outlives it.
import type { ClientChannel } from 'ssh2';
import type { Clock } from '../clock.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { commandLine, quoteWords } from './ssh-command.ts';
import { ChannelRefused, type SshConnection } from './ssh-connection.ts';
import type { ProcessLine } from './ssh-process.ts';

/** What sshd allows unless it is told otherwise. */
const USUAL_MAX_SESSIONS = 10;

const GUARD_READY = 'coffre-guards\n';
const LONGEST_PREAMBLE_BYTES = 1024;

/**
 * Reads `+ PID`, `- PID` (a group of ours began, ended) and `k PID` (kill it). sshd kills nothing when a connection ends; but then
 * this script's input ends without a `q`, and it kills what is left: first what it was told of, then, where there is a /proc, whatever this
 * connection started and nobody could tell of in time.
 */
const GUARD_SCRIPT = [
  'trap "" HUP PIPE',
  'echo coffre-guards',
  'left=',
  'while read -r what pid; do',
  'case $what in',
  '+) left="$left $pid" ;;',
  '-) kept=; for p in $left; do [ "$p" = "$pid" ] || kept="$kept $p"; done; left=$kept ;;',
  'q) exit 0 ;;',
  'k) kill -KILL "-$pid" 2>/dev/null ;;',
  'esac',
  'done',
  'for p in $left; do kill -KILL "-$p" 2>/dev/null; done',
  '[ -n "$SSH_CONNECTION" ] || exit 0',
  'for round in 1 2; do',
  'for found in $(grep -lszxF "SSH_CONNECTION=$SSH_CONNECTION" /proc/[0-9]*/environ); do',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the host's shell fills this in, not we
  'p=${found#/proc/}; p=${p%/environ}',
  '[ "$p" = "$$" ] || kill -KILL "$p" 2>/dev/null',
  'done',
  '[ "$round" = 2 ] || sleep 1',
  'done',
].join('\n');

export class SshLine implements ProcessLine {
  readonly connection: SshConnection;
  readonly #whenFree: () => void;
  #sessions = 0;
  #limit = USUAL_MAX_SESSIONS;
  #guard: ClientChannel | null = null;
  #refusal: CoffreError | null = null;

  /** `whenFree` is called when a session's place is free again. */
  constructor(connection: SshConnection, whenFree: () => void) {
    this.connection = connection;
    this.#whenFree = whenFree;
    this.onLost(whenFree);
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

  /** Starts the guard, and learns so whether the host runs programs at all; goes without when it has no room for it. */
  async startGuard(clock: Clock, limitMs: number): Promise<void> {
    let guard: ClientChannel;
    try {
      guard = await this.session((connection) => connection.exec(commandLine(['sh', '-c', GUARD_SCRIPT])));
    } catch (error) {
      if (!(error instanceof ChannelRefused)) this.#refusal = asCoffreError(error, 'E_SSH_COMMAND');
      return;
    }
    let said = '';
    guard.on('error', () => {});
    guard.stderr.resume();
    const refusal = (): CoffreError => new CoffreError('E_SSH_COMMAND', `${this.name} runs no programs for this user${quoteWords(said)}`);
    // A host that starts SFTP whatever it is asked for would wait for more: this line is no message of that protocol, so it gives up.
    guard.write('- 0\n');
    // Until the guard has said its last word the connection's end would end it too, and what was started meanwhile would stay.
    await new Promise<void>((resolve) => {
      const timer = clock.after(limitMs, () => {
        this.#refusal = refusal();
        guard.close();
        resolve();
      });
      guard.on('data', (chunk: Buffer) => {
        if (this.#guard !== null) return;
        said = (said + chunk.toString('latin1')).slice(-LONGEST_PREAMBLE_BYTES);
        if (!said.includes(GUARD_READY)) return;
        this.#guard = guard;
        timer.cancel();
        resolve();
      });
      guard.on('close', () => {
        if (this.#guard === null && !this.isLost && !said.includes(GUARD_READY)) this.#refusal = refusal();
        this.#guard = null;
        timer.cancel();
        resolve();
      });
      this.onLost(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  /** Why nothing runs on this host; null: programs run. */
  get refusal(): CoffreError | null {
    return this.#refusal;
  }

  /** Throws what `open` throws; ChannelRefused means that the host allows no more sessions here, which is remembered. */
  async session(open: (connection: SshConnection) => Promise<ClientChannel>): Promise<ClientChannel> {
    this.#sessions += 1;
    let isFree = false;
    const free = (): void => {
      if (isFree) return;
      isFree = true;
      this.#sessions -= 1;
      this.#whenFree();
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
      if (error instanceof ChannelRefused) this.#limit = Math.max(1, this.#sessions - 1);
      free();
      throw error;
    }
  }

  /** Gives the guard's session to a program, where the host allows one alone. */
  dropGuard(): void {
    this.#tell('q\n');
    this.#guard = null;
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

// A machine reached over SSH, where nothing of ours is installed and nothing is left behind.
import type { Duplex } from 'node:stream';
import type { ClientChannel } from 'ssh2';
import type { Clock } from '../clock.ts';
import type { SshHostConfig } from '../config/config.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import type { Host, HostProcess } from './host.ts';
import { commandLine } from './ssh-command.ts';
import { ChannelRefused, type LineWatch, openSshConnection, type SshConnection } from './ssh-connection.ts';
import { SshLine } from './ssh-line.ts';
import { SshProcess } from './ssh-process.ts';
import { SshTunnel } from './ssh-tunnel.ts';

const LINE_WATCH: LineWatch = { intervalMs: 15_000, missed: 3 };
/** More programs than these have sessions for wait for one that ends. */
const MOST_CONNECTIONS = 6;
/** Of a session on a connection that has no other. */
const MOST_REFUSALS = 30;
const REFUSAL_WAIT_MS = 100;

type Address = Parameters<Host['connect']>[0];

/** Opens its connection with the first program or tunnel, and a new one after that was lost. */
export class SshHost implements Host {
  readonly type = 'ssh';
  readonly name: string;
  readonly #config: SshHostConfig;
  readonly #clock: Clock;
  readonly #watch: LineWatch;
  #lines: SshLine[] = [];
  #opening: Promise<SshLine> | null = null;
  #mostLines = MOST_CONNECTIONS;
  #waiting: (() => void)[] = [];
  #closed = false;

  constructor(config: SshHostConfig, clock: Clock, watch: LineWatch = LINE_WATCH) {
    this.#config = config;
    this.#clock = clock;
    this.#watch = watch;
    this.name = `${config.user}@${config.host}:${config.port}`;
  }

  /** The program's end rejects with E_SSH_CONNECT, E_SSH_HOSTKEY, E_SSH_AUTH, E_SSH_COMMAND, E_SSH_LOST, E_TOOL_MISSING. */
  start(argv: readonly string[], signal?: AbortSignal): HostProcess {
    const program = new SshProcess(argv[0] ?? '');
    const kill = (): void => program.kill();
    if (signal?.aborted) kill();
    signal?.addEventListener('abort', kill, { once: true });
    program.ended.catch(() => {}).finally(() => signal?.removeEventListener('abort', kill));
    if (!program.isOver) this.#run(program, argv).catch((error: unknown) => program.fail(asCoffreError(error, 'E_SSH_CONNECT', this.name)));
    return program;
  }

  /** Ends with E_SSH_FORWARD when the host does not forward, and as `start` when it is not reached. */
  connect(to: Address): Duplex {
    return new SshTunnel(async () => {
      const { connection } = await this.#someLine();
      const where = 'socketPath' in to ? to.socketPath : `${to.host}:${to.port}`;
      try {
        return { channel: await connection.forward(to), line: connection };
      } catch (error) {
        if (!(error instanceof ChannelRefused)) throw asCoffreError(error, 'E_SSH_FORWARD', `${this.name} cannot reach ${where}`);
        if (error.prohibited) {
          throw new CoffreError('E_SSH_FORWARD', `${this.name} refuses to forward a connection to ${where}`, { cause: error });
        }
        if ('socketPath' in to && (await this.#hasSocket(to.socketPath))) {
          throw new CoffreError('E_SSH_FORWARD', `${this.name} opens no connection to ${where}, which is there`, {
            hint: `AllowStreamLocalForwarding must be on in its sshd_config for this user, who must have the right to use the socket`,
            cause: error,
          });
        }
        throw Object.assign(new Error(`nothing answers at ${where} of ${this.name}`, { cause: error }), { code: 'ECONNREFUSED' });
      }
    });
  }

  /** sshd says the same of a socket that it may not forward to as of one that is not there. */
  async #hasSocket(path: string): Promise<boolean> {
    const program = this.start(['test', '-S', path]);
    return await program.ended.then(
      ({ status }) => status === 0,
      () => true,
    );
  }

  /** Ends with E_SSH_COMMAND when the host has none of that name, and as `start` when it is not reached. */
  subsystem(name: string): Duplex {
    return new SshTunnel(async () => {
      const { channel, line } = await this.#session((connection) => connection.subsystem(name), { isProgram: false });
      return { channel, line: line.connection };
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    await this.#opening?.catch(() => {});
    await Promise.all(this.#lines.map((line) => line.connection.close()));
    this.#lines = [];
  }

  async #run(program: SshProcess, argv: readonly string[]): Promise<void> {
    const command = commandLine(argv);
    const { channel, line } = await this.#session((connection) => connection.exec(command), {
      isProgram: true,
      isUnwanted: () => program.isOver,
    });
    program.attach(channel, line);
  }

  /** Opens a session where there is room: on a connection, on a further one, or on the first that gets room. */
  async #session(
    open: (connection: SshConnection) => Promise<ClientChannel>,
    { isProgram, isUnwanted = () => false }: { readonly isProgram: boolean; readonly isUnwanted?: () => boolean },
  ): Promise<{ channel: ClientChannel; line: SshLine }> {
    let refusals = 0;
    for (;;) {
      const line = await this.#roomyLine();
      if (isProgram && line.refusal !== null) throw line.refusal;
      if (isUnwanted()) throw new CoffreError('E_INTERRUPTED', 'not wanted any more');
      try {
        return { channel: await line.session(open), line };
      } catch (error) {
        if (!(error instanceof ChannelRefused)) throw error;
        if (line.sessions === 1) line.dropGuard();
        if (line.sessions > 0) continue;
        // sshd takes a moment to count a session that has ended as free
        refusals += 1;
        if (refusals > MOST_REFUSALS)
          throw new CoffreError('E_SSH_COMMAND', `${this.name} opens no session for this user`, { cause: error });
        await this.#clock.sleep(REFUSAL_WAIT_MS);
      }
    }
  }

  async #roomyLine(): Promise<SshLine> {
    for (;;) {
      this.#checkOpen();
      this.#lines = this.#lines.filter((line) => !line.isLost);
      const roomy = this.#lines.filter((line) => line.hasRoom).sort((a, b) => a.sessions - b.sessions)[0];
      if (roomy !== undefined) return roomy;
      if (this.#lines.length === 0) await this.#openLine();
      else if (this.#lines.length < this.#mostLines) {
        // A host that takes no further connection has one that works: then its programs wait for each other.
        await this.#openLine().catch(() => {
          this.#mostLines = Math.max(1, this.#lines.length);
        });
      } else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async #someLine(): Promise<SshLine> {
    this.#checkOpen();
    return this.#lines.find((line) => !line.isLost) ?? (await this.#openLine());
  }

  /** One at a time: whoever comes meanwhile gets the same. */
  #openLine(): Promise<SshLine> {
    this.#opening ??= this.#connect().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #connect(): Promise<SshLine> {
    const line = new SshLine(await openSshConnection(this.#config, this.#clock, this.#watch), () => this.#wake());
    await line.startGuard(this.#clock, this.#config.connectTimeoutMs);
    if (this.#closed) await line.connection.close();
    this.#checkOpen();
    this.#lines.push(line);
    return line;
  }

  #checkOpen(): void {
    if (this.#closed) throw new CoffreError('E_SSH_LOST', `the connection to ${this.name} is closed`);
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

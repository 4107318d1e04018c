// One SSH connection: opened with the host's key checked, watched for a dead line, and closed once for all its channels.
import { createSecretKey } from 'node:crypto';
import { createConnection, type Socket } from 'node:net';
import ssh2, { type Client, type ClientChannel, type ServerHostKeyAlgorithm } from 'ssh2';
import type { Clock, Timer } from '../clock.ts';
import type { SshHostConfig } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { loginMethods } from './ssh-credentials.ts';
import { hostKeyError, noCommonKeyType } from './ssh-host-key-error.ts';
import { type KnownHost, readKnownHost } from './ssh-known-hosts.ts';
import { youngGarbage } from './young-garbage.ts';

export interface LineWatch {
  /** How often the line is asked for a sign of life. */
  readonly intervalMs: number;
  /** So many intervals without a byte in either direction, and it is dead. */
  readonly missed: number;
}

/** AES-GCM through OpenSSL is what Node does fastest, by far; the others are for servers without it. */
const CIPHERS = ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes128-ctr', 'aes256-ctr', 'chacha20-poly1305@openssh.com'] as const;

/** Why a channel was not opened, by the protocol's numbers (RFC 4254, 5.1). */
export class ChannelRefused extends Error {
  override readonly name = 'ChannelRefused';
  /** Not by what the channel leads to, but by the server's rules. */
  readonly prohibited: boolean;

  constructor(message: string, reason: unknown) {
    super(message);
    this.prohibited = reason === 1;
  }
}

/**
 * Logs in. Throws E_SSH_CONNECT, E_SSH_HOSTKEY, E_SSH_AUTH, and what reading the keys throws; nothing is sent to a host whose key
 * is not the known one.
 */
export async function openSshConnection(config: SshHostConfig, clock: Clock, watch: LineWatch): Promise<SshConnection> {
  const known = readKnownHost(config.knownHostsFile, config);
  const methods = loginMethods(config);
  const name = `${config.user}@${config.host}:${config.port}`;
  const client = new ssh2.Client();
  const socket = createConnection({ host: config.host, port: config.port, noDelay: true });
  let refusal: CoffreError | null = null;
  let agentTrouble = '';
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (error: Error & { level?: string }): void => {
        if (error.level === 'agent') {
          // the next way to log in is tried after it
          agentTrouble = ` (ssh-agent: ${error.message})`;
          return;
        }
        reject(refusal ?? connectError(error, name, config, known, agentTrouble));
      };
      client.on('ready', resolve).on('error', fail);
      client.on('close', () => reject(refusal ?? new CoffreError('E_SSH_CONNECT', `${name} closed the connection before the login`)));
      client.connect({
        sock: socket,
        username: config.user,
        readyTimeout: config.connectTimeoutMs,
        // Only asks for signs of life; how long to wait for one is the connection's own decision.
        keepaliveInterval: watch.intervalMs,
        keepaliveCountMax: Number.MAX_SAFE_INTEGER,
        algorithms: { cipher: [...CIPHERS], compress: ['none'], ...wantedKeyTypes(known) },
        hostVerifier: (key: Buffer) => {
          const verdict = known.judge(key);
          if (verdict !== 'known') refusal = hostKeyError(verdict, key, config);
          return verdict === 'known';
        },
        authHandler: (_left, _partial, next) => next(methods.shift() ?? (false as never)),
      });
    });
  } catch (error) {
    client.on('error', () => {});
    client.destroy();
    socket.destroy();
    throw error;
  }
  return new SshConnection(client, socket, name, clock, watch);
}

/**
 * ssh2 makes a decipher for each packet from the bytes of the key, and Node a key object from these: made once, it saves a third of what
 * decrypting costs the main thread. Not public (ssh2's version is pinned): another version, or new keys, are only slower.
 */
function quickenDecryption(client: Client): void {
  const { _protocol: protocol } = client as unknown as { readonly _protocol?: { readonly _decipher?: { _decipherKey?: unknown } } };
  const decipher = protocol?._decipher;
  if (decipher && Buffer.isBuffer(decipher._decipherKey)) decipher._decipherKey = createSecretKey(decipher._decipherKey);
}

/** A server with several keys must show one of those that the file has. */
function wantedKeyTypes(known: KnownHost): { serverHostKey?: ServerHostKeyAlgorithm[] } {
  const types = known.keyTypes.flatMap((type) => (type === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256'] : [type]));
  const able = types.filter((type) => /^(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|rsa-sha2-(256|512))$/.test(type));
  return able.length > 0 ? { serverHostKey: able as ServerHostKeyAlgorithm[] } : {};
}

function connectError(
  error: Error & { level?: string; code?: unknown },
  name: string,
  config: SshHostConfig,
  known: KnownHost,
  agentTrouble: string,
): CoffreError {
  if (error.level === 'client-authentication') {
    return new CoffreError('E_SSH_AUTH', `${name} refused the login with every key it was offered${agentTrouble}`, { cause: error });
  }
  if (/no matching host key/i.test(error.message)) return noCommonKeyType(known.keyTypes, config, error);
  const what = error.level === 'client-timeout' ? `no login within ${config.connectTimeoutMs / 1000} s` : error.message;
  return new CoffreError('E_SSH_CONNECT', `cannot connect to ${name}: ${what}`, { cause: error });
}

export class SshConnection {
  readonly name: string;
  readonly #client: Client;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #watch: LineWatch;
  readonly #onLost = new Set<() => void>();
  #watchTimer: Timer | null = null;
  #lost: string | null = null;

  constructor(client: Client, socket: Socket, name: string, clock: Clock, watch: LineWatch) {
    this.name = name;
    this.#client = client;
    this.#socket = socket;
    this.#clock = clock;
    this.#watch = watch;
    client.removeAllListeners('error');
    client.removeAllListeners('close');
    client.on('error', (error: Error) => this.#lose(error.message));
    client.on('end', () => this.#lose('the host closed the connection'));
    client.on('close', () => this.#lose('the connection was closed'));
    quickenDecryption(client);
    const dropped = youngGarbage();
    // as much again lies decrypted, but collecting has its price too: three times as often took more time than it saved
    socket.on('data', (chunk: Buffer) => dropped(chunk.length));
    this.#watchLine();
  }

  /** Why it is gone; null while it is there. */
  get lost(): string | null {
    return this.#lost;
  }

  /** Calls back once when the connection is gone, at once when it is already. The answer takes the callback away. */
  onLost(callback: () => void): () => void {
    if (this.#lost !== null) callback();
    else this.#onLost.add(callback);
    return () => this.#onLost.delete(callback);
  }

  lostError(cause?: unknown): CoffreError {
    return new CoffreError('E_SSH_LOST', `the connection to ${this.name} was lost: ${this.#lost ?? 'no answer'}`, { cause });
  }

  /** Throws E_SSH_LOST, ChannelRefused (too many sessions), E_SSH_COMMAND. */
  exec(line: string): Promise<ClientChannel> {
    return this.#channel<ClientChannel>((done) => this.#client.exec(line, done)).catch((error: unknown) => {
      if (error instanceof Error && error.message === 'Unable to exec') {
        throw new CoffreError('E_SSH_COMMAND', `${this.name} refuses to run programs`, { cause: error });
      }
      throw error;
    });
  }

  /** Throws E_SSH_LOST, ChannelRefused. */
  forward(to: { readonly host: string; readonly port: number } | { readonly socketPath: string }): Promise<ClientChannel> {
    return this.#channel((done) => {
      if ('socketPath' in to) this.#client.openssh_forwardOutStreamLocal(to.socketPath, done);
      else this.#client.forwardOut('127.0.0.1', 0, to.host, to.port, done);
    });
  }

  /** Throws E_SSH_LOST, ChannelRefused (too many sessions), E_SSH_COMMAND. */
  subsystem(name: string): Promise<ClientChannel> {
    return this.#channel<ClientChannel>((done) => this.#client.subsys(name, done)).catch((error: unknown) => {
      if (error instanceof ChannelRefused || error instanceof CoffreError) throw error;
      throw new CoffreError('E_SSH_COMMAND', `${this.name} has no subsystem ${name} for this user`, { cause: error });
    });
  }

  /** Drops it; what runs over it ends as lost. Idempotent. */
  async close(): Promise<void> {
    this.#lose('it was closed on this side');
    if (this.#socket.closed) return;
    const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    this.#client.end();
    // A dead line answers no goodbye.
    const timer = this.#clock.after(1000, () => this.#socket.destroy());
    await closed;
    timer.cancel();
  }

  #channel<T>(open: (done: (error: (Error & { reason?: unknown }) | undefined, channel: T) => void) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#lost !== null) {
        reject(this.lostError());
        return;
      }
      const leave = this.onLost(() => reject(this.lostError()));
      open((error, channel) => {
        leave();
        if (!error) resolve(channel);
        else if (this.#lost !== null) reject(this.lostError(error));
        else if (error.reason !== undefined) reject(new ChannelRefused(error.message, error.reason));
        else reject(error);
      });
    });
  }

  #lose(why: string): void {
    if (this.#lost !== null) return;
    this.#lost = why;
    this.#watchTimer?.cancel();
    for (const callback of this.#onLost) callback();
    this.#onLost.clear();
  }

  /**
   * On a slow line the answer to a ping stands behind megabytes of data, so any byte that arrives is a sign of life, and so is any that
   * the kernel takes while more wait for it: on a dead line it soon takes no more. (Pings alone it takes for a quarter of an hour.)
   */
  #watchLine(): void {
    const socket = this.#socket;
    let before = { received: -1, sent: 0, waiting: 0 };
    let missed = 0;
    const look = (): void => {
      const waiting = socket.writableLength;
      const now = { received: socket.bytesRead, sent: socket.bytesWritten - waiting, waiting };
      const isAlive = now.received !== before.received || (before.waiting > 0 && now.sent !== before.sent);
      missed = isAlive ? 0 : missed + 1;
      before = now;
      if (missed >= this.#watch.missed) {
        this.#lose(`no sign of life for ${(this.#watch.missed * this.#watch.intervalMs) / 1000} s`);
        socket.destroy();
        return;
      }
      this.#watchTimer = this.#clock.after(this.#watch.intervalMs, look, { unref: true });
    };
    look();
  }
}

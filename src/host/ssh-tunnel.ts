// A byte stream to a port or socket of a host, through its SSH connection.
import { Duplex } from 'node:stream';
import type { ClientChannel } from 'ssh2';

/** What carries it: ended for all its channels at once. */
export interface TunnelLine {
  onLost(callback: () => void): () => void;
  lostError(): Error;
}

const READ_AHEAD_BYTES = 256 * 1024;

export class SshTunnel extends Duplex {
  readonly #opened: Promise<ClientChannel | null>;
  #channel: ClientChannel | null = null;
  #leaveLine: () => void = () => {};
  #writing: ((error?: Error | null) => void) | null = null;

  /** `open` rejects with the error that the stream is to end with. */
  constructor(open: () => Promise<{ readonly channel: ClientChannel; readonly line: TunnelLine }>) {
    super({ readableHighWaterMark: READ_AHEAD_BYTES, writableHighWaterMark: READ_AHEAD_BYTES });
    this.#opened = open().then(
      ({ channel, line }) => this.#attach(channel, line),
      (error: Error) => {
        this.destroy(error);
        return null;
      },
    );
  }

  override _read(): void {
    this.#channel?.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    void this.#opened.then((channel) => {
      if (channel?.writable && !this.destroyed) {
        this.#writing = done;
        channel.write(chunk, () => this.#written());
      } else done(closedPipe());
    });
  }

  /** The channel calls back when the host has room, so never after its end. */
  #written(error?: Error): void {
    const done = this.#writing;
    this.#writing = null;
    done?.(error);
  }

  override _final(done: (error?: Error | null) => void): void {
    void this.#opened.then((channel) => {
      channel?.end();
      done();
    });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#leaveLine();
    this.#channel?.close();
    // what still comes is thrown away: without that the channel would never tell its end
    this.#channel?.removeAllListeners('data').resume();
    done(error);
    this.#written(error ?? closedPipe());
  }

  #attach(channel: ClientChannel, line: TunnelLine): ClientChannel {
    this.#channel = channel;
    channel.on('error', () => {});
    channel.stderr?.resume();
    if (this.destroyed) {
      channel.close();
      channel.resume();
      return channel;
    }
    this.#leaveLine = line.onLost(() => this.destroy(line.lostError()));
    channel.on('data', (chunk: Buffer) => {
      if (!this.destroyed && !this.push(chunk)) channel.pause();
    });
    channel.on('end', () => this.push(null));
    channel.on('close', () => {
      // a write that waits for room would wait for ever
      if (!this.writableFinished) this.destroy();
    });
    this.emit('connect');
    return channel;
  }
}

function closedPipe(): Error {
  return Object.assign(new Error('the tunnel is closed'), { code: 'EPIPE' });
}

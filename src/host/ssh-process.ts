// A program on a host: our own streams before an SSH channel's, so that they exist at once and end with the connection.
import { Readable, Writable } from 'node:stream';
import type { ClientChannel } from 'ssh2';
import { CoffreError } from '../errors.ts';
import type { HostProcess, ProcessEnd } from './host.ts';
import { quoteWords, START_MARK } from './ssh-command.ts';
import { widenWindow } from './ssh-window.ts';

/** What a login shell may say before the program starts. */
const LONGEST_PREAMBLE_BYTES = 64 * 1024;
const NOT_FOUND_STATUS = 127;
const READ_AHEAD_BYTES = 256 * 1024;

/** The connection that a program got its channel from. */
export interface ProcessLine {
  readonly name: string;
  onLost(callback: () => void): () => void;
  /** A process group of ours runs on the host from now on, is over. */
  began(leader: number): void;
  ended(leader: number): void;
  /** Kills what runs under this process group on the host. */
  killGroup(leader: number): void;
}

export class SshProcess implements HostProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly ended: Promise<ProcessEnd>;
  readonly #program: string;
  readonly #settle: { resolve: (end: ProcessEnd) => void; reject: (error: unknown) => void };
  #channel: ClientChannel | null = null;
  #line: ProcessLine | null = null;
  #settled = false;
  /** Of the program and its process group; null until its mark arrived. */
  #leader: number | null = null;
  #opened: () => void = () => {};
  /** Of the write that waits for the channel. */
  #writing: ((error?: Error | null) => void) | null = null;

  constructor(program: string) {
    this.#program = program;
    const { promise, resolve, reject } = Promise.withResolvers<ProcessEnd>();
    this.ended = promise;
    this.ended.catch(() => {});
    this.#settle = { resolve, reject };
    const opened = new Promise<void>((done) => {
      this.#opened = done;
    });
    this.stdin = new Writable({
      write: (chunk: Buffer, _encoding, done) => void opened.then(() => this.#write(chunk, done)),
      final: (done) => void opened.then(() => this.#endInput(done)),
    });
    this.stdin.on('error', () => {});
    const read = { highWaterMark: READ_AHEAD_BYTES };
    this.stdout = new Readable({ ...read, read: () => this.#channel?.resume() });
    this.stderr = new Readable({ ...read, read: () => this.#channel?.stderr.resume() });
  }

  /** It has ended, by kill at the latest: it needs no channel any more. */
  get isOver(): boolean {
    return this.#settled;
  }

  /** It could not be started. */
  fail(error: unknown): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#settle.reject(error);
    this.#endStreams();
  }

  /** Runs over this channel from now on. */
  attach(channel: ClientChannel, line: ProcessLine): void {
    this.#channel = channel;
    this.#line = line;
    channel.on('error', () => {});
    if (this.#settled) {
      this.#stop(channel);
      channel.resume();
      channel.stderr.resume();
      return;
    }
    const leaveLine = line.onLost(() => this.#end({ status: null, lost: true }));
    const preambles = [this.#pass(channel, this.stdout), this.#pass(channel.stderr, this.stderr)];
    // It carries the exit status; the event of its own may have passed before anybody could listen.
    channel.on('close', (code: number | null | undefined) => {
      const status = code ?? null;
      leaveLine();
      if (this.#leader !== null) line.ended(this.#leader);
      if (this.#settled) return;
      if (this.#leader === null) this.#refused(preambles.map((preamble) => preamble()).join(' '));
      else if (status === NOT_FOUND_STATUS) {
        this.fail(new CoffreError('E_TOOL_MISSING', `${this.#program} is not installed on ${line.name}`));
      } else void this.#endAfterOutput(status);
    });
    this.#opened();
  }

  kill(): void {
    if (this.#settled) return;
    if (this.#channel !== null) this.#stop(this.#channel);
    this.#end({ status: null, lost: false });
  }

  /** Both ways to kill, since old servers know no signals; a channel's end alone stops no program that waits for nothing. */
  #stop(channel: ClientChannel): void {
    channel.signal('KILL');
    if (this.#leader !== null) this.#line?.killGroup(this.#leader);
    channel.close();
  }

  #write(chunk: Buffer, done: (error?: Error | null) => void): void {
    const channel = this.#channel;
    if (channel === null || this.#settled || !channel.writable) done(brokenPipe());
    else {
      this.#writing = done;
      channel.write(chunk, () => this.#written());
    }
  }

  /** The channel calls back when the host has room, so never after its end. */
  #written(error?: Error): void {
    const done = this.#writing;
    this.#writing = null;
    done?.(error);
  }

  #endInput(done: () => void): void {
    this.#channel?.end();
    done();
  }

  /** Hands `from` to `to` once the program's mark went by, and keeps back what does not fit. Answers what came before the mark. */
  #pass(from: Readable, to: Readable): () => string {
    let before: Buffer | null = Buffer.alloc(0);
    from.on('data', (chunk: Buffer) => {
      let rest = chunk;
      if (before !== null) {
        before = Buffer.concat([before, chunk]);
        const mark = findMark(before);
        if (mark === null) {
          if (before.length <= LONGEST_PREAMBLE_BYTES) return;
          if (this.#channel !== null) this.#stop(this.#channel);
          this.#refused(before.toString('utf8'));
          before = null;
          return;
        }
        if (this.#leader === null) {
          this.#line?.began(mark.leader);
          // stopped before we knew whom to kill: the channel's signal reached the leader alone, not what it had started
          if (this.#settled) this.#line?.killGroup(mark.leader);
        }
        this.#leader = mark.leader;
        rest = before.subarray(mark.end);
        before = null;
      }
      if (rest.length > 0 && !this.#settled && !to.push(rest)) from.pause();
      else if (from === this.#channel) widenWindow(this.#channel);
    });
    from.on('end', () => {
      if (!to.readableEnded && before === null && !this.#settled) to.push(null);
    });
    return () => before?.toString('utf8') ?? '';
  }

  #refused(said: string): void {
    const where = this.#line?.name ?? 'the host';
    this.fail(new CoffreError('E_SSH_COMMAND', `${where} runs no programs for this user${quoteWords(said)}`));
  }

  /** As a local program's end: after its output was read, which is thrown away where nobody asked for it. */
  async #endAfterOutput(status: number | null): Promise<void> {
    const read = [this.stdout, this.stderr].map((stream) => {
      if (stream.readableEnded || stream.destroyed) return Promise.resolve();
      const done = new Promise<void>((resolve) => stream.once('end', resolve).once('close', resolve));
      if (stream.readableFlowing === null && stream.listenerCount('readable') === 0) stream.resume();
      return done;
    });
    this.#destroyInput();
    await Promise.all(read);
    this.#end({ status, lost: false });
  }

  #end(end: ProcessEnd): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#settle.resolve(end);
    this.#endStreams();
  }

  #endStreams(): void {
    this.#opened();
    this.#destroyInput();
    for (const stream of [this.stdout, this.stderr]) if (!stream.readableEnded) stream.push(null);
    this.#channel?.resume();
    this.#channel?.stderr.resume();
  }

  #destroyInput(): void {
    if (!this.stdin.writableFinished && !this.stdin.destroyed) this.stdin.destroy(brokenPipe());
    this.#written(brokenPipe());
  }
}

function brokenPipe(): Error {
  return Object.assign(new Error('the program takes no more input'), { code: 'EPIPE' });
}

function findMark(output: Buffer): { leader: number; end: number } | null {
  const found = new RegExp(`(?:^|\\n)[^\\n]*?${START_MARK}(\\d+)\\n`).exec(output.toString('latin1'));
  return found === null ? null : { leader: Number(found[1]), end: found.index + found[0].length };
}

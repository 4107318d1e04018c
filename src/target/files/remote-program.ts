// Runs one program on a host to its end, and says what it came to in the words of a target.
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { CoffreError } from '../../errors.ts';
import { feed, printable } from '../../host/gnu-tar.ts';
import type { Host, ProcessEnd } from '../../host/host.ts';

/** Lines of a program's complaints that are kept. */
const MOST_LINES = 200;

export interface Ran {
  readonly status: number;
  /** What it wrote, one character per byte. */
  readonly out: string;
  /** Its complaints, one character per byte. */
  readonly said: readonly string[];
}

export interface RunOptions {
  /** What it reads from its stdin; nothing otherwise. */
  readonly input?: Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal;
  /** Exit statuses that are no failure. Default: 0. */
  readonly accept?: readonly number[];
}

/** Throws E_TARGET_SPACE, E_TARGET_WRITE, E_TOOL_MISSING, E_SSH_…, what `input` throws, or the signal's reason. */
export async function runOn(host: Host, argv: readonly string[], { input = [], signal, accept = [0] }: RunOptions = {}): Promise<Ran> {
  signal?.throwIfAborted();
  const program = host.start(argv, signal);
  const said: string[] = [];
  createInterface({ input: program.stderr.setEncoding('latin1') }).on('line', (line) => {
    if (said.length < MOST_LINES) said.push(line);
  });
  const out = text(program.stdout.setEncoding('latin1'));
  out.catch(() => {});
  let end: ProcessEnd;
  try {
    await feed(program.stdin, input);
    end = await program.ended;
  } catch (error) {
    // what it was being told is not whole: it must not take the end of its input for the end of the list
    program.kill();
    await program.ended.catch(() => {});
    throw signal?.aborted ? signal.reason : error;
  }
  signal?.throwIfAborted();
  checkEnd(host, argv[0] as string, end);
  if (end.status === null || !accept.includes(end.status)) throw failed(host, argv[0] as string, end.status, said);
  return { status: end.status, out: await out, said };
}

/** Throws E_SSH_LOST, E_TOOL_MISSING when that is how it ended. */
export function checkEnd(host: Host, program: string, { status, lost }: ProcessEnd): void {
  if (lost) throw connectionLost(host);
  if (status === 127) throw toolMissing(host, `there is no ${program}`);
}

export function connectionLost(host: Host): CoffreError {
  return new CoffreError('E_SSH_LOST', `the connection to ${host.name} was lost`, {
    hint: 'run the same command again: it goes on with what was already written there',
  });
}

export function toolMissing(host: Host, what: string): CoffreError {
  return new CoffreError('E_TOOL_MISSING', `${host.name}: ${what}`, {
    hint: 'a restore to a host needs GNU tar, findutils, coreutils and util-linux there: apt-get install tar findutils coreutils util-linux',
  });
}

/** E_TARGET_SPACE when the complaints say so, else E_TARGET_WRITE. */
export function failed(host: Host, program: string, status: number | null, said: readonly string[]): CoffreError {
  const how = status === null ? 'by a signal' : `with status ${status}`;
  const words = said.slice(0, 3).map(printable).join('; ') || 'no message';
  return new CoffreError(isFull(said) ? 'E_TARGET_SPACE' : 'E_TARGET_WRITE', `${host.name}: ${program} ended ${how}: ${words}`);
}

/** A write that the file system cut short is how tar meets the end of space in the middle of a file. */
export function isFull(said: readonly string[]): boolean {
  return said.some((line) => /No space left on device|Disk quota exceeded|Wrote only /.test(line));
}

/** Each of `items` with NUL behind it, in pieces of a size that is good to send. */
export async function* nulTerminated(items: Iterable<string> | AsyncIterable<string>): AsyncGenerator<Buffer> {
  let piece = '';
  for await (const item of items) {
    piece += `${item}\0`;
    if (piece.length < 64 * 1024) continue;
    yield Buffer.from(piece, 'latin1');
    piece = '';
  }
  if (piece !== '') yield Buffer.from(piece, 'latin1');
}

// Runs GNU tar on a host: its arguments, its stdin and stdout, and what it complains about.
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { CoffreError } from '../errors.ts';
import type { Host } from './host.ts';

/** A path as bytes, one character per byte (latin1). */
export type BytePath = string;

/** One line that tar wrote to stderr. */
export interface Complaint {
  /** The member it is about; null when it names none. */
  readonly path: BytePath | null;
  readonly message: string;
}

export interface TarExit {
  /** 0 done, 1 something changed while it was read, 2 something failed; null: ended by a signal. */
  readonly status: number | null;
  /** The connection to the host broke: nothing that was read is to be believed whole. */
  readonly lost: boolean;
  readonly complaints: readonly Complaint[];
}

export interface TarProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** What it said so far: some of it are warnings that do not change its status. */
  readonly complaints: readonly Complaint[];
  /** After exit and after all output was read. Rejects with E_TOOL_MISSING when tar could not be started. */
  readonly ended: Promise<TarExit>;
  kill(): void;
}

const HINT = 'install GNU tar: apt-get install tar';
/** Complaints beyond this are counted, not kept: memory must not grow with what tar dislikes. */
const MOST_COMPLAINTS = 20_000;

/**
 * Extended attributes that are kept: the user's, and file capabilities. Others belong to the machine (SELinux labels,
 * overlayfs), not to the shop.
 */
export const XATTR_ARGUMENTS: readonly string[] = ['--xattrs', '--xattrs-include=user.*', '--xattrs-include=security.capability', '--acls'];

/**
 * Writes an archive of exactly the paths given on stdin (NUL after each) to stdout. ctime is kept, atime is not: it would make
 * the same tree give other bytes; so would the process id in the default name of extended headers.
 */
export function packArguments(root: string): string[] {
  return [`--directory=${root}`, ...PACK, '--verbatim-files-from', '--no-recursion', '--files-from=-'];
}

/** The same for a list in which `-C` changes the directory (the root is the first), with a name quoted as for a shell: no other item may begin with `-`. */
export function deepPackArguments(): string[] {
  return [...PACK, '--no-verbatim-files-from', '--no-unquote', '--no-recursion', '--files-from=-'];
}

const PACK: readonly string[] = [
  '--create',
  '--file=-',
  '--format=pax',
  '--pax-option=delete=atime,exthdr.name=%d/PaxHeaders/%f',
  '--blocking-factor=128',
  '--sparse',
  '--numeric-owner',
  ...XATTR_ARGUMENTS,
  '--quoting-style=escape',
  '--null',
];

/** Starts tar on `host`. `signal` kills it. */
export function startTar(host: Host, args: readonly string[], signal?: AbortSignal): TarProcess {
  const tar = host.start(['tar', ...args], signal);
  const { stdin, stdout, stderr, ended } = tar;
  const complaints: Complaint[] = [];
  createInterface({ input: stderr.setEncoding('latin1') }).on('line', (line) => {
    const complaint = parseComplaint(line);
    if (complaint && complaints.length < MOST_COMPLAINTS) complaints.push(complaint);
  });
  const exit = ended.then(
    ({ status, lost }): TarExit => ({ status, lost, complaints }),
    (error) => {
      throw error instanceof CoffreError && error.code === 'E_TOOL_MISSING' ? missing(host, 'tar cannot be started', error) : error;
    },
  );
  exit.catch(() => {});
  return { stdin, stdout, complaints, ended: exit, kill: () => tar.kill() };
}

/** Writes all of `chunks` and closes; stops quietly when the reader is gone. */
export async function feed(stdin: Writable, chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of chunks) {
    if (stdin.destroyed || stdin.closed) return;
    if (!stdin.write(chunk)) await writable(stdin);
  }
  if (!stdin.destroyed) stdin.end();
}

async function writable(stdin: Writable): Promise<void> {
  const stop = new AbortController();
  const wait = (event: string): Promise<unknown> => once(stdin, event, { signal: stop.signal }).catch(() => {});
  await Promise.race([wait('drain'), wait('close')]);
  stop.abort();
}

/** The version of the host's GNU tar, such as `1.34`. Throws E_TOOL_MISSING when it is absent or another tar, and what reaching the host throws. */
export async function gnuTarVersion(host: Host, signal?: AbortSignal): Promise<string> {
  const { stdin, stdout, stderr, ended } = host.start(['tar', '--version'], signal);
  stdin.end();
  stderr.resume();
  const said = text(stdout);
  said.catch(() => {});
  const { status } = await ended.catch((error: unknown) => {
    throw error instanceof CoffreError && error.code === 'E_TOOL_MISSING' ? missing(host, 'tar cannot be started', error) : error;
  });
  signal?.throwIfAborted();
  if (status === 127) throw missing(host, 'there is no tar');
  const version = /^tar \(GNU tar\) (\S+)/.exec(await said)?.[1];
  if (version === undefined) throw missing(host, 'the tar in PATH is not GNU tar');
  return version;
}

function missing(host: Host, what: string, cause?: unknown): CoffreError {
  const where = host.type === 'local' ? '' : `${host.name}: `;
  return new CoffreError('E_TOOL_MISSING', where + what, { cause, hint: HINT });
}

/** `tar: NAME: MESSAGE` with the name in quoting style escape; null for lines that say nothing of their own. */
export function parseComplaint(line: string): Complaint | null {
  const text = line.replace(/^tar: /, '');
  if (text === '' || text.startsWith('Exiting with failure status due to previous errors')) return null;
  const match = /^((?:[^\\:]|\\.)+): (.*)$/.exec(text);
  if (!match) return { path: null, message: text };
  const path = unescapeName(match[1] as string);
  return { path: path.replace(/^\.\/$/, '.').replace(/(.)\/+$/s, '$1'), message: match[2] as string };
}

const ESCAPES: Readonly<Record<string, string>> = { a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

/** Of quoting style escape. */
export function unescapeName(text: string): BytePath {
  return text.replace(/\\([0-7]{3}|.)/g, (_, code: string) =>
    code.length === 3 ? String.fromCharCode(Number.parseInt(code, 8)) : (ESCAPES[code] ?? code),
  );
}

/** A path for people: printable ASCII and what is valid UTF-8 as it is, the rest escaped. */
export function printable(path: BytePath): string {
  const bytes = Buffer.from(path, 'latin1');
  const text = bytes.toString('utf8');
  const source = Buffer.from(text, 'utf8').equals(bytes) ? text : path.replace(/[\x80-\xff]/g, (c) => `\\${c.charCodeAt(0).toString(8)}`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return source.replace(/[\x00-\x1f\x7f-\x9f]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

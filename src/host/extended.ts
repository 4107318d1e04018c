// Which files of a local tree have extended attributes or an ACL: Node cannot tell, getfattr and GNU tar can.
import { isUtf8 } from 'node:buffer';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import { isDeep } from './deep-path.ts';
import { type BytePath, unescapeName, XATTR_ARGUMENTS } from './gnu-tar.ts';
import type { Host } from './host.ts';

/** What XATTR_ARGUMENTS keep. */
const GETFATTR = ['getfattr', '--no-dereference', '--absolute-names', '--match=^(user[.]|security[.]capability$|system[.]posix_acl_)'];
/** Names that one getfattr takes; systems allow eight times as much. */
const MOST_ARGUMENT_BYTES = 256 * 1024;
/** From so many questions on the whole tree is asked about once: starting a program costs as much as a few hundred files. */
const SWEEP_FROM_FILES = 1000;
/** Names that a sweep remembers; a tree with more has them everywhere, and then every file counts as having some. */
const MOST_REMEMBERED = 100_000;
/** How far the kernel's clock of files may be behind ours. */
const CLOCK_SLACK_NS = 1_000_000_000n;

/** A regular file as the scan saw it. */
export interface Asked {
  readonly path: BytePath;
  readonly ctimeNs: bigint;
}

interface Sweep {
  /** By our clock. What has a later ctime may have got attributes behind its back. */
  readonly startedNs: bigint;
  /** null: too many to remember. */
  readonly found: ReadonlySet<BytePath> | null;
}

/**
 * Asks getfattr where there is one (a quarter of the time), else GNU tar, which lists what it would pack without reading a content. Neither can
 * be asked about a path that is too long for an argument: such a file counts as having something.
 */
export class ExtendedFiles {
  readonly #host: Host;
  readonly #root: string;
  readonly #clock: Clock;
  readonly #sweeps: boolean;
  readonly #rootBytes: number;
  #hasGetfattr = true;
  #asked = 0;
  #sweep: Promise<void> | null = null;
  readonly #closed = new AbortController();
  /** Once it is done; null until then, and when it came to nothing. */
  #swept: Sweep | null = null;

  /** `root`: absolute. `sweeps` false: getfattr may not look at the whole tree, for it goes into every file system that is mounted there. */
  constructor(host: Host, root: string, clock: Clock, { sweeps = true }: { readonly sweeps?: boolean } = {}) {
    this.#host = host;
    this.#root = root;
    this.#clock = clock;
    this.#sweeps = sweeps;
    this.#rootBytes = Buffer.byteLength(root);
  }

  /** The paths of those with anything of the kind, and of those that it could not be found out of. Throws E_TOOL_MISSING, the signal's reason. */
  async among(files: readonly Asked[], signal: AbortSignal): Promise<ReadonlySet<BytePath>> {
    const found = new Set<BytePath>();
    let open = files;
    this.#asked += files.length;
    if (this.#sweeps && this.#asked >= SWEEP_FROM_FILES && this.#hasGetfattr) this.#sweep ??= this.#sweepTree(signal);
    // nobody waits for it: the first parts are asked about one by one meanwhile
    const sweep = this.#swept;
    if (sweep) {
      for (const { path } of files) if (sweep.found === null || sweep.found.has(path) || isDeep(this.#rootBytes, path)) found.add(path);
      open = files.filter(({ path, ctimeNs }) => ctimeNs >= sweep.startedNs - CLOCK_SLACK_NS && !found.has(path));
    }
    const paths = open.map(({ path }) => path);
    if (paths.length > 0) await this.#ask(paths, found, signal);
    return found;
  }

  /** The same, one by one: for directories, which every reading asks about. */
  async amongFew(paths: readonly BytePath[], signal: AbortSignal): Promise<ReadonlySet<BytePath>> {
    const found = new Set<BytePath>();
    if (paths.length > 0) await this.#ask(paths, found, signal);
    return found;
  }

  async #ask(all: readonly BytePath[], found: Set<BytePath>, signal: AbortSignal): Promise<void> {
    let paths = all;
    if (paths.some((path) => isDeep(this.#rootBytes, path))) {
      paths = all.filter((path) => !isDeep(this.#rootBytes, path));
      for (const path of all) if (isDeep(this.#rootBytes, path)) found.add(path);
      if (paths.length === 0) return;
    }
    if (this.#hasGetfattr) {
      const told = new Set<BytePath>();
      if (await this.#askGetfattr(paths, told, signal)) {
        for (const path of told) found.add(path);
        return;
      }
      this.#hasGetfattr = false;
    }
    await this.#askTar(paths, found, signal);
  }

  /** Nothing of it runs on when this returns. Idempotent. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#sweep;
  }

  /** Comes to nothing when it met something that it could not read: then files are asked about one by one. Never rejects. */
  async #sweepTree(signal: AbortSignal): Promise<void> {
    const startedNs = BigInt(this.#clock.nowMs()) * 1_000_000n;
    const found = new Set<BytePath>();
    const either = AbortSignal.any([signal, this.#closed.signal]);
    const told = await this.#getfattr(['--recursive', '--physical', '--', this.#root], found, either).catch(() => false);
    if (told) this.#swept = { startedNs, found: found.size >= MOST_REMEMBERED ? null : found };
  }

  /** False: there is no getfattr, or it met something that it could not read. */
  async #askGetfattr(paths: readonly BytePath[], found: Set<BytePath>, signal: AbortSignal): Promise<boolean> {
    let batch: string[] = [];
    let bytes = 0;
    for (const path of paths) {
      const raw = Buffer.from(path, 'latin1');
      // an argument is text
      if (!isUtf8(raw)) {
        found.add(path);
        continue;
      }
      batch.push(`${this.#root}/${raw.toString('utf8')}`);
      bytes += raw.length + this.#root.length + 16;
      if (bytes < MOST_ARGUMENT_BYTES) continue;
      if (!(await this.#getfattr(['--', ...batch], found, signal))) return false;
      batch = [];
      bytes = 0;
    }
    return batch.length === 0 || (await this.#getfattr(['--', ...batch], found, signal));
  }

  async #getfattr(args: readonly string[], found: Set<BytePath>, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    const { stdin, stdout, stderr, ended } = this.#host.start([...GETFATTR, ...args], signal);
    stdin.end();
    const prefix = `# file: ${Buffer.from(this.#root).toString('latin1')}/`;
    lines(stdout, (line) => {
      if (!line.startsWith('# file: ') || found.size >= MOST_REMEMBERED) return;
      // the root's own name may be escaped too
      const name = line.replace(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8)));
      if (name.startsWith(prefix)) found.add(name.slice(prefix.length));
    });
    let refused = false;
    lines(stderr, (line) => {
      // what is gone meanwhile is found out by whoever reads it, and nobody asks about what is too deep
      if (!line.endsWith(': No such file or directory') && !line.endsWith(': File name too long')) refused = true;
    });
    const end = await ended.catch((error: unknown) => {
      if (error instanceof CoffreError && error.code === 'E_TOOL_MISSING') return null;
      throw error;
    });
    signal.throwIfAborted();
    return end !== null && !refused && (end.status === 0 || end.status === 1);
  }

  async #askTar(paths: readonly BytePath[], found: Set<BytePath>, signal: AbortSignal): Promise<void> {
    const argv = ['tar', `--directory=${this.#root}`, '--create', '--file=/dev/null', '--verbose', '--verbose', '--format=pax'];
    argv.push('--numeric-owner', ...XATTR_ARGUMENTS, '--quoting-style=escape', '--null', '--verbatim-files-from');
    argv.push('--no-recursion', '--files-from=-');
    const { stdin, stdout, stderr, ended } = this.#host.start(argv, signal);
    stdin.end(Buffer.from(`${paths.join('\0')}\0`, 'latin1'));
    stderr.resume();
    const plain = new Set<BytePath>();
    // `-rw-r--r--+ 0/0 2 2026-11-22 22:45 name`: a space at the eleventh place when there is nothing of the kind
    lines(stdout, (line) => {
      const name = /^[-d].{9} +\S+ +\d+ \S+ \S+ (.*)$/.exec(line)?.[1];
      if (name !== undefined) plain.add(unescapeName(name).replace(/(.)\/+$/s, '$1'));
    });
    await ended;
    signal.throwIfAborted();
    for (const path of paths) if (!plain.has(path)) found.add(path);
  }
}

function lines(stream: Readable, onLine: (line: string) => void): void {
  createInterface({ input: stream.setEncoding('latin1') }).on('line', onLine);
}

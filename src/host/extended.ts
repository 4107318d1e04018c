// Which of some local files have extended attributes or an ACL: Node cannot tell, getfattr and GNU tar can.
import { isUtf8 } from 'node:buffer';
import { createInterface } from 'node:readline';
import { CoffreError } from '../errors.ts';
import { type BytePath, unescapeName, XATTR_ARGUMENTS } from './gnu-tar.ts';
import type { Host } from './host.ts';

/** What XATTR_ARGUMENTS keep. */
const KEPT = '^(user[.]|security[.]capability$|system[.]posix_acl_)';
/** Names that one getfattr takes; systems allow eight times as much. */
const MOST_ARGUMENT_BYTES = 256 * 1024;

/** Asks getfattr where there is one (a quarter of the time), else GNU tar, which lists what it would pack without reading a content. */
export class ExtendedFiles {
  readonly #host: Host;
  readonly #root: string;
  #getfattr: boolean | null = null;

  /** `root`: absolute. */
  constructor(host: Host, root: string) {
    this.#host = host;
    this.#root = root;
  }

  /** Of regular files (relative paths) those with anything of the kind, and those of which it could not be found out. Throws E_TOOL_MISSING, the signal's reason. */
  async among(paths: readonly BytePath[], signal: AbortSignal): Promise<ReadonlySet<BytePath>> {
    if (paths.length === 0) return new Set();
    if (this.#getfattr !== false) {
      const found = await this.#askGetfattr(paths, signal);
      this.#getfattr = found !== null;
      if (found) return found;
    }
    return await this.#askTar(paths, signal);
  }

  /** Null: there is none. */
  async #askGetfattr(paths: readonly BytePath[], signal: AbortSignal): Promise<Set<BytePath> | null> {
    const found = new Set<BytePath>();
    let batch: string[] = [];
    let bytes = 0;
    const ask = async (): Promise<boolean> => {
      const asked = await this.#runGetfattr(batch, found, signal);
      batch = [];
      bytes = 0;
      return asked;
    };
    for (const path of paths) {
      const raw = Buffer.from(path, 'latin1');
      // an argument is text, and its answer is a line
      if (!isUtf8(raw) || /[\n\r\\]/.test(path)) {
        found.add(path);
        continue;
      }
      batch.push(`${this.#root}/${raw.toString('utf8')}`);
      bytes += raw.length + this.#root.length + 16;
      if (bytes >= MOST_ARGUMENT_BYTES && !(await ask())) return null;
    }
    return batch.length === 0 || (await ask()) ? found : null;
  }

  async #runGetfattr(absolute: readonly string[], found: Set<BytePath>, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    const argv = ['getfattr', '--no-dereference', '--absolute-names', `--match=${KEPT}`, '--', ...absolute];
    const { stdin, stdout, stderr, ended } = this.#host.start(argv, signal);
    stdin.end();
    const prefix = `# file: ${Buffer.from(this.#root).toString('latin1')}/`;
    createInterface({ input: stdout.setEncoding('latin1') }).on('line', (line) => {
      if (line.startsWith(prefix)) found.add(line.slice(prefix.length));
    });
    let refused = false;
    createInterface({ input: stderr.setEncoding('latin1') }).on('line', (line) => {
      // what is gone meanwhile is found out by whoever reads it
      if (!line.endsWith(': No such file or directory')) refused = true;
    });
    const end = await ended.catch((error: unknown) => {
      if (error instanceof CoffreError && error.code === 'E_TOOL_MISSING') return null;
      throw error;
    });
    signal.throwIfAborted();
    return end !== null && !refused && (end.status === 0 || end.status === 1);
  }

  async #askTar(paths: readonly BytePath[], signal: AbortSignal): Promise<ReadonlySet<BytePath>> {
    const argv = ['tar', `--directory=${this.#root}`, '--create', '--file=/dev/null', '--verbose', '--verbose', '--format=pax'];
    argv.push('--numeric-owner', ...XATTR_ARGUMENTS, '--quoting-style=escape', '--null', '--verbatim-files-from');
    argv.push('--no-recursion', '--files-from=-');
    const { stdin, stdout, stderr, ended } = this.#host.start(argv, signal);
    stdin.end(Buffer.from(`${paths.join('\0')}\0`, 'latin1'));
    stderr.resume();
    const plain = new Set<BytePath>();
    // `-rw-r--r--+ 0/0 2 2026-11-22 22:45 ./name`: a space at the eleventh place when there is nothing of the kind
    createInterface({ input: stdout.setEncoding('latin1') }).on('line', (line) => {
      const name = /^-.{9} +\S+ +\d+ \S+ \S+ (.*)$/.exec(line)?.[1];
      if (name !== undefined) plain.add(unescapeName(name));
    });
    await ended;
    signal.throwIfAborted();
    return new Set(paths.filter((path) => !plain.has(path)));
  }
}

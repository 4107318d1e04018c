// The source `files`: a tree of this machine, or of one reached over SSH.
import { constants } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import type { Clock } from '../../clock.ts';
import type { FilesConfig } from '../../config/config.ts';
import { asCoffreError, CoffreError } from '../../errors.ts';
import { gnuTarVersion, printable } from '../../host/gnu-tar.ts';
import type { Host } from '../../host/host.ts';
import { compilePatterns, type PathMatch, type PathPattern } from '../path-pattern.ts';
import type { Finding, OpenOptions, Reading, Source, Warning } from '../source.ts';
import { PROFILE_EXCLUDES, RESTORE_LEFTOVERS } from './exclude.ts';
import { FilesReading, type TreeToRead } from './reading.ts';
import type { RemotePlace } from './remote-place.ts';
import { checkRemoteTree, openRemoteTree } from './remote-tree.ts';
import { beginScan } from './scan-in-thread.ts';
import { Scratch } from './scratch.ts';
import { absolutePath, type FoundDirectory, type FoundFiles, statRoot, warningOf } from './walk.ts';
import { walk } from './walk-here.ts';

/** Of this machine's tree: one for each of two cores, and one that is prepared meanwhile. */
const PARTS_AT_ONCE = 3;

/** Entries that doctor tries to open. */
const SAMPLE_ENTRIES = 2000;

export interface FilesSourceOptions {
  /** Stays on the root's file system: mount points are kept as directories without content. Default: false. */
  readonly oneFileSystem?: boolean;
  /** A folder in the root that a part from elsewhere brings along: in the list of names that belong there. */
  readonly addedFolder?: string;
}

export class FilesSource implements Source {
  readonly kind = 'files';
  readonly #config: FilesConfig;
  readonly #host: Host;
  readonly #clock: Clock;
  readonly #exclude: readonly PathPattern[];
  readonly #excluded: PathMatch;
  readonly #options: FilesSourceOptions;

  constructor(config: FilesConfig, host: Host, clock: Clock, options: FilesSourceOptions = {}) {
    this.#options = options;
    this.#host = host;
    this.#config = config;
    this.#clock = clock;
    this.#exclude = [...RESTORE_LEFTOVERS, ...PROFILE_EXCLUDES[config.profile], ...config.exclude];
    this.#excluded = compilePatterns(this.#exclude);
  }

  async open(options: OpenOptions): Promise<Reading> {
    const isLocal = this.#host.type === 'local';
    const tree: TreeToRead = isLocal ? await this.#openLocal(options.signal) : await openRemoteTree(this.#remote(), options);
    let scratch: Scratch | null = null;
    try {
      scratch = new Scratch(options.scratchDir);
      for (const index of await options.previous) await scratch.remember(index);
      const scan: TreeToRead['scan'] = (warn, signal) => withFolder(tree.scan(warn, signal), this.#options.addedFolder);
      return new FilesReading({ ...tree, scan }, scratch, this.#clock, options);
    } catch (error) {
      scratch?.close();
      await tree.close?.();
      throw error;
    }
  }

  async #openLocal(signal: AbortSignal): Promise<TreeToRead> {
    await gnuTarVersion(this.#host);
    const root = await this.#root();
    const rootFound = await statRoot(root);
    const { oneFileSystem = false } = this.#options;
    const what = { root, rootFound, exclude: this.#exclude, oneFileSystem };
    const asOf = this.#clock.now();
    const scan = beginScan(what, signal);
    return { host: this.#host, root, oneFileSystem, parallel: PARTS_AT_ONCE, asOf, scan: scan.steps, close: scan.stop };
  }

  #remote(): RemotePlace {
    const { oneFileSystem = false } = this.#options;
    return { host: this.#host, root: this.#config.root, exclude: this.#exclude, oneFileSystem, clock: this.#clock };
  }

  async check(): Promise<readonly Finding[]> {
    if (this.#host.type !== 'local') return await checkRemoteTree(this.#remote(), failed);
    const findings: Finding[] = [];
    try {
      findings.push({ name: 'tar', ok: true, detail: `GNU tar ${await gnuTarVersion(this.#host)}` });
    } catch (error) {
      findings.push(failed('tar', error));
    }
    try {
      findings.push(await this.#sample(await this.#root()));
    } catch (error) {
      findings.push(failed('files', error));
    }
    return findings;
  }

  /**
   * A root that is a symbolic link (`current`, as deployment tools make it) is followed once: a switch meanwhile must not mix two trees.
   * What is opened is compared with this path. Throws E_FILES_ROOT when it is not text.
   */
  async #root(): Promise<string> {
    const { root } = this.#config;
    const real = await realpath(root, { encoding: 'buffer' }).catch(() => Buffer.from(root));
    if (Buffer.from(real.toString()).equals(real)) return real.toString();
    throw new CoffreError('E_FILES_ROOT', `${root} leads to a path that is not UTF-8: ${printable(real.toString('latin1'))}`);
  }

  async #sample(root: string): Promise<Finding> {
    const unreadable: Warning[] = [];
    const warn = (warning: Warning): void => {
      if (warning.kind === 'unreadable') unreadable.push(warning);
    };
    let seen = 0;
    for await (const step of walk(root, await statRoot(root), this.#excluded, warn, new AbortController().signal, this.#options)) {
      if (step.type === 'directory') continue;
      for (const { path, type } of step.files) {
        // access(2) judges by the real user without its capabilities; only opening tells.
        if (type === 'file') {
          await open(absolutePath(root, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
            .then((file) => file.close())
            .catch((cause) => warn(warningOf(path, cause)));
        }
      }
      seen += step.files.length;
      if (seen >= SAMPLE_ENTRIES) break;
    }
    if (unreadable.length === 0) return { name: 'files', ok: true, detail: `${root} is readable (${seen} entries tried)` };
    const [first] = unreadable;
    return {
      name: 'files',
      ok: false,
      detail: `${unreadable.length} of ${seen} entries of ${root} tried cannot be read, first ${first?.where}: ${first?.message}`,
      hint: 'give coffre the right to read them (the service has CAP_DAC_READ_SEARCH) or exclude them',
    };
  }
}

async function* withFolder(steps: AsyncIterable<FoundFiles | FoundDirectory>, folder: string | undefined) {
  for await (const step of steps) {
    const isRoot = step.type === 'directory' && step.directory.path === '.';
    if (folder === undefined || !isRoot || step.dumpdir === null) yield step;
    else yield { ...step, dumpdir: Buffer.concat([Buffer.from(`D${folder}\0`), step.dumpdir]) };
  }
}

function failed(name: string, error: unknown): Finding {
  const failure = asCoffreError(error);
  return { name, ok: false, detail: failure.message, hint: failure.hint };
}

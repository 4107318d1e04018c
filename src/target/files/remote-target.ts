// The target `--to-dir DIR --to-host`: a tree filled beside DIR by GNU tars on the host, compared there, and then swapped for what DIR holds.
import { CoffreError } from '../../errors.ts';
import { gnuTarVersion, printable } from '../../host/gnu-tar.ts';
import type { Host } from '../../host/host.ts';
import type { FileEntry, Phase } from '../../source/source.ts';
import type { Admission, FilesTarget, IncomingSegment, WantedMember } from '../target.ts';
import { extractTar } from './extract.ts';
import { MemberGuard } from './member-guard.ts';
import { differences, missingEntries, type Tally } from './remote-compare.ts';
import { DirectoriesAhead } from './remote-directories.ts';
import { holding } from './remote-lock.ts';
import { describePlace } from './remote-look.ts';
import { connectionLost, runOn, toolMissing } from './remote-program.ts';
import { ancestors, RemoteScan } from './remote-scan.ts';
import { RemoteStaging, type StagingOptions } from './remote-staging.ts';

/** Tars at once: each has a channel of its own, and a channel moves about 2 MiB in a round trip. */
const EXTRACTIONS = 4;

/** Programs that must be GNU's, beside tar, and how each says so. */
const TOOLS: readonly (readonly [program: string, says: RegExp])[] = [
  ['find', /GNU findutils/],
  ['xargs', /GNU findutils/],
  ['cp', /GNU coreutils/],
  ['flock', /util-linux/],
];

export interface RemoteTargetOptions extends StagingOptions {
  /** Contents of what is there are read and hashed there, whatever size and time say. */
  readonly checksum: boolean;
  /** As FilesTarget has it. */
  readonly dropsPrivileges: boolean;
}

export class RemoteDirectoryTarget implements FilesTarget {
  readonly dropsPrivileges: boolean;
  readonly #host: Host;
  readonly #directory: string;
  readonly #options: RemoteTargetOptions;
  readonly #tally: Tally = { written: 0, writtenBytes: 0, inPlace: 0, beside: 0 };
  /** Something was there, the directory's or an interrupted restore's. */
  #isLanding = false;
  #replaces = false;
  #deleted = 0;
  readonly #guard = new MemberGuard();
  /** What a sysadmin should know of it, once it has ended. */
  readonly notes: string[] = [];
  #staging: RemoteStaging | null = null;
  /** Of the tree before anything was extracted; null where it was empty. */
  #before: RemoteScan | null = null;
  #state: 'new' | 'prepared' | 'ready' | 'written' | 'compared' | 'published' = 'new';
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  /** `directory` is an absolute path on `host`, which the caller closes after this. */
  constructor(directory: string, host: Host, options: Partial<RemoteTargetOptions> = {}) {
    const { overwrite, removeAllBut, keepOld, checksum, dropsPrivileges } = options;
    this.dropsPrivileges = dropsPrivileges ?? false;
    this.#host = host;
    this.#directory = directory;
    this.#options = {
      overwrite: overwrite ?? false,
      removeAllBut: removeAllBut ?? null,
      keepOld: keepOld ?? false,
      checksum: checksum ?? false,
      dropsPrivileges: this.dropsPrivileges,
    };
  }

  /** What was done with what was there, in files; `deleted` counts directories too. Null: everything was written. */
  get landing() {
    if (!this.#isLanding) return null;
    const { written, writtenBytes, inPlace, beside } = this.#tally;
    return {
      written,
      bytes: writtenBytes,
      unchanged: this.#replaces ? inPlace : 0,
      resumed: beside + (this.#replaces ? 0 : inPlace),
      deleted: this.#deleted,
    };
  }

  get staged(): readonly string[] {
    return [this.#open().places.tree];
  }

  async prepare(snapshot: string): Promise<{ readonly everythingMissing: boolean }> {
    await this.#checkTools();
    this.#staging = await RemoteStaging.open(this.#host, this.#directory, snapshot, this.#options);
    this.notes.push(...this.#staging.notes.splice(0));
    if (!this.#staging.isRoot) this.notes.push(`${this.#host.name} is not root: all that was restored belongs to this user`);
    this.#isLanding = !this.#staging.isEmpty;
    this.#replaces = this.#staging.replaces;
    this.#state = this.#isLanding ? 'prepared' : 'ready';
    return { everythingMissing: !this.#isLanding };
  }

  /** What stands in the way, or is not to be there, is gone from the tree when this ends. */
  async *missing(entries: AsyncIterable<FileEntry>): AsyncGenerator<FileEntry> {
    const staging = this.#open();
    if (this.#state === 'ready') {
      yield* entries;
      return;
    }
    const scans: RemoteScan[] = [];
    try {
      for (const tree of staging.trees) scans.push(await this.#scan(tree));
      const [tree, previous] = scans as [RemoteScan, RemoteScan?];
      yield* missingEntries(
        entries,
        scans,
        { owners: staging.isRoot, checksum: this.#options.checksum, copy: staging.replaces },
        this.#tally,
      );
      const root = staging.places.tree;
      if (!staging.isRoot) await staging.forEach(root, ['chmod', 'u+rwx', '--'], tree.closedDirectories());
      const inTheWay = [...tree.inTheWay()];
      await staging.forEach(root, ['rm', '-rf', '--one-file-system', '--'], inTheWay);
      for (const path of inTheWay) tree.forget(path);
      // What a fresh tree holds beyond the snapshot, a restore of other paths had written.
      const stays = staging.replaces ? this.#options.removeAllBut : () => 'no' as const;
      if (stays) {
        const gone = tree.judgeUnmarked(stays);
        await staging.forEach(root, ['rm', '-f', '--'], tree.unmarkedFiles());
        await staging.forEach(root, ['rmdir', '--'], tree.unmarkedDirectories());
        tree.forgetUnmarked();
        if (staging.replaces) this.#deleted = gone;
      }
      if (previous) {
        const link = ['cp', '--archive', '--link', '--force', '--parents', `--target-directory=${root}`, '--'];
        await staging.forEach(staging.places.previous, link, previous.markedFiles());
        await staging.dropPrevious();
      }
      scans.shift();
      this.#before = tree;
      this.#state = 'ready';
    } finally {
      for (const scan of scans) scan.close();
    }
  }

  /** What a restore would write, leave and remove; nothing is touched. Throws E_TARGET_WRITE, E_TOOL_MISSING, E_SSH_…. */
  async preview(_snapshot: string, entries: AsyncIterable<FileEntry>) {
    await this.#checkTools();
    const { directory, exists, holds } = await describePlace(this.#host, this.#directory);
    if (!holds) return { exists, allowed: true, written: null, bytes: null, unchanged: 0, deleted: 0 };
    const scan = await this.#scan(directory);
    try {
      const isRoot = (await runOn(this.#host, ['id', '-u'])).out.trim() === '0';
      const tally: Tally = { written: 0, writtenBytes: 0, inPlace: 0, beside: 0 };
      for await (const _ of missingEntries(entries, [scan], { owners: isRoot, checksum: this.#options.checksum, copy: true }, tally));
      const stays = this.#options.removeAllBut;
      return {
        exists,
        allowed: this.#options.overwrite,
        written: tally.written,
        bytes: tally.writtenBytes,
        unchanged: tally.inPlace,
        deleted: stays === null ? 0 : scan.judgeUnmarked(stays),
      };
    } finally {
      scan.close();
    }
  }

  async extract(segment: IncomingSegment, members: readonly WantedMember[] | null, signal: AbortSignal): Promise<void> {
    const staging = this.#open();
    if (this.#state === 'prepared') throw new CoffreError('E_INTERNAL', 'a tree that holds something is written before it was looked at');
    while (this.#running >= EXTRACTIONS) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
    try {
      signal.throwIfAborted();
      this.#state = 'written';
      if (!segment.unverified) await this.#extractInto(staging.places.tree, segment.phase, segment.plaintext, members, signal);
      else await this.#extractUnproven(staging, segment, members, signal);
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }

  async compare(entries: AsyncIterable<FileEntry>): Promise<readonly string[]> {
    const staging = this.#open();
    const scan = await RemoteScan.of(this.#host, staging.places.tree);
    try {
      const found = await differences(entries, scan, staging.isRoot);
      if (found.length === 0) this.#state = 'compared';
      return found;
    } finally {
      scan.close();
    }
  }

  /** Only after `compare` found nothing. Throws E_TARGET_NOT_EMPTY, E_TARGET_WRITE, E_TARGET_SPACE, E_SSH_…; DIR is then as it was. */
  async publish(): Promise<void> {
    const staging = this.#open();
    if (this.#state !== 'compared') throw new CoffreError('E_INTERNAL', 'a tree that was not found right cannot take a place');
    const kept = await staging.publish();
    this.#state = 'published';
    if (kept !== null) this.notes.push(`what ${this.#directory} held is in ${kept}`);
    await staging.clear();
    this.notes.push(...staging.notes.splice(0));
  }

  /** What was written and not published stays, for the next restore of the same. Never throws. */
  async close(): Promise<void> {
    this.#before?.close();
    const staging = this.#staging;
    this.#staging = null;
    if (staging === null || this.#state === 'published') return;
    if (this.#state === 'ready' && staging.isEmpty) await staging.abandon();
    else await staging.leave();
  }

  #open(): RemoteStaging {
    if (this.#staging === null) throw new CoffreError('E_INTERNAL', 'the target was not prepared');
    this.#staging.check();
    return this.#staging;
  }

  async #scan(root: string): Promise<RemoteScan> {
    const scan = await RemoteScan.of(this.#host, root);
    if (this.#options.checksum) await scan.readHashes(this.#host, root);
    return scan;
  }

  async #checkTools(): Promise<void> {
    const check = async ([program, says]: (typeof TOOLS)[number]): Promise<void> => {
      const { status, out } = await runOn(this.#host, [program, '--version'], { accept: [0, 1, 2] });
      if (status !== 0 || !says.test(out)) throw toolMissing(this.#host, `the ${program} in PATH is not the one of ${says.source}`);
    };
    await Promise.all([gnuTarVersion(this.#host), ...TOOLS.map(check)]);
  }

  async #extractInto(
    directory: string,
    phase: Phase,
    plaintext: AsyncIterable<Uint8Array>,
    wanted: readonly WantedMember[] | null,
    signal: AbortSignal,
  ): Promise<void> {
    const staging = this.#staging as RemoteStaging;
    // A tail comes alone, and is nothing but directories.
    const ahead = phase === 'tail' ? null : new DirectoriesAhead();
    await extractTar(plaintext, {
      place: {
        host: heldHost(this.#host, `${staging.places.work}/running`),
        directory,
        owners: staging.isRoot,
        dropsPrivileges: this.dropsPrivileges,
      },
      wanted,
      admit: (members) => this.#admit(members),
      ...(ahead ? { ahead: (paths) => ahead.for(paths) } : {}),
      signal,
    });
    staging.check();
  }

  /** The guard knows what this restore wrote; what was in the tree before must not lead elsewhere either. */
  #admit(members: readonly Admission[]): void {
    for (const member of members) {
      this.#guard.admit(member);
      if (this.#before === null) continue;
      for (const directory of ancestors(member.path)) {
        const found = this.#before.get(directory);
        if (found === null || found.type === 'd') continue;
        throw new CoffreError(
          'E_TARGET_WRITE',
          `${printable(member.path)} would be written through ${printable(directory)}, which is no directory`,
        );
      }
    }
  }

  /** Apart from the tree until its end proved it: a tree that is found again after an interruption is believed by size and time. */
  async #extractUnproven(
    { places }: RemoteStaging,
    segment: IncomingSegment,
    members: readonly WantedMember[] | null,
    signal: AbortSignal,
  ): Promise<void> {
    const stage = `${places.work}/unproven-${segment.id}`;
    const cleared = ['rm', '-rf', '--one-file-system', '--', stage];
    await runOn(this.#host, cleared, { signal });
    await runOn(this.#host, ['mkdir', '--mode=700', '--', stage], { signal });
    try {
      if (segment.phase === 'tail') {
        // Directories already there would lose their times when others are linked into them: their archive itself is kept apart.
        const spool = `${stage}/tail.tar`;
        await runOn(this.#host, ['dd', `of=${spool}`, 'status=none'], { input: segment.plaintext, signal });
        await this.#extractInto(places.tree, segment.phase, readBack(this.#host, spool, signal), members, signal);
      } else {
        await this.#extractInto(stage, segment.phase, segment.plaintext, members, signal);
        const link = ['cp', '--archive', '--link', '--force', '--no-target-directory', '--', stage, places.tree];
        await runOn(this.#host, [...holding(`${places.work}/running`, link)], { signal });
      }
    } finally {
      await runOn(this.#host, cleared).catch(() => {});
    }
  }
}

/** Its programs hold the lock file: the next restore sees to it that none of them writes any more. A lost connection is an error. */
function heldHost(host: Host, lockFile: string): Host {
  return {
    type: host.type,
    name: host.name,
    start(argv, signal) {
      const program = host.start(holding(lockFile, argv), signal);
      const ended = program.ended.then((end) => {
        if (end.lost) throw connectionLost(host);
        return end;
      });
      ended.catch(() => {});
      return { ...program, stdin: program.stdin, stdout: program.stdout, stderr: program.stderr, ended, kill: () => program.kill() };
    },
    connect: (to) => host.connect(to),
    close: async () => {},
  };
}

async function* readBack(host: Host, path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const cat = host.start(['cat', '--', path], signal);
  cat.stdin.end();
  cat.stderr.resume();
  try {
    for await (const chunk of cat.stdout) yield chunk as Buffer;
    const end = await cat.ended;
    if (end.lost) throw connectionLost(host);
    if (end.status !== 0) throw new CoffreError('E_TARGET_WRITE', `${host.name}: ${path} cannot be read back`);
  } finally {
    cat.kill();
  }
}

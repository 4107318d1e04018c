// A tree beside a directory on a host: made, found again after an interruption, and swapped for what the directory holds.
import { randomBytes } from 'node:crypto';
import { asCoffreError, CoffreError } from '../../errors.ts';
import { printable } from '../../host/gnu-tar.ts';
import type { Host } from '../../host/host.ts';
import { RemoteLock, waitForHolders } from './remote-lock.ts';
import { checkDirectory, followed, look, type Present } from './remote-look.ts';
import { decodeJournal, encodeJournal, isSameRestore, type Journal, type Places, placesFor } from './remote-places.ts';
import { failed, nulTerminated, type RunOptions, runOn } from './remote-program.ts';
import type { Stays } from './remote-scan.ts';

export interface StagingOptions {
  /** Allows a directory that holds something. */
  readonly overwrite: boolean;
  /** With overwrite; null: nothing is removed. Else what stays although the snapshot does not have it. */
  readonly removeAllBut: Stays | null;
  /** With overwrite: what the directory held stays beside it. */
  readonly keepOld: boolean;
}

const XARGS_FAILED = 123;
/** `sh` runs perl for it, which every Debian has; coreutils have it from 9.5 on alone. */
const NOT_EXCHANGED = 3;
/** renameat2 with RENAME_EXCHANGE: at no moment is there no directory. Where system or file system cannot, it fails and nothing has changed. */
const EXCHANGE = `use POSIX; my $n = { x86_64 => 316, aarch64 => 276 }->{(POSIX::uname())[4]} or exit 1; exit(syscall($n, -100, $ARGV[0], -100, $ARGV[1], 2) == 0 ? 0 : 1)`;
/** A file whose time says when the copy of the directory began. */
const BEGUN = 'begun';

export class RemoteStaging {
  readonly places: Places;
  /** The user on the host may give files away. */
  readonly isRoot: boolean;
  /** What an earlier restore had left to finish or undo, and what could not be removed, in words. */
  readonly notes: string[] = [];
  readonly #host: Host;
  readonly #userId: number;
  readonly #lock: RemoteLock;
  /** How the interrupted restore that is gone on with was found; null: this one begins anew. */
  #resumed: 'tree' | 'previous' | null = null;
  #journal: Journal | null = null;

  private constructor(host: Host, places: Places, userId: number, lock: RemoteLock) {
    this.#host = host;
    this.places = places;
    this.#userId = userId;
    this.isRoot = userId === 0;
    this.#lock = lock;
  }

  /**
   * Looks at `directory` and makes the tree beside it; a swap that was cut off is finished first. Throws E_TARGET_NOT_EMPTY, E_TARGET_WRITE,
   * E_TARGET_SPACE, E_BUSY, E_TOOL_MISSING, E_SSH_…, E_USAGE; then nothing was left that was not there.
   */
  static async open(host: Host, directory: string, snapshot: string, options: StagingOptions): Promise<RemoteStaging> {
    const places = placesFor(await followed(host, directory));
    const userId = Number((await runOn(host, ['id', '-u'])).out);
    let present = await look(host, places);
    const foreign = present.get(places.work);
    if (foreign && (foreign.type !== 'd' || foreign.uid !== userId)) {
      throw new CoffreError('E_TARGET_WRITE', `${host.name}: ${places.work} was made by somebody else`, {
        hint: 'look what it is, and remove it',
      });
    }
    if (!foreign) {
      await checkDirectory(host, places, present, options.overwrite);
      for (const path of [places.tree, places.previous, places.old]) {
        if (present.has(path))
          throw new CoffreError('E_TARGET_WRITE', `${host.name}: ${path} is in the way`, { hint: 'look what it is, and remove it' });
      }
      await runOn(host, ['mkdir', '--parents', '--', places.parent]);
      await runOn(host, ['mkdir', '--parents', '--mode=700', '--', places.work]);
    }
    const lock = await RemoteLock.take(host, `${places.work}/lock`, places.directory);
    const staging = new RemoteStaging(host, places, userId, lock);
    /** There is something of an earlier restore that this one must not take away. */
    let isLeftover = foreign !== undefined;
    try {
      await waitForHolders(host, `${places.work}/running`, places.directory);
      const journal = foreign ? await staging.#readJournal() : null;
      if (journal?.step === 'swapping') await staging.#finishSwap(journal);
      present = await look(host, places);
      isLeftover = [places.tree, places.previous, places.old].some((path) => present.has(path));
      const holds = await checkDirectory(host, places, present, options.overwrite);
      if (present.has(places.old)) await staging.#removeOld(present, journal);
      await staging.#make(present, journal, { snapshot, replace: holds, ...options });
      return staging;
    } catch (error) {
      if (isLeftover) await lock.release();
      else await staging.abandon();
      throw error;
    }
  }

  /**
   * Removes what an interrupted restore into `directory` had fetched and not swapped in; the directory is as it was. For whoever goes back.
   * Throws E_BUSY, E_TARGET_WRITE, E_SSH_….
   */
  static async discard(host: Host, directory: string): Promise<void> {
    const places = placesFor(await followed(host, directory));
    const userId = Number((await runOn(host, ['id', '-u'])).out);
    const ours = (await look(host, places)).get(places.work);
    if (ours?.type !== 'd' || ours.uid !== userId) return;
    const lock = await RemoteLock.take(host, `${places.work}/lock`, places.directory);
    try {
      await waitForHolders(host, `${places.work}/running`, places.directory);
      const staging = new RemoteStaging(host, places, userId, lock);
      // one that was cut off in its swap is the next restore's to finish
      if ((await staging.#readJournal())?.step !== 'swapping') await staging.abandon();
    } finally {
      await lock.release();
    }
  }

  /** Nothing of the snapshot is in the tree. */
  get isEmpty(): boolean {
    return this.#resumed === null && !this.replaces;
  }

  /** Where what an interrupted restore had written is: the tree itself, or beside it. */
  get trees(): readonly string[] {
    return this.#resumed === 'previous' ? [this.places.tree, this.places.previous] : [this.places.tree];
  }

  /** The directory held something, which the tree began as a copy of. */
  get replaces(): boolean {
    return this.#journal?.replace === true;
  }

  /** Throws E_SSH_LOST when the lock was lost with the connection. */
  check(): void {
    this.#lock.check();
  }

  /** Runs a program in `directory` for paths below it, given on its stdin. */
  async forEach(
    directory: string,
    argv: readonly string[],
    paths: Iterable<string> | AsyncIterable<string>,
    options: RunOptions = {},
  ): Promise<void> {
    this.#lock.check();
    const command = ['env', `--chdir=${directory}`, 'xargs', '--null', '--no-run-if-empty', ...argv];
    await runOn(this.#host, command, { ...options, input: nulTerminated(below(paths)) });
  }

  /** Everything that is right there is in the tree too. */
  async dropPrevious(): Promise<void> {
    if (this.#resumed === 'previous') await this.#remove(this.places.previous);
  }

  /**
   * The tree was found right: it takes the directory's place, and nothing of ours remains but what was asked to be kept. Throws
   * E_TARGET_NOT_EMPTY, E_TARGET_WRITE, E_SSH_…; then the directory is as it was, or the next restore into it finishes the swap.
   */
  async publish(): Promise<string | null> {
    this.#lock.check();
    const { directory, tree, old } = this.places;
    const journal = this.#journal as Journal;
    if (!journal.replace) {
      const { status, said } = await runOn(this.#host, ['mv', '--no-target-directory', '--', tree, directory], { accept: [0, 1] });
      if (status === 0) return null;
      if (!said.some((line) => /Directory not empty|File exists/.test(line))) throw failed(this.#host, 'mv', status, said);
      throw new CoffreError('E_TARGET_NOT_EMPTY', `${this.#host.name}: something was written into ${directory} meanwhile`, {
        hint: 'look what it is; the restored tree waits beside it, and the same command again goes on with it',
      });
    }
    // The old tree goes as soon as the new one is in its place: that must be on the disk by then.
    await runOn(this.#host, ['sync', '--file-system', '--', tree]);
    const aside = journal.keptOld ?? old;
    await this.#write({ ...journal, step: 'swapping', incoming: await this.#inodeOf(tree) });
    const failure = await this.#swap(aside).then(
      () => null,
      (error: unknown) => asCoffreError(error),
    );
    if (failure === null) return journal.keptOld;
    if (await this.#wasExchanged(this.#journal as Journal)) {
      await this.#rename(tree, aside);
      return journal.keptOld;
    }
    // Whatever ended it, nobody is left without a directory. When the host is gone too, the journal tells the next restore.
    const present = await look(this.#host, this.places, [aside]);
    if (present.has(directory) && present.has(aside) && !present.has(tree)) return journal.keptOld;
    if (!present.has(directory) && present.has(aside)) await this.#rename(aside, directory);
    await this.#write(journal);
    throw failure;
  }

  async #swap(aside: string): Promise<void> {
    const { directory, tree } = this.places;
    const exchange = ['sh', '-c', `perl -e "$0" -- "$@" 2>/dev/null || exit ${NOT_EXCHANGED}`, EXCHANGE, directory, tree];
    if ((await runOn(this.#host, exchange, { accept: [0, NOT_EXCHANGED] })).status === 0) return await this.#rename(tree, aside);
    // One program for both renames, so that nobody waits for a round trip while there is no directory.
    const { status, said } = await runOn(this.#host, ['xargs', '--null', '--max-args=2', 'mv', '--no-target-directory', '--'], {
      input: nulTerminated([directory, aside, tree, directory].map(bytesOf)),
      accept: [0, XARGS_FAILED],
    });
    if (status !== 0) throw failed(this.#host, 'mv', status, said);
  }

  /** Both are there, and the tree has the directory's place already: what is missing is that the old one goes aside. */
  async #wasExchanged({ incoming }: Journal): Promise<boolean> {
    const { directory, tree } = this.places;
    if (incoming === undefined) return false;
    return (await this.#inodeOf(directory)) === incoming && (await this.#inodeOf(tree)) !== '';
  }

  /** Empty: it is not there. */
  async #inodeOf(path: string): Promise<string> {
    const { status, out } = await runOn(this.#host, ['stat', '--format=%i', '--', path], { accept: [0, 1] });
    return status === 0 ? out.trim() : '';
  }

  /** After `publish`: removes all that is ours. What cannot be removed is noted. Never throws. */
  async clear(): Promise<void> {
    const { old, previous, tree, work } = this.places;
    const gone = await this.#setWrittenAside(this.#journal as Journal).then(
      () => [old],
      (error: unknown) => {
        this.notes.push(`${old} is what was there before; it was left: ${asCoffreError(error).message}`);
        return [];
      },
    );
    await this.#removeAll([...gone, previous, tree, work]);
  }

  /** Nothing was written that somebody could go on with: as if it had not been begun. Never throws. */
  async abandon(): Promise<void> {
    await this.#removeAll([this.places.previous, this.places.tree, this.places.work]);
  }

  /** What was written stays for the next try, marked as what it is. Never throws. */
  async leave(): Promise<void> {
    const text = `coffre: a restore into ${this.places.directory} was interrupted; this folder and those named alike are its work. The same command again goes on with it. Without it, remove them.\n`;
    await this.#put('README', Buffer.from(text)).catch(() => {});
    await this.#lock.release();
  }

  async #make(present: Present, journal: Journal | null, wanted: StagingOptions & { snapshot: string; replace: boolean }): Promise<void> {
    const { directory, tree, previous } = this.places;
    const { snapshot, replace, keepOld } = wanted;
    const remove = replace && wanted.removeAllBut !== null;
    const same = journal !== null && isSameRestore(journal, { snapshot, replace, delete: remove, keepOld: replace && keepOld });
    const kept = replace && keepOld ? keptBeside(directory) : null;
    const fresh: Journal = { format: 1, snapshot, replace, delete: remove, keptOld: kept, step: 'making' };
    if (same && !replace && journal.step !== 'making' && present.has(tree)) {
      this.#resumed = 'tree';
      await this.#write({ ...fresh, step: 'filling' });
      return;
    }
    // A copy of a living directory grows old: it is made anew, and what was restored so far is taken from beside it.
    if (same && replace && present.has(previous)) this.#resumed = 'previous';
    else if (same && replace && journal.step !== 'making' && present.has(tree)) {
      await this.#rename(tree, previous);
      this.#resumed = 'previous';
    } else await this.#remove(previous);
    await this.#remove(tree);
    await this.#write(fresh);
    if (replace) {
      await this.#put(BEGUN, Buffer.alloc(0));
      await this.#copy(keepOld);
    } else await runOn(this.#host, ['mkdir', '--mode=700', '--', tree]);
    await this.#write({ ...fresh, step: 'filling' });
  }

  /**
   * A copy whose files are the directory's own, by hard links: nothing is read, no space is taken, and whatever is extracted over one of them
   * is a new file. Where the old tree is to stay, real copies: two trees must not change together.
   */
  async #copy(real: boolean): Promise<void> {
    const { directory, tree } = this.places;
    const how = real ? '--reflink=auto' : '--link';
    const { status, said } = await runOn(this.#host, ['cp', '--archive', how, '--no-target-directory', '--', directory, tree], {
      accept: [0, 1],
    });
    // In a living shop caches come and go.
    const serious = said.filter((line) => !line.endsWith(': No such file or directory'));
    if (status !== 0 && (serious.length > 0 || said.length === 0)) {
      const failure = failed(this.#host, 'cp', status, serious);
      if (failure.code === 'E_TARGET_SPACE') throw failure;
      throw new CoffreError(
        'E_TARGET_WRITE',
        `${this.#host.name}: ${directory} cannot be copied beside itself: ${serious.slice(0, 3).map(printable).join('; ')}`,
        {
          hint: 'log in as root or as the tree’s owner; another file system mounted inside it stands in the way too',
        },
      );
    }
    // closed to others while it fills
    await runOn(this.#host, ['chmod', '700', '--', tree]);
  }

  /** A restore was cut off between its proof and its end. What it had proven goes into place. */
  async #finishSwap(journal: Journal): Promise<void> {
    const { directory, tree, old } = this.places;
    const aside = journal.keptOld ?? old;
    const present = await look(this.#host, this.places, [aside]);
    if (!present.has(aside) && (await this.#wasExchanged(journal))) {
      await this.#rename(tree, aside);
      this.notes.push(`the swap of an interrupted restore of snapshot ${journal.snapshot} was finished`);
    } else if (!present.has(directory) && present.has(aside)) {
      const [from, what] = present.has(tree) ? [tree, 'finished'] : [aside, 'undone'];
      await this.#rename(from, directory);
      this.notes.push(`the swap of an interrupted restore of snapshot ${journal.snapshot} was ${what}`);
    }
    if (present.has(directory) && present.has(tree) && present.has(aside)) {
      throw new CoffreError(
        'E_TARGET_WRITE',
        `${this.#host.name}: a swap was interrupted, and ${directory} made anew since by somebody else`,
        {
          hint: `what it held is in ${aside}, what was restored in ${tree}: move one of them to where it belongs, and remove ${this.places.work}`,
        },
      );
    }
    const { incoming: _, ...rest } = journal;
    await this.#write({ ...rest, step: 'filling' });
  }

  /** Swapped out by a restore that was cut off before it could remove it. */
  async #removeOld(present: Present, journal: Journal | null): Promise<void> {
    const { directory, old } = this.places;
    if (!present.has(directory)) {
      throw new CoffreError('E_TARGET_WRITE', `${this.#host.name}: ${directory} is gone, and ${old} is what it held`, {
        hint: 'move it back, or away',
      });
    }
    // without a journal nobody knows what it was: it stays
    if (journal === null) await this.#rename(old, keptBeside(directory));
    else await this.#setWrittenAside(journal);
    await this.#remove(old);
  }

  /** The tree began as a copy: what a living shop wrote since then is in the old one alone, which then stays under another name. */
  async #setWrittenAside(journal: Journal): Promise<void> {
    if (!journal.replace || journal.delete || journal.keptOld !== null) return;
    const { directory, old, work } = this.places;
    const written = ['find', old, '-newer', `${work}/${BEGUN}`, '!', '-type', 'd', '-printf', '%P\\0', '-quit'];
    const { out } = await runOn(this.#host, written);
    if (out === '') return;
    const kept = keptBeside(directory);
    await this.#rename(old, kept);
    this.notes.push(
      `${printable(out.split('\0')[0] as string)}, and maybe more, was written while the tree was restored: what was there before is in ${kept}`,
    );
  }

  async #readJournal(): Promise<Journal | null> {
    const { status, out } = await runOn(this.#host, ['cat', '--', `${this.places.work}/journal`], { accept: [0, 1] });
    return status === 0 ? decodeJournal(Buffer.from(out, 'latin1').toString()) : null;
  }

  async #write(journal: Journal): Promise<void> {
    await this.#put('journal', encodeJournal(journal));
    this.#journal = journal;
  }

  /** Whole or not at all. */
  async #put(name: string, content: Buffer): Promise<void> {
    const path = `${this.places.work}/${name}`;
    await runOn(this.#host, ['dd', `of=${path}.new`, 'conv=fsync', 'status=none'], { input: [content] });
    await this.#rename(`${path}.new`, path);
  }

  async #rename(from: string, to: string): Promise<void> {
    await runOn(this.#host, ['mv', '--no-target-directory', '--', from, to]);
  }

  /** A tree of ours. What is mounted in it belongs to somebody else. */
  async #remove(path: string): Promise<void> {
    this.#lock.check();
    if (this.#userId !== 0) {
      // our own directories may be closed to ourselves
      const open = ['find', path, '-type', 'd', '!', '-perm', '-700', '-exec', 'chmod', 'u+rwx', '{}', ';'];
      await runOn(this.#host, open, { accept: [0, 1] });
    }
    await runOn(this.#host, ['rm', '-rf', '--one-file-system', '--', path]);
  }

  async #removeAll(paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      await this.#remove(path).catch((error: unknown) => {
        this.notes.push(`${path} could not be removed: ${asCoffreError(error).message}`);
      });
    }
    await this.#lock.release();
  }
}

/** So that no name is taken for an option. */
async function* below(paths: Iterable<string> | AsyncIterable<string>): AsyncGenerator<string> {
  for await (const path of paths) yield `./${path}`;
}

const keptBeside = (directory: string): string => `${directory}.coffre-old-${randomBytes(4).toString('hex')}`;

const bytesOf = (path: string): string => Buffer.from(path).toString('latin1');

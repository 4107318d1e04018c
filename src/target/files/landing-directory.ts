// The target `--to-dir` on this machine: a fresh directory, one whose restore was interrupted, or a tree that is made equal.
import { closeSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { CoffreError } from '../../errors.ts';
import { Anchored, openBelow } from '../../host/anchored.ts';
import { printable } from '../../host/gnu-tar.ts';
import type { Host } from '../../host/host.ts';
import type { BytePath, FileEntry } from '../../source/source.ts';
import type { FilesTarget, IncomingSegment, ThreadedTarget, WantedMember } from '../target.ts';
import { DeltaTarget, targetError } from './delta-target.ts';
import { setDirectories } from './directory-metadata.ts';
import { MARKER_PREFIX, type MarkerState, readMarker, refuseBusy, removeMarker, writeMarker } from './marker.ts';
import { Found, missingEntries } from './missing.ts';
import { type Held, removeOthers, type Stays } from './put-in-place.ts';
import { setModified } from './times.ts';

export interface LandingOptions extends Pick<FilesTarget, 'dropsPrivileges'> {
  /** A target for a directory that is empty or not there yet, which drops privileges as this one does. */
  readonly fresh: (directory: string) => FilesTarget;
  readonly overwrite: boolean;
  readonly checksum: boolean;
  /** With overwrite; null: nothing is removed. Else what stays although the snapshot does not have it. */
  readonly removeAllBut: Stays | null;
}

/** What is in the directory: who may go on with what. */
interface Present {
  readonly others: readonly string[];
  readonly markers: readonly { readonly name: string; readonly state: MarkerState | null }[];
}

export class LandingDirectory implements FilesTarget {
  readonly dropsPrivileges: boolean;
  /** From `prepare` on, where there are any. */
  threads?: ThreadedTarget;
  readonly #directory: string;
  readonly #host: Host;
  readonly #options: LandingOptions;
  #target: FilesTarget | null = null;
  #snapshot = '';
  #complete = false;
  #markers: readonly string[] = [];

  /** `directory` is an absolute path of this machine, which `host` is. */
  constructor(directory: string, host: Host, options: LandingOptions) {
    this.#directory = directory;
    this.#host = host;
    this.#options = options;
    this.dropsPrivileges = options.dropsPrivileges ?? false;
  }

  /** Null: everything was written, into a fresh directory. */
  get landing(): DeltaTarget['landing'] | null {
    return this.#target instanceof DeltaTarget ? this.#target.landing : null;
  }

  async prepare(snapshot: string): Promise<{ readonly everythingMissing: boolean }> {
    this.#snapshot = snapshot;
    const place = this.#open();
    const delta = place && this.#decide(place, snapshot);
    if (delta) {
      this.#target = delta;
      const prepared = await delta.prepare(snapshot);
      if (delta.threads) this.threads = delta.threads;
      return prepared;
    }
    place?.close();
    const fresh = this.#options.fresh(this.#directory);
    this.#target = fresh;
    const prepared = await fresh.prepare(snapshot);
    if (fresh.threads) this.threads = fresh.threads;
    // It was empty: what is there now is the fresh target's marker.
    this.#markers = readdirSync(this.#directory);
    this.#mark();
    return prepared;
  }

  get staged(): readonly string[] {
    const target = this.#inside();
    return target instanceof DeltaTarget ? target.staged : [];
  }

  /** Unless what comes first is put in place with the directories. */
  get comparesBesideTail(): boolean {
    return !(this.#inside() instanceof DeltaTarget);
  }

  missing(entries: AsyncIterable<FileEntry>): AsyncIterable<FileEntry> {
    return this.#inside().missing(entries);
  }

  async extract(segment: IncomingSegment, members: readonly WantedMember[] | null, signal: AbortSignal): Promise<void> {
    const target = this.#inside();
    // The fresh target would take its marker away before the directories get their times, and a kill then leave what passes for a whole tree.
    if (segment.phase === 'tail' && !segment.unverified && !(target instanceof DeltaTarget))
      await this.#setDirectories(segment, members, signal);
    else await target.extract(segment, members, signal);
  }

  async compare(entries: AsyncIterable<FileEntry>): Promise<readonly string[]> {
    const differences = await this.#inside().compare(entries);
    this.#complete = differences.length === 0;
    return differences;
  }

  async close(): Promise<void> {
    const target = this.#target;
    if (target instanceof DeltaTarget) return await target.close();
    const place = target && this.#open();
    if (!place) return await target?.close();
    try {
      const root = place.directory('.') as Held;
      const { mtimeNs } = lstatSync(`${root}/.`, { bigint: true });
      await target.close();
      // One that failed left its marker: it says of what, so that the same command goes on.
      if (!this.#complete) return this.#mark();
      const fd = place.hold('.') as number;
      await setModified(this.#host, fd, mtimeNs).finally(() => closeSync(fd));
    } catch (cause) {
      throw targetError(this.#directory, cause);
    } finally {
      place.close();
    }
  }

  async #setDirectories(segment: IncomingSegment, members: readonly WantedMember[] | null, signal: AbortSignal): Promise<void> {
    const wanted = members && new Set(members.map((member) => (typeof member === 'string' ? member : member.path)));
    const place = new Anchored(this.#directory);
    try {
      await setDirectories(this.#host, segment.plaintext, wanted, (path) => holdOrMake(place, path), signal);
    } catch (cause) {
      throw targetError(this.#directory, cause);
    } finally {
      place.close();
    }
  }

  /** What a restore would write, leave and remove; nothing is touched. Throws as prepare. */
  async preview(snapshot: string, entries: AsyncIterable<FileEntry>) {
    const place = this.#open();
    const found = new Found();
    const known = new Set<BytePath>();
    const noted = async function* () {
      for await (const entry of entries) {
        known.add(entry.path);
        yield entry;
      }
    };
    try {
      const present = place ? lookAt(place) : { others: [], markers: [] };
      const refused = this.#refusal(present, snapshot);
      if (!place || present.others.length === 0) {
        return { exists: place !== null, allowed: true, written: null, bytes: null, unchanged: 0, deleted: 0 };
      }
      const looking = { tree: place, beside: null, checksum: this.#options.checksum, interrupted: false };
      for await (const _ of missingEntries(noted(), looking, found));
      const stays = this.#options.removeAllBut;
      const deleted =
        stays === null
          ? 0
          : removeOthers(place.directory('.') as Held, {
              belongs: (path) => known.has(path),
              stays: (path, isDirectory) => (path.startsWith(MARKER_PREFIX) ? 'whole' : stays(path, isDirectory)),
              dry: true,
            });
      return {
        exists: true,
        allowed: refused === null,
        written: found.missing,
        bytes: found.missingBytes,
        unchanged: found.inPlace,
        deleted,
      };
    } catch (cause) {
      throw targetError(this.#directory, cause);
    } finally {
      place?.close();
    }
  }

  /** Null: there is nothing yet, or something that the fresh target refuses better. */
  #open(): Anchored | null {
    try {
      return new Anchored(this.#directory);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return null;
      throw targetError(this.#directory, cause);
    }
  }

  /** Null: nothing is there that counts, a fresh restore begins. */
  #decide(place: Anchored, snapshot: string): DeltaTarget | null {
    const root = place.directory('.') as Held;
    try {
      const present = lookAt(place);
      for (const { state } of present.markers) if (state) refuseBusy(state, this.#directory);
      if (present.others.length === 0 && !present.markers.some(({ state }) => state?.snapshot === snapshot)) {
        for (const { name } of present.markers) removeMarker(root, name);
        return null;
      }
      const refused = this.#refusal(present, snapshot);
      if (refused) throw refused;
      const mine = present.markers.find(({ state }) => state?.snapshot === snapshot);
      const { fresh, overwrite, checksum, removeAllBut } = this.#options;
      return new DeltaTarget(place, {
        host: this.#host,
        directory: this.#directory,
        beside: fresh,
        overwrite: mine?.state ? mine.state.overwrite : overwrite,
        checksum,
        removeAllBut: overwrite ? removeAllBut : null,
        marker: mine?.name ?? null,
        stale: present.markers.map(({ name }) => name).filter((name) => name !== mine?.name),
      });
    } catch (cause) {
      place.close();
      throw targetError(this.#directory, cause);
    }
  }

  #refusal({ others, markers }: Present, snapshot: string): CoffreError | null {
    if (this.#options.overwrite || others.length === 0) return null;
    const states = markers.flatMap(({ state }) => (state ? [state] : []));
    const mine = states.find((state) => state.snapshot === snapshot);
    if (mine && !mine.overwrite) return null;
    const [state] = mine ? [mine] : states;
    if (!state) {
      return new CoffreError('E_TARGET_NOT_EMPTY', `${this.#directory} is not empty: it holds ${others[0]}`, {
        hint: 'name a directory that is empty or not there yet; or --overwrite makes this one equal to the snapshot (--dry-run says how much that is)',
      });
    }
    const again = state.overwrite ? `--snapshot ${state.snapshot} --overwrite` : `--snapshot ${state.snapshot}`;
    return new CoffreError('E_TARGET_NOT_EMPTY', `${this.#directory} holds an interrupted restore of snapshot ${state.snapshot}`, {
      hint: `${again} goes on with it; --overwrite with the snapshot that you want makes the directory equal to that one; or name another directory`,
    });
  }

  /** Says in the fresh target's marker of which snapshot it is; without one, everything is there. */
  #mark(): void {
    const place = this.#open();
    if (!place) return;
    try {
      const root = place.directory('.') as Held;
      for (const name of this.#markers) {
        const fd = openBelow(root, name);
        if (fd === null) continue;
        try {
          writeMarker(`/proc/self/fd/${fd}`, this.#snapshot, false);
        } finally {
          closeSync(fd);
        }
      }
    } catch (cause) {
      throw targetError(this.#directory, cause);
    } finally {
      place.close();
    }
  }

  #inside(): FilesTarget {
    if (!this.#target) throw new CoffreError('E_INTERNAL', 'a target was used before it was prepared');
    return this.#target;
  }
}

/**
 * Removes what interrupted restores into a tree had fetched and not put in place; the tree is as it was. For whoever goes back. Throws
 * E_TARGET_WRITE, and E_BUSY while one of them runs.
 */
export function abandonStaged(directory: string): void {
  const place = new Anchored(directory);
  try {
    const root = place.directory('.') as Held;
    for (const { name, state } of lookAt(place).markers) {
      // one whose removal was cut off says nothing any more
      if (state) refuseBusy(state, directory);
      if (lstatSync(`${root}/${name}`).uid === process.geteuid?.()) removeMarker(root, name);
    }
  } catch (cause) {
    throw targetError(directory, cause);
  } finally {
    place.close();
  }
}

/** Opens a directory of a fresh tree, made where it is missing. The caller closes it. Throws E_FORMAT when something else has its name. */
function holdOrMake(place: Anchored, path: BytePath): number {
  const fd = place.hold(path);
  if (fd !== null) return fd;
  const slash = path.lastIndexOf('/');
  closeSync(holdOrMake(place, slash < 0 ? '.' : path.slice(0, slash)));
  const name = place.at(path) as Buffer;
  if (lstatSync(name, { throwIfNoEntry: false })) {
    throw new CoffreError('E_FORMAT', `tar: member ${printable(path)} is a directory and something else`, {
      hint: 'coffre writes no such archive: the segment was made by someone else',
    });
  }
  mkdirSync(name, { mode: 0o700 });
  return place.hold(path) as number;
}

function lookAt(place: Anchored): Present {
  const root = place.directory('.') as Held;
  const names = readdirSync(`${root}/.`);
  const markers = names.filter((name) => name.startsWith(MARKER_PREFIX)).map((name) => ({ name, state: readMarker(root, name) }));
  return { others: names.filter((name) => !name.startsWith(MARKER_PREFIX)), markers };
}

// What restores share, and a tree's restore: manifest, index, segments, each from the first vault whose copy is right, into a target.
import type { Catalog } from '../catalog/open.ts';
import type { PhaseFigures } from '../catalog/rates.ts';
import type { SnapshotWithCopies } from '../catalog/snapshots.ts';
import type { Clock } from '../clock.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { decodeIndex, decodeIndexLines } from '../segment/index-file.ts';
import type { Manifest, ManifestSegment } from '../segment/manifest-types.ts';
import { type BytePath, type FileEntry, type IndexEntry, isFileEntry } from '../source/source.ts';
import { type Withheld, withoutPrivileges } from '../target/privileges.ts';
import type { FilesTarget } from '../target/target.ts';
import type { Vault } from '../vault/vault.ts';
import { ExtractPool } from './extract-pool.ts';
import { extractSegments, SEGMENTS_IN_FLIGHT } from './extract-segments.ts';
import { CopyOrder, fetchObject, fromAnyCopy, type Identities, type OpenedCopy, type Problem, readManifest } from './fetch.ts';
import { planMembers } from './members.ts';
import { PhaseMeter } from './phases.ts';
import type { RestoreProgress } from './progress.ts';

export interface RestoreDeps {
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** Vaults to read from, in order of preference. */
  readonly vaults: readonly Vault[];
  readonly identities: Identities;
  /** Fingerprints of signing keys. */
  readonly trusted: readonly string[];
  readonly signal: AbortSignal;
  readonly onProgress: (progress: RestoreProgress) => void;
  /** The target is as it should be, and nothing was written yet. */
  readonly onPrepared?: () => void;
  /** A copy that is not right: told at once, since the restore may fail of it. */
  readonly onProblem: (snapshot: string, problem: Problem) => void;
}

/** What one source's restore did. */
export interface RestoredSource {
  readonly snapshot: string;
  readonly source: string;
  readonly asOf: string;
  readonly vaults: readonly string[];
  /** What was written: the plaintext of whole segments; of chosen paths the content of their files. */
  readonly bytes: number;
  /** Plaintext of the segments that were read for it. */
  readonly readBytes: number;
  readonly segments: number;
  readonly files?: number;
  /** Of these files those that were not there as they should be, and were written. */
  readonly writtenFiles?: number;
  /** In the snapshot, and left out: files' setuid and setgid bits, devices. */
  readonly withheld?: Withheld;
  readonly tables?: number;
  readonly rows?: number;
  readonly durationMs: number;
  /** Where the time went, for recordRates (catalog/rates.ts); empty when nothing was fetched. */
  readonly phases: readonly PhaseFigures[];
  /** The target was compared with the index (files) or its rows were counted (database), and nothing differs. */
  readonly verified: boolean;
  /** Copies that were refused although the restore went on with another. */
  readonly problems: readonly Problem[];
}

/** Opens the copies whose manifest is right. Throws the first copy's error when none is. */
export async function openCopies(
  deps: RestoreDeps,
  snapshot: SnapshotWithCopies,
  onProblem: (problem: Problem) => void,
): Promise<readonly OpenedCopy[]> {
  const copies: OpenedCopy[] = [];
  let first: CoffreError | null = null;
  for (const vault of deps.vaults) {
    if (!snapshot.copies.some((copy) => copy.vault === vault.name)) continue;
    try {
      copies.push({ vault, manifest: await readManifest(deps.catalog, vault, snapshot, deps.identities, deps.trusted, deps.signal) });
    } catch (error) {
      deps.signal.throwIfAborted();
      const failure = asCoffreError(error);
      onProblem({ vault: vault.name, key: `manifest of ${snapshot.id}`, code: failure.code, message: failure.message });
      first ??= failure;
    }
  }
  if (copies.length === 0) throw first ?? new CoffreError('E_OBJECT_MISSING', `no vault at hand holds snapshot ${snapshot.id}`);
  return copies;
}

/**
 * The index of a snapshot, checked as it streams; read it to its end before relying on what it said. `brief`: for who asks for little more
 * than path, size and segment of each entry.
 */
export async function* readSnapshotIndex(
  deps: RestoreDeps,
  copies: readonly OpenedCopy[] | CopyOrder,
  onProblem: (problem: Problem) => void,
  brief = false,
): AsyncGenerator<IndexEntry> {
  // held in memory when small; a large index that turns out wrong half-way ends the restore before anything was written
  const [first] = copies instanceof CopyOrder ? copies.copies : copies;
  const { key } = (first as OpenedCopy).manifest.index;
  const fetched = await fromAnyCopy(copies, key, deps.signal, onProblem, (copy) =>
    fetchObject(copy, copy.manifest.index, deps.identities, deps.signal),
  );
  yield* brief ? decodeIndexLines(fetched.plaintext, key) : decodeIndex(fetched.plaintext, key);
}

/** Restores a tree. `matches` null: all of it. Throws target, vault and integrity codes; what was written stays for a look. */
export async function restoreFiles(
  deps: RestoreDeps,
  snapshot: SnapshotWithCopies,
  target: FilesTarget,
  matches: ((path: BytePath) => boolean) | null,
): Promise<RestoredSource> {
  const started = deps.clock.monotonicMs();
  const phases = new PhaseMeter(deps.clock);
  const problems: Problem[] = [];
  const tell = once(problems, (problem) => deps.onProblem(snapshot.id, problem));
  const copies = await openCopies(deps, snapshot, tell);
  const order = new CopyOrder(copies);
  const onProblem = (problem: Problem): void => {
    order.note(problem);
    tell(problem);
  };
  const { manifest } = copies[0] as OpenedCopy;
  const withheld = { bits: 0, devices: 0 };
  const readAll = (): AsyncIterable<IndexEntry> => readSnapshotIndex(deps, order, onProblem);
  const readEntries = (): AsyncIterable<IndexEntry> => (target.dropsPrivileges ? withoutPrivileges(readAll()) : readAll());
  let plan = matches === null ? null : await phases.check(() => planMembers(readEntries, manifest.segments, { matches, missing: null }));
  // before anything is made: a wrong pattern leaves no empty directory behind
  if (plan?.members.size === 0) {
    throw new CoffreError('E_USAGE', `nothing in snapshot ${snapshot.id} matches --path`, {
      hint: `coffre show ${snapshot.id} . lists what it holds`,
    });
  }
  const { everythingMissing } = await target.prepare(snapshot.id);
  deps.onPrepared?.();
  const pool = target.threads ? new ExtractPool(target.threads) : null;
  let needed: readonly ManifestSegment[];
  let extractTail: () => Promise<void>;
  try {
    // What they will extract is known when the index was read to its end; that it is much, now.
    if (everythingMissing && matches === null) pool?.start();
    if (!everythingMissing) {
      const missing = (entries: AsyncIterable<FileEntry>): AsyncIterable<FileEntry> => target.missing(entries);
      plan = await phases.check(() => planMembers(readEntries, manifest.segments, { matches, missing }));
    }
    const readBriefly = target.dropsPrivileges ? readEntries : () => readSnapshotIndex(deps, order, onProblem, true);
    plan ??= await phases.check(() => planMembers(readBriefly, manifest.segments, { matches, missing: null }));
    const { members } = plan;
    needed = manifest.segments.filter((segment) => members.has(segment.id));
    extractTail = await phases.pipeline(() => extractSegments({ ...deps, onProblem, phases }, order, target, needed, members, pool));
  } finally {
    await pool?.close();
  }
  const chosen = filterFiles(readAll(), matches);
  const wanted = target.dropsPrivileges ? withoutPrivileges(chosen, withheld) : chosen;
  const differences = await phases.check(() => compareBesideTail(target, wanted, extractTail));
  if (differences.length > 0) {
    throw new CoffreError('E_OBJECT_ALTERED', `the restored tree differs from the index: ${differences.slice(0, 5).join('; ')}`, {
      hint: `${differences.length} differences; something else may have written into the target meanwhile`,
    });
  }
  await target.publish?.();
  const result = outcome(deps, snapshot, manifest, copies, needed, started, problems);
  const whole = { bytes: everythingMissing ? result.readBytes : plan.fileBytes, files: plan.files };
  const written = everythingMissing ? whole : { bytes: plan.writtenBytes, files: plan.writtenFiles };
  return {
    ...result,
    // of chosen paths most of what is read is not written: it would tell nothing of a whole restore
    phases: matches === null ? phases.figures(pool?.size ?? SEGMENTS_IN_FLIGHT, whole, written) : [],
    ...(matches === null && everythingMissing ? {} : { bytes: plan.writtenBytes }),
    files: plan.files,
    writtenFiles: plan.writtenFiles,
    ...(withheld.bits + withheld.devices > 0 ? { withheld } : {}),
    verified: true,
  };
}

/** Writes the directories and compares; files are looked at meanwhile where the target can. When it throws, nothing writes any more. */
async function compareBesideTail(
  target: FilesTarget,
  entries: AsyncIterable<FileEntry>,
  extractTail: () => Promise<void>,
): Promise<readonly string[]> {
  const tail = extractTail();
  tail.catch(() => {});
  if (!target.comparesBesideTail) await tail;
  async function* directoriesLast(): AsyncGenerator<FileEntry> {
    for await (const entry of entries) {
      if (entry.type === 'directory') await tail;
      yield entry;
    }
    await tail;
  }
  try {
    return await target.compare(directoriesLast());
  } finally {
    await tail;
  }
}

/** Adds a problem to the list unless it is known: an index is read twice. */
export function once(problems: Problem[], tell: (problem: Problem) => void): (problem: Problem) => void {
  return (problem) => {
    if (problems.some((known) => known.vault === problem.vault && known.key === problem.key && known.code === problem.code)) return;
    problems.push(problem);
    tell(problem);
  };
}

async function* filterFiles(entries: AsyncIterable<IndexEntry>, matches: ((path: BytePath) => boolean) | null): AsyncGenerator<FileEntry> {
  for await (const entry of entries) {
    if (!isFileEntry(entry)) continue;
    if (matches === null || matches(entry.path)) yield entry;
  }
}

export function outcome(
  deps: RestoreDeps,
  snapshot: SnapshotWithCopies,
  manifest: Manifest,
  copies: readonly OpenedCopy[],
  segments: readonly ManifestSegment[],
  started: number,
  problems: readonly Problem[],
) {
  const readBytes = segments.reduce((total, segment) => total + segment.plainBytes, 0);
  return {
    snapshot: snapshot.id,
    source: snapshot.source,
    asOf: manifest.asOf,
    vaults: copies.map((copy) => copy.vault.name),
    bytes: readBytes,
    readBytes,
    segments: segments.length,
    durationMs: Math.round(deps.clock.monotonicMs() - started),
    problems,
  };
}

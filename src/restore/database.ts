// A database's restore: definitions, then rows and keys of several tables at a time, then foreign keys and programs; every table counted.
import type { SnapshotWithCopies } from '../catalog/snapshots.ts';
import { CoffreError } from '../errors.ts';
import type { ManifestSegment } from '../segment/manifest-types.ts';
import { isFileEntry, type Phase } from '../source/source.ts';
import type { DatabaseTarget, IncomingSegment, TableChoice } from '../target/target.ts';
import { once, openCopies, outcome, type RestoreDeps, type RestoredSource, readSnapshotIndex } from './execute.ts';
import { type FetchedSegment, fetchObject, fromAnyCopy, isStreamed, type OpenedCopy, type Problem, segmentIn } from './fetch.ts';
import { type LoadStep, planLoads } from './load-plan.ts';
import { LoadSchedule, runSchedule } from './load-schedule.ts';
import { PhaseMeter } from './phases.ts';
import { LoadMeter, type SegmentProgress } from './progress.ts';

export interface DatabaseRestoreOptions {
  /** Only these tables, with their keys and triggers. */
  readonly tables?: readonly string[];
}

const EVERYTHING: TableChoice = { only: null, except: new Set() };

/**
 * Restores a database, or some of its tables. A restore of the same that was interrupted is gone on with: its finished tables stay.
 * Throws E_USAGE for a table that the snapshot does not hold; target, vault and integrity codes. What failed half-way says so in the
 * database itself (see DatabaseTarget.markIncomplete).
 */
export async function restoreDatabase(
  deps: RestoreDeps,
  snapshot: SnapshotWithCopies,
  target: DatabaseTarget,
  options: DatabaseRestoreOptions = {},
): Promise<RestoredSource> {
  const started = deps.clock.monotonicMs();
  const phases = new PhaseMeter(deps.clock);
  const problems: Problem[] = [];
  const onProblem = once(problems, (problem) => deps.onProblem(snapshot.id, problem));
  const copies = await openCopies(deps, snapshot, onProblem);
  const { manifest } = copies[0] as OpenedCopy;
  const segments = new SegmentReader(deps, copies, onProblem);
  const inPhase = (phase: Phase): ManifestSegment[] => manifest.segments.filter((segment) => segment.phase === phase);
  const { expected, rows } = await readRows(deps, copies, manifest.segments, onProblem);
  const only = options.tables ? new Set(options.tables) : null;
  if (only) await demandTables(snapshot.id, only, [...expected.keys()], segments, target, inPhase('pre'));
  const wanted = new Map([...expected].filter(([table]) => only === null || only.has(table)));

  // In this order, so that a crash at any point leaves either the old state or a journal that says what may be kept.
  const finished = await target.prepare({ snapshot: snapshot.id, tables: only && [...only] });
  await target.markIncomplete();
  const there = new Set(finished.map(({ table }) => table));
  const open = new Map([...wanted].filter(([table]) => !there.has(table)));
  const choice: TableChoice = { only, except: there };

  const loads = planLoads([...inPhase('data'), ...inPhase('rows')], rows, open);
  const needed = new Set(loads.flatMap(({ steps }) => steps.flatMap((step) => step.segments)));
  const read = manifest.segments.filter((segment) => (segment.phase !== 'data' && segment.phase !== 'rows') || needed.has(segment));
  const meter = new LoadMeter(deps.onProgress, read, (segment) => rowsOf(rows.get(segment.id) ?? {}, open), total(open));

  for (const segment of inPhase('pre')) await segments.use(segment, meter, (incoming) => target.loadSql(incoming, deps.signal, choice));
  const keyed = new Set<string>();
  for (const segment of inPhase('keys')) {
    for (const table of await segments.use(segment, meter, (incoming) => target.holdKeys(incoming))) keyed.add(table);
  }
  // Tables whose data was left out of the snapshot have keys and no rows.
  const empty = [...keyed].filter((table) => !expected.has(table) && !there.has(table) && (only === null || only.has(table)));
  const schedule = new LoadSchedule([...loads, { steps: [], tables: empty.map((table) => ({ table, rows: 0 })), bytes: 0 }]);
  const loaded = [...needed].reduce((sum, segment) => sum + segment.plainBytes, 0);
  segments.phases = phases;
  await phases.pipeline(() =>
    runSchedule(schedule, target.connections, deps.signal, async (job, signal) => {
      if (job.kind === 'finish') {
        const startedMs = deps.clock.monotonicMs();
        await target.finishTables(job.tables, signal);
        phases.work('keys', deps.clock.monotonicMs() - startedMs, 0);
        meter.finished(job.tables);
      } else {
        for (const step of job.load.steps) await loadStep(target, segments, step, open, meter, signal);
      }
    }),
  );
  segments.phases = null;
  // keys are of rows: their amount is that of what was loaded
  phases.work('keys', 0, loaded);

  meter.check();
  await target.addForeignKeys(deps.signal, only ? { only, except: new Set() } : EVERYTHING);
  const programs = only ? { only, except: new Set<string>() } : EVERYTHING;
  for (const segment of inPhase('post')) await segments.use(segment, meter, (incoming) => target.loadSql(incoming, deps.signal, programs));
  // Nothing is fetched any more once old tables give way to new ones.
  await target.publish();
  await target.markComplete();
  return {
    ...outcome(deps, snapshot, manifest, copies, read, started, problems),
    tables: only?.size ?? manifest.counts.tables ?? expected.size,
    rows: total(wanted),
    // a few tables tell little of a whole database
    phases: only === null ? phases.figures(target.connections, { bytes: loaded, rows: total(open) }) : [],
    verified: true,
  };
}

const total = (tables: ReadonlyMap<string, number>): number => [...tables.values()].reduce((a, b) => a + b, 0);

const rowsOf = (rows: Readonly<Record<string, number>>, open: ReadonlyMap<string, number>): number =>
  Object.entries(rows).reduce((sum, [table, count]) => (open.has(table) ? sum + count : sum), 0);

/** Every table's rows, and those of each segment, as the index has them. */
async function readRows(
  deps: RestoreDeps,
  copies: readonly OpenedCopy[],
  segments: readonly ManifestSegment[],
  onProblem: (problem: Problem) => void,
): Promise<{ expected: Map<string, number>; rows: Map<string, Readonly<Record<string, number>>> }> {
  const byName = new Map(segments.map((segment) => [segment.name, segment.id]));
  const expected = new Map<string, number>();
  const rows = new Map<string, Readonly<Record<string, number>>>();
  for await (const entry of readSnapshotIndex(deps, copies, onProblem)) {
    if (isFileEntry(entry)) continue;
    const segment = entry.segment ?? byName.get(entry.name);
    if (segment === undefined) throw new CoffreError('E_FORMAT', `the index names a part without a segment: ${entry.name}`);
    rows.set(segment, entry.rows);
    for (const [table, count] of Object.entries(entry.rows)) expected.set(table, (expected.get(table) ?? 0) + count);
  }
  return { expected, rows };
}

/** Throws E_USAGE for a table that is not in the snapshot. One whose data was left out is only in its definitions. */
async function demandTables(
  snapshot: string,
  only: ReadonlySet<string>,
  withRows: readonly string[],
  segments: SegmentReader,
  target: DatabaseTarget,
  pre: readonly ManifestSegment[],
): Promise<void> {
  const known = new Set(withRows);
  for (const segment of pre)
    for (const table of await segments.use(segment, null, (incoming) => target.listTables(incoming))) known.add(table);
  const unknown = [...only].filter((table) => !known.has(table));
  if (unknown.length === 0) return;
  throw new CoffreError('E_USAGE', `snapshot ${snapshot} has no table ${unknown.join(', ')}`, {
    hint: `it holds: ${[...known].sort().join(', ')}`,
  });
}

async function loadStep(
  target: DatabaseTarget,
  segments: SegmentReader,
  { segments: parts, load, streamed }: LoadStep,
  open: ReadonlyMap<string, number>,
  meter: LoadMeter,
  signal: AbortSignal,
): Promise<void> {
  const [first] = parts as [ManifestSegment, ...ManifestSegment[]];
  // INSERTs of tables that are finished, or not asked for, share the segment.
  const choice: TableChoice = { only: new Set(open.keys()), except: new Set() };
  const into = (incoming: IncomingSegment): Promise<unknown> =>
    load ? target.loadRows(incoming, load, signal) : target.loadSql(incoming, signal, choice);
  if (load === null || streamed) {
    await segments.use(first, meter, into, signal);
    return;
  }
  // Each segment was fetched and checked as a whole before its first byte is given out here, so that a bad copy costs a fetch, no load.
  const counted = parts.map((part) => meter.begin(part));
  await segments.working(parts, (waited) =>
    into({ id: first.id, phase: first.phase, plaintext: segments.concatenated(parts, counted, signal, waited), unverified: false }),
  );
  for (const progress of counted) progress.done();
}

/** Gets segments of one snapshot from whichever copy is right. */
class SegmentReader {
  readonly #deps: RestoreDeps;
  readonly #copies: readonly OpenedCopy[];
  readonly #onProblem: (problem: Problem) => void;
  /** While rows are loaded: hears where the time goes. */
  phases: PhaseMeter | null = null;

  constructor(deps: RestoreDeps, copies: readonly OpenedCopy[], onProblem: (problem: Problem) => void) {
    this.#deps = deps;
    this.#copies = copies;
    this.#onProblem = onProblem;
  }

  /**
   * Gives a segment to `work`. One that is larger than memory shows only at its end that it is right: `work` then keeps nothing of
   * a bad one and is called again with the next copy's. Of a smaller one only fetching is tried again.
   */
  async use<T>(
    segment: ManifestSegment,
    meter: LoadMeter | null,
    work: (incoming: IncomingSegment) => Promise<T>,
    signal: AbortSignal = this.#deps.signal,
  ): Promise<T> {
    const progress = meter?.begin(segment) ?? null;
    const run = async (fetched: FetchedSegment): Promise<T> => {
      try {
        return await this.working([segment], async (waited) => {
          const opened = this.#opening(segment, fetched, waited);
          const plaintext = progress ? counting(opened, progress) : opened;
          return await work({ id: segment.id, phase: segment.phase, plaintext, unverified: fetched.unverified });
        });
      } catch (error) {
        progress?.undo();
        throw error;
      }
    };
    const result = isStreamed(segment)
      ? await this.#fromAnyCopy(segment, signal, async (copy) => run(await this.#from(copy, segment, signal)))
      : await run(await this.#fetch(segment, signal));
    progress?.done();
    return result;
  }

  /** Plaintexts of segments that fit into memory, one after the other; the next one is fetched while one is consumed. */
  async *concatenated(
    parts: readonly ManifestSegment[],
    progress: readonly SegmentProgress[],
    signal: AbortSignal,
    waited: { ms: number },
  ): AsyncGenerator<Uint8Array> {
    const { clock } = this.#deps;
    let ahead: Promise<FetchedSegment> | null = null;
    for (const [at, part] of parts.entries()) {
      const startedMs = clock.monotonicMs();
      const fetched: FetchedSegment = await (ahead ?? this.#fetch(part, signal));
      waited.ms += clock.monotonicMs() - startedMs;
      const next = parts[at + 1];
      ahead = next ? this.#fetch(next, signal) : null;
      // Whoever stops before it is asked for leaves nobody to hear of its failure.
      ahead?.catch(() => {});
      yield* counting(this.#opening(part, fetched, waited), progress[at] as SegmentProgress);
    }
  }

  #fetch(segment: ManifestSegment, signal: AbortSignal): Promise<FetchedSegment> {
    return this.#fromAnyCopy(segment, signal, (copy) => this.#from(copy, segment, signal));
  }

  async #from(copy: OpenedCopy, segment: ManifestSegment, signal: AbortSignal): Promise<FetchedSegment> {
    const object = segmentIn(copy, segment.id);
    // rows are copied into the server's packets, or into statements, as they come
    const fetch = (): Promise<FetchedSegment> => fetchObject(copy, object, this.#deps.identities, signal, segment.kind === 'tsv');
    const { phases } = this;
    if (phases === null) return await fetch();
    if (!isStreamed(segment)) return await phases.download(copy.vault.name, object.storedBytes, fetch);
    const fetched = await fetch();
    return { ...fetched, plaintext: phases.downloading(copy.vault.name, object.storedBytes, fetched.plaintext) };
  }

  /** Counts what `work` takes as loading, but for what it waited for. */
  async working<T>(parts: readonly ManifestSegment[], work: (waited: { ms: number }) => Promise<T>): Promise<T> {
    const { phases } = this;
    const { clock } = this.#deps;
    const waited = { ms: 0 };
    const startedMs = clock.monotonicMs();
    const result = await work(waited);
    const bytes = parts.reduce((sum, part) => sum + part.plainBytes, 0);
    phases?.work('load', clock.monotonicMs() - startedMs - waited.ms, bytes);
    return result;
  }

  #opening(segment: ManifestSegment, { plaintext }: FetchedSegment, waited: { ms: number }): AsyncIterable<Uint8Array> {
    // of one that streams the waiting is its download
    return this.phases === null || isStreamed(segment) ? plaintext : this.phases.opening(segment.plainBytes, plaintext, waited);
  }

  #fromAnyCopy<T>(segment: ManifestSegment, signal: AbortSignal, use: (copy: OpenedCopy) => Promise<T>): Promise<T> {
    return fromAnyCopy(this.#copies, segment.key, signal, this.#onProblem, use);
  }
}

async function* counting(plaintext: AsyncIterable<Uint8Array>, progress: SegmentProgress): AsyncGenerator<Uint8Array> {
  for await (const chunk of plaintext) {
    progress.add(chunk.length);
    yield chunk;
  }
}

// Reads a source into stored segments; a database that was altered meanwhile is read again as a whole.
import { mkdir, rm } from 'node:fs/promises';
import type { Temporal } from 'temporal-polyfill';
import { CoffreError } from '../errors.ts';
import { IndexWriter } from '../segment/index-file.ts';
import { SealPool } from '../segment/seal-pool.ts';
import type { OpenOptions, Reading, Source, SourceSummary, Warning } from '../source/source.ts';
import { type PackContext, type Packed, packParts } from './pack-parts.ts';
import type { Candidate, ReuseBase } from './reuse.ts';
import { aheadPath, journalPath, scratchPath } from './state-files.ts';
import type { RunSegment } from './store-part.ts';
import type { VaultSet } from './vault-set.ts';

/** Readings of one run at most. A migration that goes on for longer is waited for by the schedule's next run. */
const READINGS = 3;
/** Statements of a migration follow each other closely: what comes at once after the first would meet the second. */
const WAIT_MS = [1_000, 5_000];

export interface ReadingContext extends Omit<PackContext, 'sealing' | 'scratchDir' | 'readAgain'> {
  readonly onReadAgain: (error: CoffreError, attempt: number) => void;
}

export interface PackedReading {
  readonly packed: Packed;
  /** With a warning for each time that everything had to be read again. */
  readonly summary: SourceSummary;
  readonly asOf: Temporal.Instant;
}

/** Opens a reading in the scratch folder of the run, emptied. Throws what the source throws. */
export async function openReading(
  source: Source,
  stateDir: string,
  runId: string,
  options: Omit<OpenOptions, 'scratchDir'>,
): Promise<Reading> {
  const scratchDir = scratchPath(stateDir, runId);
  await rm(scratchDir, { recursive: true, force: true });
  await mkdir(scratchDir, { recursive: true, mode: 0o700 });
  return await source.open({ ...options, scratchDir });
}

/**
 * Reads everything, again from the beginning when a table was altered meanwhile (E_DB_CHANGED), each time with a reading and a journal
 * of its own. What an earlier one stored is found by its content; what is left over belongs to no snapshot, and prune takes it.
 * `first`: the first reading, opened or about to be. Throws what the last reading threw.
 */
export async function packReading(context: ReadingContext, source: Source, first: Promise<Reading>): Promise<PackedReading> {
  const { signal, clock } = context;
  const stored: RunSegment[] = [];
  const changes: CoffreError[] = [];
  await using sealing = new SealPool({ clock });
  for (;;) {
    const more = changes.length + 1 < READINGS;
    const readAgain = (error: CoffreError): boolean => more && error.code === 'E_DB_CHANGED';
    try {
      const onStored = (segment: RunSegment): void => {
        if (context.source === 'database') stored.push(segment);
        context.onStored(segment);
      };
      const reuse = withStored(context.reuse, stored, context.vaults);
      const { previous, reread } = reuse;
      const again = (): Promise<Reading> => openReading(source, context.catalog.stateDir, context.runId, { signal, previous, reread });
      const result = await readOnce({ ...context, sealing, readAgain, onStored, reuse }, changes.length === 0 ? first : again());
      const warnings = [...result.summary.warnings, ...changes.map((error, i) => changed(error, i + 1))];
      return { ...result, summary: { ...result.summary, warnings } };
    } catch (error) {
      if (sealing.stuck) throw sealing.stuck;
      if (!(error instanceof CoffreError) || !readAgain(error) || signal.aborted) throw error;
      changes.push(error);
      context.onReadAgain(error, changes.length);
      await clock.sleep(WAIT_MS[changes.length - 1] as number, signal);
    }
  }
}

async function readOnce(context: Omit<PackContext, 'scratchDir'>, opening: Promise<Reading>): Promise<PackedReading> {
  const { runId } = context;
  const { stateDir } = context.catalog;
  const scratchDir = scratchPath(stateDir, runId);
  const reading = await opening;
  const files: IndexWriter[] = [];
  try {
    for (const path of [journalPath(stateDir, runId), aheadPath(stateDir, runId)]) files.push(await IndexWriter.open(path));
    const [index, ahead] = files as [IndexWriter, IndexWriter];
    const packed = await packParts({ ...context, scratchDir }, reading, index, ahead);
    return { packed, summary: reading.summary(), asOf: reading.asOf };
  } finally {
    try {
      // before our own files, which may fail to close: a source may hold locks of the shop's database
      await reading.close();
    } finally {
      const [index, ahead] = files;
      // only ever a help for the next run
      await ahead?.close().catch(() => {});
      await index?.close();
    }
  }
}

function changed(error: CoffreError, reading: number): Warning {
  return {
    kind: 'changed',
    where: error.where ?? 'database',
    message: `${error.message}: everything was read again (reading ${reading + 1} of at most ${READINGS})`,
  };
}

/** `base`, and what this run itself stored in a reading that came to nothing: preferred, since it needs no longer lock. */
function withStored(base: ReuseBase, stored: readonly RunSegment[], vaults: VaultSet): ReuseBase {
  if (stored.length === 0) return base;
  const byContent = new Map<string, Candidate>();
  for (const { row, copies } of stored) {
    if (vaults.active.every((vault) => copies.has(vault.name))) byContent.set(`${row.name}\0${row.plainSha256}`, { row, copies });
  }
  return { ...base, find: (name, plainSha256) => byContent.get(`${name}\0${plainSha256}`) ?? base.find(name, plainSha256) };
}

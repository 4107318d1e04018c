// Segments of a restore beside that wait for the swap: foreign keys and programs, which need the tables in the real database.
import type { Phase } from '../../source/source.ts';
import type { TableChoice } from '../target.ts';
import type { MariadbTarget } from './database.ts';
import type { StagedSegment } from './swap-journal.ts';

const never = new AbortController().signal;

/** Keys first, then programs: what names tables that were not there before the swap. */
export async function runStaged(target: MariadbTarget, segments: readonly StagedSegment[]): Promise<void> {
  const inPhase = (phase: Phase): readonly StagedSegment[] => segments.filter((segment) => segment.phase === phase);
  for (const segment of inPhase('keys')) {
    await target.holdKeys({ ...segment, plaintext: once(segment.text), unverified: false });
    await target.addForeignKeys(never, choiceOf(segment));
  }
  for (const segment of inPhase('post')) {
    await target.loadSql({ ...segment, plaintext: once(segment.text), unverified: false }, never, choiceOf(segment));
  }
}

function choiceOf({ only, except }: StagedSegment): TableChoice {
  return { only: only && new Set(only), except: new Set(except) };
}

/** A segment's plaintext that is in memory, as a stream. */
export async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

export async function bytesOf(plaintext: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of plaintext) chunks.push(chunk);
  return Buffer.concat(chunks);
}

// Reads a database source to its end and keeps the parts, as the segment layer would; and gives them back to a target.
import { systemClock } from '../../../src/clock.ts';
import type { DatabaseConfig } from '../../../src/config/config.ts';
import { DatabaseSource } from '../../../src/source/mariadb/database.ts';
import { DEFAULT_SIZES, type Sizes } from '../../../src/source/mariadb/plan.ts';
import type { Part, PartOutcome, Phase, SegmentKind, SourceSummary } from '../../../src/source/source.ts';
import { MariadbTarget, type MariadbTargetOptions } from '../../../src/target/mariadb/database.ts';
import type { DatabaseTarget, IncomingSegment } from '../../../src/target/target.ts';

export interface DumpedPart {
  readonly name: string;
  readonly kind: SegmentKind;
  readonly phase: Phase;
  readonly estimatedBytes: number;
  readonly bytes: Buffer;
  readonly outcome: PartOutcome;
}

export interface Dumped {
  /** In restore order. */
  readonly parts: readonly DumpedPart[];
  readonly summary: SourceSummary;
}

export interface Where {
  readonly socketPath: string | null;
  readonly host?: string;
  readonly port?: number;
  readonly user?: string;
  readonly password?: string;
}

export function databaseConfig(where: Where, name: string, excludeData: readonly string[] = []): DatabaseConfig {
  const { password } = where;
  return {
    name,
    user: where.user ?? 'root',
    host: where.host ?? null,
    port: where.port ?? 3306,
    socketPath: where.socketPath,
    password: password === undefined ? null : { read: () => password, from: 'the test' },
    excludeData,
    profile: 'none',
    threads: 2,
    gentle: { rowsPerSecond: null, bytesPerSecond: null, maxRunningQueries: null, maxLockMs: 3000 },
  };
}

const never = new AbortController().signal;
export const PHASES: readonly Phase[] = ['pre', 'data', 'rows', 'keys', 'post'];

export interface DumpOptions {
  readonly sizes?: Sizes;
  /** Told of each part before it is read. */
  readonly onPart?: (part: Part) => void | Promise<void>;
  readonly signal?: AbortSignal;
}

export async function dumpParts(
  config: DatabaseConfig,
  { sizes = DEFAULT_SIZES, onPart, signal = never }: DumpOptions = {},
): Promise<Dumped> {
  const source = new DatabaseSource(config, { clock: systemClock, sizes });
  const reading = await source.open({ signal, previous: [], scratchDir: '/nowhere' });
  try {
    const parts: DumpedPart[] = [];
    const failures: unknown[] = [];
    const reads = new Set<Promise<void>>();
    const readWhole = async (part: Part, at: number): Promise<void> => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of part.read(signal)) chunks.push(Buffer.from(chunk));
      const { name, kind, phase, estimatedBytes } = part;
      parts[at] = { name, kind, phase, estimatedBytes, bytes: Buffer.concat(chunks), outcome: part.outcome() };
    };
    let count = 0;
    for await (const item of reading.items()) {
      if (item.type !== 'part') throw new Error('a database source carries nothing');
      await onPart?.(item);
      // as a backup does: as many at a time as the source can give
      const read = readWhole(item, count++).catch((error: unknown) => {
        failures.push(error);
      });
      reads.add(read);
      void read.then(() => reads.delete(read));
      if (reads.size >= reading.parallel) await Promise.race(reads);
      if (failures.length > 0) throw failures[0];
    }
    await Promise.all(reads);
    if (failures.length > 0) throw failures[0];
    parts.sort((a, b) => PHASES.indexOf(a.phase) - PHASES.indexOf(b.phase));
    return { parts, summary: reading.summary() };
  } finally {
    await reading.close();
  }
}

export function makeTarget(where: Where, database: string, options: Partial<MariadbTargetOptions> = {}): MariadbTarget {
  const { user, password, host, port, socketPath } = databaseConfig(where, database);
  return new MariadbTarget({ user, password, host, port, socketPath }, database, { overwrite: false, ...options });
}

/** Cuts the bytes at odd places: a target must not care. */
export function incoming(part: Pick<DumpedPart, 'name' | 'phase' | 'bytes'>, pieceBytes = 64 * 1024 + 7): IncomingSegment {
  async function* plaintext(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < part.bytes.length; at += pieceBytes) yield part.bytes.subarray(at, at + pieceBytes);
  }
  return { id: part.name, phase: part.phase, plaintext: plaintext(), unverified: false };
}

export async function restoreParts(target: DatabaseTarget, dumped: Dumped): Promise<void> {
  await target.prepare();
  let published = false;
  for (const part of dumped.parts) {
    if (part.phase === 'post' && !published) {
      await target.publish();
      published = true;
    }
    if (part.outcome.load) await target.loadRows(incoming(part), part.outcome.load, never);
    else await target.loadSql(incoming(part), never);
  }
}

// What loads together and what waits for what: from a snapshot's segments and the rows in them to loads that may run side by side.
import type { ManifestSegment } from '../segment/manifest-types.ts';
import { LARGE_PART_BYTES, type LoadInstruction } from '../source/source.ts';
import type { LoadedTable } from '../target/target.ts';

/** One statement's worth of a load: segments that follow each other as one text, or one SQL segment. */
export interface LoadStep {
  readonly segments: readonly ManifestSegment[];
  /** For rows: the sum of the segments' rows. Null: an SQL segment. */
  readonly load: LoadInstruction | null;
  /** Larger than memory: its check comes with its end, so it is a step of its own that can be undone and tried from another copy. */
  readonly streamed: boolean;
}

/**
 * Steps that must follow each other, since they write into the same tables: while one load runs, no other touches its tables.
 */
export interface Load {
  readonly steps: readonly LoadStep[];
  /** All rows of these tables are in when the steps are done. */
  readonly tables: readonly LoadedTable[];
  /** Plaintext. */
  readonly bytes: number;
}

/** Rows in one segment, by table, as the index says. */
export type SegmentRows = ReadonlyMap<string, Readonly<Record<string, number>>>;

/**
 * `segments`: those of phases data and rows, in restore order. `rows`: by the segment's id; a segment that is not in it holds none.
 * `chosen`: of which tables, and with how many rows in all; segments without any of them are left out.
 */
export function planLoads(segments: readonly ManifestSegment[], rows: SegmentRows, chosen: ReadonlyMap<string, number>): readonly Load[] {
  const tablesOf = (segment: ManifestSegment): string[] =>
    segment.load ? [segment.load.table] : Object.keys(rows.get(segment.id) ?? {}).filter((table) => chosen.has(table));
  const wanted = segments.filter((segment) => tablesOf(segment).some((table) => chosen.has(table)));
  const groups = new Groups();
  for (const segment of wanted) groups.join([`segment ${segment.id}`, ...tablesOf(segment).map((table) => `table ${table}`)]);
  const loads = new Map<string, { segments: ManifestSegment[]; tables: LoadedTable[] }>();
  for (const segment of wanted) {
    const root = groups.rootOf(`segment ${segment.id}`);
    const load = loads.get(root) ?? { segments: [], tables: [] };
    load.segments.push(segment);
    loads.set(root, load);
  }
  const elsewhere: LoadedTable[] = [];
  for (const [table, count] of chosen) (loads.get(groups.rootOf(`table ${table}`))?.tables ?? elsewhere).push({ table, rows: count });
  const planned = [...loads.values()].map((load) => ({
    steps: stepsOf(load.segments),
    tables: load.tables,
    bytes: load.segments.reduce((sum, { plainBytes }) => sum + plainBytes, 0),
  }));
  // The index says that they have no rows, and no segment names them.
  return elsewhere.length > 0 ? [...planned, { steps: [], tables: elsewhere, bytes: 0 }] : planned;
}

/**
 * Rows before INSERTs, largest first. Segments whose statement is the same become one step: one statement, one transaction.
 */
function stepsOf(segments: readonly ManifestSegment[]): readonly LoadStep[] {
  const bulks = new Map<string, ManifestSegment[]>();
  const alone: LoadStep[] = [];
  const inserts: LoadStep[] = [];
  for (const segment of segments) {
    const streamed = segment.storedBytes > LARGE_PART_BYTES;
    if (!segment.load) inserts.push({ segments: [segment], load: null, streamed });
    else if (streamed) alone.push({ segments: [segment], load: segment.load, streamed });
    else bulks.set(segment.load.statement, [...(bulks.get(segment.load.statement) ?? []), segment]);
  }
  const joined = [...bulks.values()].map((group) => {
    const { table, statement } = (group[0] as ManifestSegment).load as LoadInstruction;
    const rows = group.reduce((sum, { load }) => sum + (load?.rows ?? 0), 0);
    return { segments: group, load: { table, statement, rows }, streamed: false };
  });
  const size = ({ segments: group }: LoadStep): number => group.reduce((sum, { plainBytes }) => sum + plainBytes, 0);
  return [...joined.sort((a, b) => size(b) - size(a)), ...alone, ...inserts];
}

/** Names joined into groups (union-find). */
class Groups {
  readonly #parents = new Map<string, string>();

  rootOf(name: string): string {
    let root = name;
    for (let parent = this.#parents.get(root); parent !== undefined; parent = this.#parents.get(root)) root = parent;
    for (let at = name; at !== root; ) {
      const parent = this.#parents.get(at) as string;
      this.#parents.set(at, root);
      at = parent;
    }
    return root;
  }

  join(names: readonly string[]): void {
    const root = this.rootOf(names[0] as string);
    for (const name of names) {
      const other = this.rootOf(name);
      if (other !== root) this.#parents.set(other, root);
    }
  }
}

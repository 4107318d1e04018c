// Segments become loads: one statement for all of a table's rows, and never two loads that write into one table.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Load, planLoads } from '../../src/restore/load-plan.ts';
import type { ManifestSegment } from '../../src/segment/manifest-types.ts';
import { LARGE_PART_BYTES } from '../../src/source/source.ts';

const HASH = '0'.repeat(64);
const base = { key: '', name: '', fresh: true, versionId: '', lock: null, plainSha256: HASH, storedSha256: HASH };
const rows = (id: string, table: string, count: number, { shape = 'x', stored = 10, plain = 100 } = {}): ManifestSegment => ({
  ...base,
  id,
  kind: 'tsv',
  phase: 'rows',
  plainBytes: plain,
  storedBytes: stored,
  load: { table, statement: `LOAD ${table} ${shape}`, rows: count },
});
const data = (id: string): ManifestSegment => ({ ...base, id, kind: 'sql', phase: 'data', plainBytes: 50, storedBytes: 5 });
const shown = (loads: readonly Load[]) =>
  loads.map((load) => [load.tables.map(({ table }) => table), load.steps.map(({ segments }) => segments.map(({ id }) => id))]);

describe('loads', () => {
  test('segments of one table and one statement are one step with the sum of their rows', () => {
    const [load] = planLoads([rows('1', 't', 3), rows('2', 't', 4)], new Map(), new Map([['t', 7]]));
    expect(load?.steps).toHaveLength(1);
    expect(load?.steps[0]?.load?.rows).toBe(7);
    expect(load?.steps[0]?.segments.map(({ id }) => id)).toEqual(['1', '2']);
  });

  test('another statement, a segment larger than memory, INSERTs: steps of their own, after the bulk', () => {
    const segments = [
      data('enum'),
      rows('wide', 't', 1, { stored: LARGE_PART_BYTES + 1 }),
      rows('odd', 't', 1, { shape: 'y', plain: 50 }),
      rows('1', 't', 3),
      rows('2', 't', 4),
    ];
    const planned = planLoads(segments, new Map([['enum', { t: 2 }]]), new Map([['t', 11]]));
    expect(shown(planned)).toEqual([[['t'], [['1', '2'], ['odd'], ['wide'], ['enum']]]]);
    expect(planned[0]?.steps.map(({ streamed }) => streamed)).toEqual([false, false, true, false]);
  });

  test('INSERTs that reach over several tables hold their loads together', () => {
    const segments = [data('d1'), data('d2'), data('d3'), rows('r', 'c', 1)];
    const held = new Map([
      ['d1', { a: 1, b: 1 }],
      ['d2', { b: 1, c: 1 }],
      ['d3', { z: 1 }],
    ]);
    const chosen = new Map(['a', 'b', 'c', 'z'].map((table) => [table, 1]));
    expect(shown(planLoads(segments, held, chosen))).toEqual([
      [
        ['a', 'b', 'c'],
        [['r'], ['d1'], ['d2']],
      ],
      [['z'], [['d3']]],
    ]);
  });

  test('tables that are not chosen: segments of theirs alone are left out, and hold nothing together', () => {
    const segments = [data('d1'), data('d2'), rows('r', 'c', 1)];
    const held = new Map([
      ['d1', { a: 1, b: 1 }],
      ['d2', { b: 1, z: 1 }],
    ]);
    expect(
      shown(
        planLoads(
          segments,
          held,
          new Map([
            ['a', 1],
            ['z', 1],
          ]),
        ),
      ),
    ).toEqual([
      [['a'], [['d1']]],
      [['z'], [['d2']]],
    ]);
  });

  test('a chosen table that no segment names is still finished', () => {
    expect(shown(planLoads([], new Map(), new Map([['t', 0]])))).toEqual([[['t'], []]]);
  });

  test('any segments: each table is in one load, with every segment that holds rows of it', () => {
    const table = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
    const segment = fc.oneof(
      table.map((name) => ({ rows: name })),
      fc.uniqueArray(table, { minLength: 1, maxLength: 3 }).map((names) => ({ data: names })),
    );
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 12 }), (wanted) => {
        const held = new Map<string, Record<string, number>>();
        const segments = wanted.map((one, at) => {
          const id = String(at);
          if ('rows' in one) return rows(id, one.rows, 1);
          held.set(id, Object.fromEntries(one.data.map((name) => [name, 1])));
          return data(id);
        });
        const loads = planLoads(segments, held, new Map(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => [name, 1])));
        const seen = loads.flatMap(({ tables }) => tables.map((each) => each.table));
        expect([...seen].sort()).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
        for (const load of loads) {
          const mine = new Set(load.tables.map((each) => each.table));
          for (const each of load.steps.flatMap((step) => step.segments)) {
            for (const name of each.load ? [each.load.table] : Object.keys(held.get(each.id) ?? {})) expect(mine).toContain(name);
          }
        }
        expect(loads.flatMap(({ steps }) => steps.flatMap((step) => step.segments))).toHaveLength(segments.length);
      }),
    );
  });
});

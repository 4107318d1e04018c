import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PhaseFigures, RatePhase, RateRow } from '../../src/catalog/rates.ts';
import { type EstimateSubject, estimateRestore, whyUnknown } from '../../src/restore/estimate.ts';
import { adviseOn, ballastTables } from '../../src/restore/estimate-advice.ts';
import { phaseFigures } from '../../src/restore/phases.ts';
import type { SourceKind } from '../../src/source/source.ts';

const MB = 1_000_000;
const GB = 1000 * MB;
let ids = 0;

interface RowsOf {
  readonly source?: SourceKind;
  readonly shop?: string;
  readonly host?: string;
  readonly at?: number;
  readonly beside?: boolean;
}

const rowsOf = (
  phases: readonly PhaseFigures[],
  { source = 'files', shop = 'dupont', host = 'local', at = 1, beside = false }: RowsOf = {},
): RateRow[] =>
  phases.map(({ phase, vault, bytes, files = 0, rows = 0, ms }) => {
    ids += 1;
    return { id: ids, at, host, shop, source, kind: 'restore', runId: null, beside, phase, vault, bytes, files, rows, ms };
  });

/** What a restore of files with these figures (ms for 1 GB of plaintext, half of it stored) leaves. */
const measured = (
  ms: Partial<Record<RatePhase, number>>,
  of: RowsOf & { readonly vault?: string; readonly scale?: number } = {},
): RateRow[] => {
  const { scale = 1, vault = 'nas' } = of;
  const names: RatePhase[] = [
    'download',
    ...(of.source === 'database' ? (['open', 'load', 'keys'] as const) : (['open', 'write'] as const)),
  ];
  const own = (phase: RatePhase, bytes: number, linear: boolean): PhaseFigures => ({
    ...{ phase, vault: phase === 'download' ? vault : null, bytes: bytes * scale, ms: (ms[phase] ?? 0) * (linear ? scale : 1) },
  });
  return rowsOf(
    [...names.map((phase) => own(phase, phase === 'download' ? GB / 2 : GB, true)), own('check', GB, true), own('fixed', GB, false)],
    of,
  );
};

const subject = (plainBytes: number, rest: Partial<EstimateSubject> = {}): EstimateSubject => ({
  ...{ shop: 'dupont', host: 'local', vault: 'nas', together: true, inPlace: false },
  sources: [{ source: 'files', plainBytes, storedBytes: plainBytes / 2, files: 0 }],
  ...rest,
});

describe('the phases of a measurement', () => {
  it('whatever was measured - the formula gives the whole time back', () => {
    const ms = fc.integer({ min: 1, max: 1_000_000 });
    fc.assert(
      fc.property(ms, ms, ms, ms, ms, fc.integer({ min: 1, max: 8 }), (pipelineMs, checkMs, fixedMs, openMs, writeMs, workers) => {
        const busyMs = Math.min(pipelineMs, openMs);
        const phases = phaseFigures({
          ...{ wholeMs: pipelineMs + checkMs + fixedMs, pipelineMs, checkMs, workers, of: { bytes: GB } },
          downloads: [{ vault: 'nas', busyMs, bytes: GB / 2 }],
          work: new Map([
            ['open', { ms: openMs, bytes: GB }],
            ['write', { ms: writeMs, bytes: GB }],
          ]),
        });
        const of = (...names: RatePhase[]): number => phases.reduce((sum, one) => (names.includes(one.phase) ? sum + one.ms : sum), 0);
        const whole = of('fixed', 'check') + Math.max(of('download'), of('open', 'write'));
        expect(whole).toBeCloseTo(pipelineMs + checkMs + fixedMs, 3);
        // and so the estimate of the same again is what it took
        const again = estimateRestore(rowsOf(phases), subject(GB));
        expect(again?.expectedMs).toBeCloseTo(whole, 3);
      }),
    );
  });

  it('little of what was read was written - says nothing of writing', () => {
    const of = {
      wholeMs: 50,
      pipelineMs: 40,
      checkMs: 1,
      downloads: [{ vault: 'nas', busyMs: 5, bytes: MB }],
      workers: 2,
      of: { bytes: GB },
    };
    const work = new Map([['write' as const, { ms: 40, bytes: 10 * MB }]]);
    const names = (bytes: number) => phaseFigures({ ...of, work, written: { bytes, files: 1 } }).map(({ phase }) => phase);
    expect(names(MB)).toEqual(['download', 'check', 'fixed']);
    expect(names(9 * MB)).toEqual(['download', 'write', 'check', 'fixed']);
  });

  it('nothing was fetched - nothing is measured', () => {
    const none = { wholeMs: 5, pipelineMs: 1, checkMs: 1, downloads: [], work: new Map(), workers: 2, of: { bytes: 0 } };
    expect(phaseFigures(none)).toEqual([]);
  });
});

describe('the estimate', () => {
  it('a phase that nobody measured - unknown, and which', () => {
    const rates = measured({ download: 1, open: 1, write: 1, check: 1, fixed: 1 }).filter(({ phase }) => phase !== 'write');
    expect(estimateRestore([], subject(GB))).toBeNull();
    expect(estimateRestore(rates, subject(GB))).toBeNull();
    expect(whyUnknown(rates, subject(GB)).missing).toEqual([{ source: 'files', phase: 'write' }]);
    // a vault that was never read from is as unknown
    expect(estimateRestore(measured({}), subject(GB, { vault: 'offsite' }))).toBeNull();
    expect(estimateRestore(measured({}), subject(GB, { sources: [] }))).toBeNull();
  });

  const anyRates = fc.array(
    fc.record({
      ms: fc.record({
        download: fc.nat(100_000),
        open: fc.nat(100_000),
        write: fc.nat(100_000),
        check: fc.nat(10_000),
        fixed: fc.nat(10_000),
      }),
      scale: fc.constantFrom(0.001, 0.01, 0.5, 1, 7, 100),
      shop: fc.constantFrom('dupont', 'martin'),
      host: fc.constantFrom('local', 'elsewhere:22'),
      at: fc.integer({ min: 1, max: 50 }),
      beside: fc.boolean(),
    }),
    { minLength: 1, maxLength: 15 },
  );

  it('more bytes - never less time; never negative; low, expected, high in this order', () => {
    const bytes = fc.integer({ min: 0, max: 500 * GB });
    fc.assert(
      fc.property(anyRates, bytes, bytes, fc.boolean(), (all, one, other, together) => {
        const rates = all.flatMap(({ ms, ...of }) => measured(ms, of));
        const [small, large] = [Math.min(one, other), Math.max(one, other)].map((size) =>
          estimateRestore(rates, subject(size, { together })),
        );
        if (!small || !large) throw new Error('everything was measured');
        for (const pick of ['lowMs', 'expectedMs', 'highMs'] as const) {
          expect(small[pick]).toBeGreaterThanOrEqual(0);
          expect(large[pick]).toBeGreaterThanOrEqual(small[pick]);
        }
        for (const { lowMs, expectedMs, highMs } of [small, large]) {
          expect(lowMs).toBeLessThanOrEqual(expectedMs);
          expect(expectedMs).toBeLessThanOrEqual(highMs);
        }
      }),
    );
  });

  it('the slower side counts: behind a slow link what the machine does meanwhile costs nothing', () => {
    const slow = estimateRestore(measured({ download: 8000, open: 1000, write: 2000, check: 500, fixed: 500 }), subject(GB));
    expect(slow?.expectedMs).toBe(9000);
    expect(slow?.sources[0]?.boundBy).toBe('download');
    const fast = estimateRestore(measured({ download: 800, open: 1000, write: 2000, check: 500, fixed: 500 }), subject(10 * GB));
    expect(fast?.expectedMs).toBe(35_500);
    expect(fast?.sources[0]?.boundBy).toBe('work');
  });

  it('100 GB behind 1 Gbit/s, measured on 5 GB - under an hour, at its slowest too', () => {
    // 125 MB/s of the line, all of it stored bytes (images hardly compress); a machine that opens and writes as fast as the line
    const rates = rowsOf([
      { phase: 'download', vault: 'offsite', bytes: 5 * GB, ms: 42_000 },
      { phase: 'open', vault: null, bytes: 5 * GB, files: 60_000, ms: 9000 },
      { phase: 'write', vault: null, bytes: 5 * GB, files: 60_000, ms: 14_000 },
      { phase: 'check', vault: null, bytes: 5 * GB, files: 60_000, ms: 3000 },
      { phase: 'fixed', vault: null, bytes: 5 * GB, files: 60_000, ms: 1500 },
    ]);
    const sources = [{ source: 'files' as const, plainBytes: 100 * GB, storedBytes: 100 * GB, files: 1_200_000 }];
    const found = estimateRestore(rates, subject(0, { vault: 'offsite', sources }));
    expect(found?.expectedMs).toBeGreaterThan(800_000);
    expect(found?.expectedMs).toBeLessThan(1_000_000);
    expect(found?.highMs).toBeLessThan(3_600_000);
  });

  it('few measurements, and sizes beyond them - wider', () => {
    const one = measured({ download: 1000, open: 1000, write: 1000, check: 100, fixed: 100 });
    const many = Array.from({ length: 9 }, (_, at) =>
      measured({ download: 1000, open: 1000, write: 1000, check: 100, fixed: 100 }, { at }),
    ).flat();
    const width = (rates: RateRow[], size: number): number => {
      const { highMs = 0, lowMs = 1 } = estimateRestore(rates, subject(size)) ?? {};
      return highMs / lowMs;
    };
    expect(width(many, GB)).toBeLessThan(width(one, GB));
    expect(width(one, 64 * GB)).toBeGreaterThan(width(one, GB));
  });

  it('a long measurement - weighs more than short ones that are mostly start-up', () => {
    const long = measured({ download: 10_000, open: 10_000, write: 10_000 }, { scale: 10 });
    const short = [1, 2, 3].flatMap((at) => measured({ download: 90_000, open: 90_000, write: 90_000 }, { scale: 0.001, at: at + 10 }));
    expect(estimateRestore([...short, ...long], subject(GB))?.expectedMs).toBe(20_000);
  });

  it('the shop’s own measurements - before those of others on its host, and these before those of other hosts', () => {
    const ms = (write: number) => ({ download: 0, open: 0, write, check: 0, fixed: 0 });
    const rates = [measured(ms(1000), { shop: 'other', host: 'x:22' }), measured(ms(2000), { shop: 'other' }), measured(ms(3000))];
    const expected = (some: RateRow[][]) => estimateRestore(some.flat(), subject(GB));
    expect(expected(rates)?.expectedMs).toBe(3000);
    expect(expected(rates.slice(0, 2))?.expectedMs).toBe(2000);
    expect(expected(rates.slice(0, 1))?.expectedMs).toBe(1000);
    expect(expected(rates.slice(0, 1))?.sources[0]?.phases[0]?.basis).toBe('elsewhere');
  });

  const both = [
    { source: 'files' as const, plainBytes: GB, storedBytes: GB / 2, files: 0 },
    { source: 'database' as const, plainBytes: GB, storedBytes: GB / 2, files: 0 },
  ];
  const files = { download: 1000, open: 1000, write: 3000, check: 0, fixed: 0 };
  const database = { download: 1000, open: 1000, load: 5000, keys: 4000, check: 0, fixed: 0 };

  it('files and database measured beside each other - the longer one; measured apart - their sum, at best the longer one', () => {
    const rates = (beside: boolean) => [...measured(files, { beside }), ...measured(database, { beside, source: 'database' })];
    expect(estimateRestore(rates(true), subject(0, { sources: both }))).toMatchObject({ expectedMs: 10_000, combined: 'beside' });
    const apart = estimateRestore(rates(false), subject(0, { sources: both }));
    expect(apart).toMatchObject({ expectedMs: 14_000, combined: 'summed' });
    expect(apart?.lowMs).toBeLessThan(10_000);
  });

  it('in place - with safety copy and finish as far as they were measured; what was not is said', () => {
    const rates = [...measured(files), ...rowsOf([{ phase: 'finish', vault: null, bytes: GB, ms: 700 }])];
    const found = estimateRestore(rates, subject(4 * GB, { inPlace: true }));
    expect(found).toMatchObject({ expectedMs: 16_700, notIncluded: ['safety'] });
    // measured once under each source: still one swap
    const swaps = rowsOf([{ phase: 'finish', vault: null, bytes: GB, ms: 500 }]).map((row) => ({ ...row, source: 'database' as const }));
    const twice = [...rates, ...measured(database, { source: 'database' }), ...swaps];
    const whole = estimateRestore(twice, subject(0, { inPlace: true, sources: both }));
    expect(whole?.phases.map(({ phase, expectedMs }) => [phase, expectedMs])).toEqual([['finish', 700]]);
  });
});

describe('what would make it faster', () => {
  const rates = [
    ...measured({ download: 60_000, open: 1000, write: 2000, check: 0, fixed: 0 }, { vault: 'offsite' }),
    ...measured({ download: 1000, open: 1000, write: 2000, check: 0, fixed: 0 }, { vault: 'nas' }),
  ];

  it('another vault is nearer - it is named, with the time that is left; and the link that holds up', () => {
    const far = subject(GB, { vault: 'offsite' });
    const estimate = estimateRestore(rates, far);
    if (!estimate) throw new Error('everything was measured');
    const advice = adviseOn(rates, far, estimate, { vaults: ['nas', 'offsite'], processors: 8, tables: [] });
    expect(advice).toEqual([
      { kind: 'vault', vault: 'nas', expectedMs: 3000 },
      { kind: 'link', vault: 'offsite', bytesPerSecond: expect.closeTo(GB / 2 / 60) },
    ]);
  });

  it('visitors’ traces among the large tables - the largest first, with their bytes', () => {
    const tables = [
      { table: 'ps_orders', bytes: 40 * MB },
      { table: 'ps_connections', bytes: 300 * MB },
      { table: 'ps_guest', bytes: 500 * MB },
      { table: 'ps_product_log', bytes: 900 * MB },
      { table: 'old_mail', bytes: MB },
    ];
    expect(ballastTables(tables)).toEqual([tables[2], tables[1]]);
    const of = measured({ download: 1, open: 1, load: 8000, keys: 2000 }, { source: 'database' });
    const whole = subject(0, { sources: [{ source: 'database', plainBytes: 2 * GB, storedBytes: GB, files: 0 }] });
    const estimate = estimateRestore(of, whole);
    if (!estimate) throw new Error('everything was measured');
    const [ballast] = adviseOn(of, whole, estimate, { vaults: ['nas'], processors: 8, tables });
    expect(ballast).toMatchObject({ kind: 'ballast', bytes: 800 * MB, expectedMs: expect.closeTo(12_001, -1) });
  });
});

// The budget of bytes in flight that all runs of a process share: never exceeded, never stuck, nobody left out.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryBudget, type MemoryShare } from '../../src/backup/memory.ts';
import { bytesInFlight, leastMemoryBytes } from '../../src/config/memory.ts';

const never = new AbortController().signal;
const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

/** Notes when it was served. */
function ask(share: MemoryShare, bytes: number, served: string[], name: string) {
  return share.acquire(never, bytes).then((release) => {
    served.push(name);
    return release;
  });
}

describe('memory budget', () => {
  it('of one run - first come first served; whoever needs more is not overtaken', async () => {
    const share = new MemoryBudget(10).share();
    const served: string[] = [];
    const first = await ask(share, 6, served, 'first');
    const large = ask(share, 8, served, 'large');
    const small = ask(share, 1, served, 'small');
    await settle();
    expect(served).toEqual(['first']);
    first();
    (await large)();
    (await small)();
    expect(served).toEqual(['first', 'large', 'small']);
  });

  it('a run with many parts - does not keep out one that comes later', async () => {
    const budget = new MemoryBudget(10);
    const [many, late] = [budget.share(), budget.share()];
    const served: string[] = [];
    const held = await Promise.all([ask(many, 5, served, 'm1'), ask(many, 5, served, 'm2')]);
    const more = [ask(many, 5, served, 'm3'), ask(many, 5, served, 'm4')];
    const one = ask(late, 5, served, 'late');
    held[0]?.();
    await settle();
    expect(served).toEqual(['m1', 'm2', 'late']);
    held[1]?.();
    for (const waiting of [...more, one]) (await waiting)();
    expect(budget.use).toEqual({ sizeBytes: 10, heldBytes: 0, peakBytes: 10, waiting: 0 });
  });

  it('a run that wants nearly everything, beside runs that never stop asking for little - is served', async () => {
    const budget = new MemoryBudget(10);
    let stopped = false;
    const small = async (share: MemoryShare): Promise<void> => {
      while (!stopped) {
        const release = await share.acquire(never, 1);
        await settle();
        release();
      }
    };
    const busy = [small(budget.share()), small(budget.share()), small(budget.share())];
    await settle();
    const large = budget.share();
    (await large.acquire(never, 2))();
    const release = await large.acquire(never, 9);
    release();
    stopped = true;
    await Promise.all(busy);
    expect(budget.use.heldBytes).toBe(0);
  });

  it('more than there is - means all of it; what is kept stays held, and is given back once', async () => {
    const budget = new MemoryBudget(10);
    const share = budget.share();
    const release = await share.acquire(never, 1_000);
    expect(budget.use.heldBytes).toBe(10);
    release(4);
    release(7);
    expect(budget.use.heldBytes).toBe(4);
    release();
    release();
    expect(budget.use.heldBytes).toBe(0);
  });

  it('whoever waits is let go by its signal - and those behind it are served', async () => {
    const budget = new MemoryBudget(10);
    const share = budget.share();
    const first = await share.acquire(never, 8);
    const stop = new AbortController();
    const large = share.acquire(stop.signal, 9);
    const small = share.acquire(never, 2);
    stop.abort(new Error('enough'));
    await expect(large).rejects.toThrow('enough');
    (await small)();
    first();
    await expect(share.acquire(stop.signal, 1)).rejects.toThrow('enough');
    expect(budget.use).toMatchObject({ heldBytes: 0, waiting: 0 });
  });

  it('any runs with any parts that end and are stopped in any order - never too much, never stuck, all of it back', async () => {
    const part = fc.record({
      bytes: fc.integer({ min: 0, max: 140 }),
      turns: fc.integer({ min: 0, max: 6 }),
      shrinkTo: fc.option(fc.integer({ min: 0, max: 140 })),
      aborted: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.array(part, { maxLength: 12 }), { minLength: 1, maxLength: 5 }),
        async (scheduler, runs) => {
          const budget = new MemoryBudget(100);
          const check = (): void => {
            expect(budget.use.heldBytes).toBeGreaterThanOrEqual(0);
            expect(budget.use.heldBytes).toBeLessThanOrEqual(100);
          };
          let ended = 0;
          const works = runs.flatMap((parts) => {
            const share = budget.share();
            return parts.map(async ({ bytes, turns, shrinkTo, aborted }) => {
              const stop = new AbortController();
              if (aborted) void scheduler.schedule(Promise.resolve(), 'abort').then(() => stop.abort(new Error('stopped')));
              try {
                const release = await share.acquire(stop.signal, bytes);
                check();
                for (let turn = 0; turn < turns; turn++) await scheduler.schedule(Promise.resolve(), 'work');
                if (shrinkTo !== null) {
                  release(shrinkTo);
                  check();
                  await scheduler.schedule(Promise.resolve(), 'store');
                }
                release();
              } catch (error) {
                if (!stop.signal.aborted) throw error;
              }
              ended++;
            });
          });
          const all = Promise.all(works);
          await scheduler.waitFor(all);
          expect(ended).toBe(works.length);
          expect(budget.use).toMatchObject({ heldBytes: 0, waiting: 0 });
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('limits.memory', () => {
  it.each([1, 2, 8])('the least for %d runs at a time - leaves room for one large stream; more leaves more', (runs) => {
    const least = leastMemoryBytes(runs);
    expect(bytesInFlight(least, runs)).toBeGreaterThanOrEqual(96 * 1024 * 1024);
    expect(bytesInFlight(least + 15e6, runs) - bytesInFlight(least, runs)).toBeGreaterThan(12e6);
    expect(bytesInFlight(64e9, runs)).toBe(runs * 112 * 1024 * 1024);
    expect(leastMemoryBytes(runs + 1)).toBeGreaterThan(least);
  });
});

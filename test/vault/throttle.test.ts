// limits.bandwidth on a clock of the test's own: what leaves in a second, in whose turn, and what is told of the waiting.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bandwidth, HeldBack, SharedBandwidth } from '../../src/vault/throttle.ts';
import { FakeClock } from '../fake-clock.ts';

const never = new AbortController().signal;

/** Lets everything that is due happen, time standing still. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 50; i++) await Promise.resolve();
};

/** Moves time on in small steps, so that whoever wakes may ask again at that time. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 5) {
    clock.advance(Math.min(5, left));
    await settle();
  }
}

/** Takes pieces without end and counts them. */
function taker(bandwidth: Bandwidth, signal = never, held: readonly HeldBack[] = []) {
  const counted = { bytes: 0, ended: false };
  void (async () => {
    try {
      for (;;) {
        await bandwidth.take(bandwidth.pieceBytes, signal, held);
        counted.bytes += bandwidth.pieceBytes;
      }
    } catch {
      counted.ended = true;
    }
  })();
  return counted;
}

describe('bandwidth', () => {
  it.each([10_000, 1_000_000, 50_000_000, 400_000_000])(
    '%d bytes a second - so many leave, whatever the length of the wait',
    async (rate) => {
      const clock = new FakeClock();
      const one = taker(new Bandwidth(rate, clock));
      await settle();
      await pass(clock, 10_000);
      expect(one.bytes / rate).toBeGreaterThan(9.8);
      expect(one.bytes / rate).toBeLessThan(10.3);
    },
  );

  it('several at once - share it evenly; one that comes later gets its part at once, one that leaves gives its part back', async () => {
    const clock = new FakeClock();
    const bandwidth = new Bandwidth(1_000_000, clock);
    const stop = new AbortController();
    const first = taker(bandwidth, stop.signal);
    const second = taker(bandwidth);
    await settle();
    await pass(clock, 5_000);
    expect(Math.abs(first.bytes - second.bytes)).toBeLessThanOrEqual(2 * bandwidth.pieceBytes);
    const late = taker(bandwidth);
    const before = second.bytes;
    await settle();
    await pass(clock, 3_000);
    expect(Math.abs(late.bytes - (second.bytes - before))).toBeLessThanOrEqual(3 * bandwidth.pieceBytes);
    stop.abort();
    await settle();
    expect(first.ended).toBe(true);
    const left = second.bytes + late.bytes;
    await pass(clock, 4_000);
    expect((second.bytes + late.bytes - left) / 1_000_000).toBeGreaterThan(3.8);
  });

  it('idle for an hour - what was not sent then is not made up for', async () => {
    const clock = new FakeClock();
    const bandwidth = new Bandwidth(1_000_000, clock);
    await bandwidth.take(1, never);
    clock.advance(3_600_000);
    const one = taker(bandwidth);
    await settle();
    await pass(clock, 1_000);
    expect(one.bytes).toBeLessThanOrEqual(1_150_000);
  });

  it('a signal that aborts - ends the wait with its reason', async () => {
    const bandwidth = new Bandwidth(1_000, new FakeClock());
    const stop = new AbortController();
    const waiting = bandwidth.take(5_000, stop.signal);
    stop.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(bandwidth.take(1, stop.signal)).rejects.toThrow('enough');
  });

  it('any takes at any times - no second sees more than the rate and a tenth, and a piece', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 1, max: 20_000 })), { maxLength: 60 }),
        async (asked) => {
          const clock = new FakeClock();
          const bandwidth = new Bandwidth(100_000, clock);
          const left: { atMs: number; bytes: number }[] = [];
          for (const [afterMs, bytes] of asked) {
            await pass(clock, afterMs);
            void bandwidth.take(bytes, never).then(() => left.push({ atMs: clock.monotonicMs(), bytes }));
          }
          await pass(clock, 15_000);
          expect(left).toHaveLength(asked.length);
          for (const { atMs } of left) {
            const bytes = left.filter((one) => one.atMs >= atMs && one.atMs < atMs + 1_000).reduce((sum, one) => sum + one.bytes, 0);
            expect(bytes).toBeLessThanOrEqual(110_000 + 20_000 + 1_000);
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  it('all vaults of a process - have the same one; none without a limit', () => {
    const shared = new SharedBandwidth(new FakeClock());
    expect(shared.at(null)).toBeNull();
    expect(shared.at(1_000)).toBe(shared.at(1_000));
    expect(shared.at(2_000)?.bytesPerSecond).toBe(2_000);
  });
});

describe('time held back', () => {
  it('grows while one is held, several at a time counted once', async () => {
    const clock = new FakeClock();
    const held = new HeldBack(clock);
    const one = held.during(clock.sleep(100));
    clock.advance(40);
    await settle();
    expect(held.ms).toBe(40);
    const other = held.during(clock.sleep(100));
    clock.advance(60);
    await one;
    clock.advance(40);
    await other;
    expect(held.ms).toBe(140);
    clock.advance(1_000);
    expect(held.ms).toBe(140);
  });

  it('taking from a bandwidth - tells each who waits', async () => {
    const clock = new FakeClock();
    const [own, whole] = [new HeldBack(clock), new HeldBack(clock)];
    const stop = new AbortController();
    taker(new Bandwidth(1_000_000, clock), stop.signal, [own, whole]);
    await settle();
    await pass(clock, 2_000);
    expect(own.ms).toBeGreaterThan(1_800);
    expect(whole.ms).toBe(own.ms);
    stop.abort();
  });
});

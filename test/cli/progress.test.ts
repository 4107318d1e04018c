// Progress for people: the line at every width, and what a log gets where there is no terminal.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Io } from '../../src/cli/io.ts';
import { createProgress, type ProgressView, progressLine, progressText } from '../../src/cli/progress.ts';
import { textWidth } from '../../src/cli/shorten.ts';
import { FakeClock } from '../fake-clock.ts';

const MB = 1_000_000;

const view = (changes: Partial<ProgressView> & { readonly state: ProgressView['state'] }): ProgressView => ({
  title: 'dupont files',
  rateBytes: 5 * MB,
  leftMs: 15_000,
  elapsedMs: 5_000,
  ...changes,
});

const WHOLE = view({
  state: {
    doneBytes: 25 * MB,
    totalBytes: 100 * MB,
    doneFiles: 10,
    storedBytes: 7 * MB,
    current: 'img/p/1/2/3/4/1234-large_default.jpg',
  },
});

describe('a line of progress', () => {
  it('on a wide terminal - everything', () => {
    expect(progressLine(WHOLE, 160)).toBe(
      'dupont files  [######------------------] 25 %  25.0 MB of 100.0 MB  10 files  7.0 MB stored  5.0 MB/s  15.0 s left  img/p/1/2/3/4/1234-large_default.jpg',
    );
  });

  const ALL = '25.0 MB of 100.0 MB  10 files  7.0 MB stored  5.0 MB/s  15.0 s left';
  it.each([
    [142, `dupont files  [######------------------] 25 %  ${ALL}  …/4/1234-large_default.jpg`],
    [122, `dupont files  [######------------------] 25 %  ${ALL}`],
    [104, `dupont files  [####----------] 25 %  ${ALL}`],
    [83, 'dupont files  [##------] 25 %  25.0 MB of 100.0 MB  10 files  5.0 MB/s  15.0 s left'],
    [79, 'dupont files  [####----------] 25 %  25.0 MB of 100.0 MB  5.0 MB/s  15.0 s left'],
    [52, 'dupont files  25 %  25.0 MB of 100.0 MB  15.0 s left'],
    [19, '25.0 MB of 100.0 MB'],
    [10, '… 100.0 MB'],
  ])('on %d columns - what there is room for', (columns, line) => {
    expect(progressLine(WHOLE, columns)).toBe(line);
  });

  it('an unknown total - what is done, rate and time since the start', () => {
    const state = { doneBytes: 3 * MB, totalBytes: null };
    expect(progressLine(view({ title: 'x', state, rateBytes: MB, leftMs: null, elapsedMs: 3000 }), 80)).toBe('x  3.0 MB  1.0 MB/s  3.0 s');
    expect(progressLine(view({ title: 'x', state, rateBytes: null, leftMs: null }), 80)).toBe('x  3.0 MB  5.0 s');
  });

  it('a total that is a guess - says so, and is not held up once it is passed', () => {
    const state = { doneBytes: 90 * MB, totalBytes: 100 * MB, totalIsGuess: true };
    expect(progressLine(view({ state }), 80)).toContain('90 %  90.0 MB of about 100.0 MB');
    const passed = progressLine(view({ state: { ...state, doneBytes: 101 * MB }, leftMs: null }), 80);
    expect(passed).toBe('dupont files  101.0 MB  5.0 MB/s  5.0 s');
  });

  it('more than a known total - never beyond 100 %', () => {
    expect(progressLine(view({ state: { doneBytes: 20, totalBytes: 10 } }), 80)).toContain('100 %');
  });

  it('any title and path on any terminal - is never wider, and moves no cursor', () => {
    const name = fc.oneof(fc.string({ unit: 'binary', maxLength: 80 }), fc.string({ maxLength: 200 }));
    const amount = fc.integer({ min: 0, max: 1e14 });
    fc.assert(
      fc.property(
        name,
        name,
        amount,
        fc.option(amount),
        amount,
        fc.integer({ min: 1, max: 300 }),
        (title, current, done, total, more, columns) => {
          const state = { doneBytes: done, totalBytes: total, doneFiles: more, storedBytes: more, current };
          const line = progressLine(view({ title, state, rateBytes: more, leftMs: more }), columns);
          expect(textWidth(line)).toBeLessThanOrEqual(columns);
          // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
          expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
        },
      ),
    );
  });
});

describe('where stderr is no terminal', () => {
  function logged(json: boolean) {
    const said: string[] = [];
    const io = { stderr: { isTTY: false }, columns: 80, err: (text: string) => said.push(text) } as unknown as Io;
    const clock = new FakeClock();
    return { clock, progress: createProgress(io, clock, json, 'dupont'), said: () => said.join('') };
  }

  it('a short command - says nothing', () => {
    const { clock, progress, said } = logged(false);
    progress.update({ doneBytes: 5, totalBytes: 10 });
    clock.advance(29_000);
    progress.stop();
    clock.advance(100_000);
    expect(said()).toBe('');
  });

  it('a long one - a line every 30 s, each its own, names without control characters', () => {
    const { clock, progress, said } = logged(false);
    progress.title('dupont files');
    for (let second = 1; second <= 95; second++) {
      progress.update({ doneBytes: second * MB, totalBytes: 190 * MB, doneFiles: second, storedBytes: second * 1000, current: 'img/a\nb' });
      clock.advance(1000);
    }
    progress.stop();
    progress.stop();
    expect(said().split('\n')).toEqual([
      'coffre: dupont files: 30.0 MB of 190.0 MB, 15 %, 30 files, 30.0 kB stored, 1.0 MB/s, 2 min 40 s left, img/a\\x0ab',
      expect.stringContaining('60.0 MB of 190.0 MB, 31 %'),
      expect.stringContaining('90.0 MB of 190.0 MB, 47 %'),
      '',
    ]);
  });

  it('a standstill - is told as one', () => {
    const { clock, progress, said } = logged(false);
    progress.update({ doneBytes: 0, totalBytes: 100 * MB });
    clock.advance(5_000);
    progress.update({ doneBytes: 50 * MB, totalBytes: 100 * MB });
    clock.advance(60_000);
    expect(said().trimEnd().split('\n').at(-1)).toBe('coffre: dupont: 50.0 MB of 100.0 MB, 50 %, 0 B/s, 1 min');
    progress.stop();
  });

  it('with --json - nothing', () => {
    const { clock, progress, said } = logged(true);
    progress.update({ doneBytes: 5, totalBytes: 10 });
    clock.advance(100_000);
    expect(said()).toBe('');
  });

  it('in words - what is unknown is left out', () => {
    expect(progressText(view({ title: 'x', state: { doneBytes: 5, totalBytes: null }, rateBytes: null, leftMs: null }))).toBe(
      'x: 5 B, 5.0 s',
    );
  });
});

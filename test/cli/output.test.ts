// What people read: tables, bytes, durations.
import { Temporal } from 'temporal-polyfill';
import { describe, expect, it } from 'vitest';
import type { Io } from '../../src/cli/io.ts';
import { formatBytes, formatDuration, formatInstant, printable, printError, printResult, table } from '../../src/cli/output.ts';
import { CoffreError } from '../../src/errors.ts';

function recordingIo() {
  const said = { out: '', err: '', status: null as number | null };
  const io = {
    out: (text: string) => {
      said.out += text;
    },
    err: (text: string) => {
      said.err += text;
    },
    setExitStatus: (status: number) => {
      said.status = status;
    },
  } as Io;
  return { said, io };
}

describe('results', () => {
  it('a result with --json - one document, big counters and instants as JSON knows them', () => {
    const { said, io } = recordingIo();
    printResult(io, true, { document: { bytes: 10n, huge: 2n ** 60n, at: Temporal.Instant.from('2026-01-02T03:04:05Z') }, text: 'no' });
    expect(JSON.parse(said.out)).toEqual({ bytes: 10, huge: '1152921504606846976', at: '2026-01-02T03:04:05Z' });
    expect([said.err, said.status]).toEqual(['', 0]);
  });

  it('a result with a failure - the document carries the error, the status is its own', () => {
    const failure = new CoffreError('E_DEGRADED', 'nas did not take part');
    const json = recordingIo();
    printResult(json.io, true, { document: { id: 'x' }, text: '', failure });
    expect(JSON.parse(json.said.out)).toEqual({
      id: 'x',
      error: { code: 'E_DEGRADED', message: 'nas did not take part', hint: failure.hint },
    });
    expect(json.said.status).toBe(9);
    const text = recordingIo();
    printResult(text.io, false, { document: {}, text: 'snapshot x', failure });
    expect(text.said).toEqual({
      out: 'snapshot x\n',
      err: `coffre: nas did not take part [E_DEGRADED]\nHINT: ${failure.hint}\n`,
      status: 9,
    });
  });

  it('an error - on stderr, or alone in the document', () => {
    const error = new CoffreError('E_BUSY', 'dupont is being backed up', { hint: 'wait' });
    const { said, io } = recordingIo();
    printError(io, true, error);
    expect(JSON.parse(said.out)).toEqual({ error: { code: 'E_BUSY', message: 'dupont is being backed up', hint: 'wait' } });
    expect(said.status).toBe(7);
  });
});

describe('words', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [999_949, '999.9 kB'],
    [999_950, '1.0 MB'],
    [1_500_000, '1.5 MB'],
    [2.5e12, '2.5 TB'],
    [-1500, '-1.5 kB'],
  ])('%d bytes - %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it.each([
    [0, '0 ms'],
    [350, '350 ms'],
    [1000, '1.0 s'],
    [59_949, '59.9 s'],
    [59_960, '1 min'],
    [245_000, '4 min 5 s'],
    [3_600_000, '1 h'],
    [12_000_000, '3 h 20 min'],
    [86_400_000, '1 d'],
    [14 * 86_400_000 + 7_200_000, '14 d 2 h'],
  ])('%d ms - %s', (durationMs, text) => {
    expect(formatDuration(durationMs)).toBe(text);
  });

  it('an instant - in the zone, with its offset, summer and winter', () => {
    expect(formatInstant(Temporal.Instant.from('2026-03-29T00:30:00Z'), 'Europe/Paris')).toBe('2026-03-29 01:30:00+01:00');
    expect(formatInstant(Temporal.Instant.from('2026-03-29T01:30:00Z'), 'Europe/Paris')).toBe('2026-03-29 03:30:00+02:00');
  });

  it('a name with control characters - cannot reach the terminal', () => {
    expect(printable('a\u001b[31m\nb\u009b')).toBe('a\\x1b[31m\\x0ab\\x9b');
    expect(table([{ title: 'N' }], [['x\u0007']])).toBe('N\nx\\x07');
  });

  it('a table - columns as wide as their widest cell, numbers to the right', () => {
    expect(
      table(
        [{ title: 'SHOP' }, { title: 'SIZE', align: 'right' }],
        [
          ['dupont', '1 B'],
          ['a', '100 MB'],
        ],
      ),
    ).toBe('SHOP      SIZE\ndupont     1 B\na       100 MB');
    expect(table([{ title: 'A' }], [], 'no shops yet')).toBe('no shops yet');
  });
});

// The Range header of a download (RFC 9110): one range of bytes, or all of it. Pure.

export interface ByteRange {
  readonly start: number;
  /** The last byte. */
  readonly end: number;
}

/** Null: the whole, also for what is no range of bytes, or several. `unsatisfiable`: it begins at the end or beyond it. */
export function parseRange(header: string | undefined, sizeBytes: number): ByteRange | 'unsatisfiable' | null {
  const found = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '');
  if (!found) return null;
  const [, first = '', last = ''] = found;
  if (first === '' && last === '') return null;
  if (first === '') {
    const length = Math.min(Number(last), sizeBytes);
    return length === 0 ? 'unsatisfiable' : { start: sizeBytes - length, end: sizeBytes - 1 };
  }
  const start = Number(first);
  if (start >= sizeBytes) return 'unsatisfiable';
  const end = last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1);
  // a range that runs backwards is none
  return end < start ? null : { start, end };
}

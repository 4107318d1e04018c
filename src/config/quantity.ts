// Durations, sizes and rates as people write them: `14d`, `1h30m`, `20GB`, `32MiB`, `50MB/s`.

const DURATION_UNITS_MS = { w: 604_800_000, d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;

const SIZE_UNITS_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

export const DURATION_EXPECTED = 'a duration with its unit is expected, such as 14d, 4h, 90m, 20s or 1h30m';
export const SIZE_EXPECTED = 'a size with its unit is expected, such as 512MB, 20GB or 32MiB';
export const RATE_EXPECTED = 'a rate is expected, such as 50MB/s or 800KiB/s, or none';

/** Milliseconds; units w, d, h, m, s, ms, largest first, each at most once. null when the text is no duration. */
export function parseDuration(text: string): number | null {
  const match = /^(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(text);
  if (match === null || text === '') return null;
  const totalMs = Object.values(DURATION_UNITS_MS).reduce((sum, unitMs, at) => sum + Number(match[at + 1] ?? 0) * unitMs, 0);
  return Number.isSafeInteger(totalMs) ? totalMs : null;
}

/** The shortest text that `parseDuration` reads as this many milliseconds, without weeks: `14d`, `1h30m`, `0s`. */
export function printDuration(durationMs: number): string {
  let leftMs = Math.round(durationMs);
  let text = '';
  for (const unit of ['d', 'h', 'm', 's', 'ms'] as const) {
    const count = Math.floor(leftMs / DURATION_UNITS_MS[unit]);
    leftMs -= count * DURATION_UNITS_MS[unit];
    if (count > 0) text += `${count}${unit}`;
  }
  return text || '0s';
}

/** Bytes; decimal (kB, MB, GB, TB) and binary (KiB, MiB, GiB, TiB) units, fractions allowed. null when the text is no size. */
export function parseSize(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)$/.exec(text);
  const unitBytes = match?.[2] === undefined ? undefined : SIZE_UNITS_BYTES[match[2]];
  if (match?.[1] === undefined || unitBytes === undefined) return null;
  const bytes = Math.round(Number(match[1]) * unitBytes);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** Bytes a second. null when the text is no rate. */
export function parseRate(text: string): number | null {
  return text.endsWith('/s') ? parseSize(text.slice(0, -2).trimEnd()) : null;
}

// Ids of segments, snapshots, runs and keys: random, sortable by time, and safe in file names, URLs and object keys.
import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';

/** Crockford's base32 in lower case: no i, l, o, u. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const ID_PATTERN = /^[0-7][0-9a-hjkmnp-tv-z]{25}$/;
const TIME_CHARACTERS = 10;
const RANDOM_CHARACTERS = 16;
const RANDOM_LIMIT = 1n << 80n;

interface Last {
  timeMs: number;
  random: bigint;
}

/** The last id given out for each clock, so that two ids of one millisecond, or of a clock set back, still sort as made. */
const lastByClock = new WeakMap<Clock, Last>();

/**
 * A new id: 48 bits of milliseconds since the epoch, 80 random bits, as 26 characters (the ULID layout, in lower case).
 * Within one process and clock each id sorts after the one before it.
 */
export function newId(clock: Clock): string {
  const nowMs = clock.nowMs();
  const last = lastByClock.get(clock);
  let next: Last;
  if (last === undefined || nowMs > last.timeMs) {
    next = { timeMs: nowMs, random: BigInt(`0x${randomBytes(10).toString('hex')}`) };
  } else {
    const random = last.random + 1n;
    next = random < RANDOM_LIMIT ? { timeMs: last.timeMs, random } : { timeMs: last.timeMs + 1, random: 0n };
  }
  lastByClock.set(clock, next);
  return base32(BigInt(next.timeMs), TIME_CHARACTERS) + base32(next.random, RANDOM_CHARACTERS);
}

/** Whether `text` has the form of an id. */
export function isId(text: string): boolean {
  return ID_PATTERN.test(text);
}

/** When an id was made, in milliseconds since the epoch, by the clock of the machine that made it. */
export function idTimeMs(id: string): number {
  let timeMs = 0;
  for (const character of id.slice(0, TIME_CHARACTERS)) timeMs = timeMs * 32 + ALPHABET.indexOf(character);
  return timeMs;
}

function base32(value: bigint, characters: number): string {
  let text = '';
  let rest = value;
  for (let i = 0; i < characters; i++) {
    text = ALPHABET[Number(rest & 31n)] + text;
    rest >>= 5n;
  }
  return text;
}

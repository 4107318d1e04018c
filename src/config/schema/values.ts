// What one key of the configuration file may hold: the small shapes that its sections are made of.
import * as z from 'zod';
import { DURATION_EXPECTED, parseDuration, parseSize, SIZE_EXPECTED } from '../quantity.ts';

/** Marks the issue of a secret that was written into the file itself: its value must not be repeated. */
export const INLINE_SECRET = 'inline-secret';

/** Keys that people try to write secrets under. Their values are never echoed, known key or not. */
export const SECRET_KEY = /pass(word|phrase)?$|secret|token|credential|access_?key|api_?key|private_?key|identity/i;

/** An object that refuses unknown keys; the message of that issue is the list of known ones, which load.ts turns into words. */
export function strict<S extends z.core.$ZodLooseShape>(shape: S, expected = 'a mapping of keys to values is expected') {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? Object.keys(shape).join(' ') : expected),
  });
}

export function parsed<T>(parse: (text: string) => T | null, expected: string) {
  return z.unknown().transform((value, context): T => {
    const result = typeof value === 'string' ? parse(value.trim()) : null;
    if (result !== null) return result;
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  });
}

export const text = (expected: string) => z.string({ error: expected }).trim().min(1, { error: expected });
export const flag = z.boolean({ error: 'true or false is expected' });
export const oneOf = <const T extends readonly [string, ...string[]]>(...values: T) =>
  z.enum(values, { error: `${values.slice(0, -1).join(', ')}${values.length > 1 ? ' or ' : ''}${values.at(-1)} is expected` });
export const wholeNumber = (lowest: number, highest: number) => {
  const error = `a whole number from ${lowest} to ${highest} is expected`;
  return z.int({ error }).min(lowest, { error }).max(highest, { error });
};
export const port = wholeNumber(1, 65_535);
export const duration = parsed(parseDuration, DURATION_EXPECTED);
export const positiveDuration = parsed((value) => parseDuration(value) || null, DURATION_EXPECTED);
export const size = parsed((value) => parseSize(value) || null, SIZE_EXPECTED);
export const path = text('a path is expected').refine((value) => !value.includes('\0'), { error: 'a path is expected' });
export const listOf = <T extends z.ZodType>(item: T, expected: string) => z.array(item, { error: expected });

/** A key with nothing behind it, all of it commented out, is an empty mapping. */
export const named = <T extends z.ZodType>(value: T, what: string) =>
  z
    .record(z.string(), value, { error: `a mapping from names to ${what} is expected` })
    .nullish()
    .transform((map) => map ?? {});

export const timezone = parsed((value) => {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: value }).resolvedOptions().timeZone;
  } catch {
    return null;
  }
}, 'the name of a time zone is expected, such as Europe/Paris or UTC');

export const url = (expected: string) =>
  parsed((value) => {
    const parts = URL.parse(value);
    return parts !== null && /^https?:$/.test(parts.protocol) && parts.hostname !== '' && parts.username === '' && parts.password === ''
      ? value.replace(/\/+$/, '')
      : null;
  }, expected);

/** `{ file: PATH }`, `{ credential: NAME }` or `{ env: NAME }`. A secret itself is refused and not repeated. */
export const secretReference = z
  .unknown()
  .superRefine((value, context) => {
    if (value === undefined || (typeof value === 'object' && value !== null)) return;
    context.addIssue({ code: 'custom', message: INLINE_SECRET });
  })
  .pipe(
    strict({
      file: path.optional(),
      credential: text('the name of a systemd credential is expected').optional(),
      env: text('the name of an environment variable is expected').optional(),
    }).refine((value) => Object.values(value).filter((part) => part !== undefined).length === 1, {
      error: 'exactly one of file, credential and env is expected',
    }),
  )
  .optional();

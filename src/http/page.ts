// Pages of a list: each goes on after the last row of the one before, so that rows which come meanwhile neither repeat nor hide any.
import * as z from 'zod';
import { CoffreError } from '../errors.ts';

export const DEFAULT_LIMIT = 100;
export const HIGHEST_LIMIT = 1000;

/** Query of a list. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(HIGHEST_LIMIT).default(DEFAULT_LIMIT).describe('rows of a page'),
  cursor: z.string().max(200).optional().describe('`next` of the page before; left out: from the beginning'),
};

/** Of every list. */
export const nextField = z.string().nullable().describe('cursor of the next page; null: this is the last one');

/** What a cursor stands for: the key of the last row told. Throws E_REQUEST. */
export function decodeCursor<T extends z.ZodType>(cursor: string | undefined, key: T): z.output<T> | null {
  if (cursor === undefined) return null;
  try {
    return key.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
  } catch (cause) {
    throw new CoffreError('E_REQUEST', 'the cursor is none that a page gave', { cause, hint: 'begin without a cursor' });
  }
}

/** `rows` were read with one more than `limit`: that one is not told, and says that there is another page. */
export function pageOf<R>(
  rows: readonly R[],
  limit: number,
  keyOf: (row: R) => string | number,
): { rows: readonly R[]; next: string | null } {
  const told = rows.slice(0, limit);
  const last = told.at(-1);
  const isMore = rows.length > limit && last !== undefined;
  return { rows: told, next: isMore ? Buffer.from(JSON.stringify(keyOf(last))).toString('base64url') : null };
}

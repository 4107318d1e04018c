// The one text of a JSON value that is signed: keys sorted, nothing between tokens, integers only; what `jq -cS` prints.
import { CoffreError } from '../errors.ts';

/**
 * Canonical JSON of `value`. Keys are sorted by the bytes of their UTF-8, properties without a value are left out,
 * lone surrogates become U+FFFD. Throws E_INTERNAL on anything that has no JSON form of its own or is not a safe integer.
 */
export function canonicalJson(value: unknown): string {
  return write(value, '');
}

function write(value: unknown, path: string): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.toWellFormed());
    case 'boolean':
      return String(value);
    case 'number':
      // Decimal fractions print differently from tool to tool, and so do -0 and what exceeds 2^53.
      if (!Number.isSafeInteger(value) || Object.is(value, -0)) break;
      return String(value);
    case 'object':
      if (value === null) return 'null';
      if (Array.isArray(value)) return `[${value.map((item, index) => write(item, `${path}[${index}]`)).join(',')}]`;
      return `{${Object.entries(value)
        .filter(([, item]) => item !== undefined)
        .sort(([a], [b]) => compareUtf8(a, b))
        .map(([key, item]) => `${JSON.stringify(key.toWellFormed())}:${write(item, `${path}.${key}`)}`)
        .join(',')}}`;
    default:
  }
  throw new CoffreError('E_INTERNAL', `no canonical JSON for a ${typeof value} at ${path === '' ? 'the top' : path}`);
}

const ASCII = /^[\x20-\x7e]*$/;

function compareUtf8(a: string, b: string): number {
  if (ASCII.test(a) && ASCII.test(b)) return a < b ? -1 : a > b ? 1 : 0;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

// Problems of a configuration file: where each one is, what stands there, what is allowed, all of them in one error.
import { distance } from 'fastest-levenshtein';
import { type Document, isAlias, isMap, isScalar, isSeq, type LineCounter, type Node } from 'yaml';
import type * as z from 'zod';
import { CoffreError, type ErrorCode } from '../errors.ts';
import { INLINE_SECRET, SECRET_KEY } from './schema/values.ts';

export type KeyPath = readonly (string | number)[];

export interface Problem {
  readonly line: number;
  readonly message: string;
  readonly code: ErrorCode;
}

/** The parsed file, asked for lines and values. */
export interface Located {
  readonly document: Document;
  readonly lines: LineCounter;
}

/** Line of the key at `path`, or of its nearest parent that exists; 1 for the whole file. */
export function lineOf({ document, lines }: Located, path: KeyPath): number {
  let node: Node | null = document.contents;
  let offset = 0;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document) ?? null;
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
      if (!pair || !isScalar(pair.key)) break;
      offset = pair.key.range?.[0] ?? offset;
      node = pair.value as Node | null;
    } else if (isSeq(node)) {
      const item = node.items[Number(step)] as Node | undefined;
      if (!item) break;
      offset = item.range?.[0] ?? offset;
      node = item;
    } else break;
  }
  return lines.linePos(offset).line;
}

/** Turns what zod found into problems, one for each unknown key. */
export function problemsOf(located: Located, input: unknown, issues: readonly z.core.$ZodIssue[]): Problem[] {
  return issues.flatMap((issue) => problemsOfIssue(located, input, issue, []));
}

function problemsOfIssue(located: Located, input: unknown, issue: z.core.$ZodIssue, prefix: KeyPath): Problem[] {
  const path = [...prefix, ...(issue.path as (string | number)[])];
  const value = valueAt(input, path);
  if (issue.code === 'unrecognized_keys') {
    const known = issue.message.split(' ');
    return issue.keys.map((key) => ({
      code: 'E_CONFIG',
      line: lineOf(located, [...path, key]),
      message: unknownKeyMessage([...path, key], key, known),
    }));
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0 && typeof value === 'object' && value !== null) {
    // Literals come first in our unions and the mapping last: that branch knows which of its keys is wrong.
    return issue.errors.at(-1)?.flatMap((inner) => problemsOfIssue(located, input, inner, path)) ?? [];
  }
  const name = printPath(path);
  let message: string;
  if (issue.message === INLINE_SECRET) message = inlineSecretMessage(path);
  else if (typeof value === 'string' && /AGE-SECRET-KEY/i.test(value)) {
    message = `${name} holds an identity, which is a secret: write its recipient (age1…) here and keep the identity on paper only`;
  } else if (value === undefined) message = `${name} is missing: ${issue.message}`;
  else message = `${name} is ${valueAsWritten(located, path, value)}: ${issue.message}`;
  return [{ code: 'E_CONFIG', line: lineOf(located, path), message }];
}

function inlineSecretMessage(path: KeyPath): string {
  const key = String(path.at(-1));
  return `${printPath(path)} holds a secret: secrets do not belong here, write ${key}File: PATH (mode 600), or ${key}: { credential: NAME } or ${key}: { env: NAME }`;
}

function unknownKeyMessage(path: KeyPath, key: string, known: readonly string[]): string {
  const name = printPath(path);
  if (/^(access_?key(_?id)?|secret(_?access)?_?key(_?id)?|session_?token)$/i.test(key) && known.includes('credentialsFile')) {
    return `${name} does not belong here: write credentialsFile: PATH, a JSON file (mode 600) with accessKeyId and secretAccessKey`;
  }
  const nearest = nearestName(key, known);
  return nearest === null ? `${name} is not a known key: ${known.join(', ')} are` : `${name} is not a known key: did you mean ${nearest}?`;
}

/** The known name nearest to a mistyped one, null when none is near. */
export function nearestName(name: string, known: Iterable<string>): string | null {
  const lower = name.toLowerCase();
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const edits = distance(lower, candidate.toLowerCase());
    if (edits < bestDistance) [best, bestDistance] = [candidate, edits];
  }
  return best;
}

const MOST_NAMED = 10;

/** What to tell somebody who named what `section` does not declare: the nearest name, else those that are declared. */
export function declaredHint(name: string, declared: Iterable<string>, section: 'shops' | 'vaults'): string {
  const known = [...declared];
  const nearest = nearestName(name, known);
  if (nearest !== null) return `did you mean ${nearest}?`;
  if (known.length === 0) return `declare one under ${section}:`;
  const more = known.length > MOST_NAMED ? `, and ${known.length - MOST_NAMED} more` : '';
  return `declared are ${known.slice(0, MOST_NAMED).join(', ')}${more}`;
}

/** `shops.dupont.vaults[1]` */
export function printPath(path: KeyPath): string {
  const text = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('');
  return text.replace(/^\./, '') || 'the file';
}

const LONGEST_VALUE = 60;

/** A value as a message may show it: short, on one line, and never when it may be a secret. */
export function printValue(path: KeyPath, value: unknown): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'a mapping';
  const text = String(value);
  const key = String(path.findLast((step) => typeof step === 'string') ?? '');
  const namesFile = /(file|dir|path|name)$/i.test(key);
  if ((SECRET_KEY.test(key) && !namesFile) || /SECRET-KEY|PRIVATE KEY|:\/\/[^/]*@/i.test(text)) return 'a value not repeated here';
  const shown = text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text;
  return typeof value === 'string' ? JSON.stringify(shown) : shown;
}

/** `printValue`, but a number as it stands in the file: 0.0000005, and not 5e-7. */
function valueAsWritten({ document }: Located, path: KeyPath, value: unknown): string {
  const printed = printValue(path, value);
  // what is not repeated here stays so
  if (typeof value !== 'number' || printed !== String(value)) return printed;
  const node = document.getIn(path, true);
  return isScalar(node) && node.source !== undefined && node.source.length <= LONGEST_VALUE ? node.source : printed;
}

function valueAt(input: unknown, path: KeyPath): unknown {
  let value = input;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<string | number, unknown>)[step];
  }
  return value;
}

/** One error for all problems, in the order of the file. */
export function problemsError(file: string, problems: readonly Problem[]): CoffreError {
  const sorted = problems.toSorted((a, b) => a.line - b.line);
  const texts = sorted.map((problem) => `${file}:${problem.line}: ${problem.message}`);
  const codes = new Set(sorted.map((problem) => problem.code));
  const code = codes.size === 1 ? ([...codes][0] as ErrorCode) : 'E_CONFIG';
  return new CoffreError(
    code,
    texts.length === 1 ? String(texts[0]) : `${texts.length} problems in the configuration\n  ${texts.join('\n  ')}`,
  );
}

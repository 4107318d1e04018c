// What a manifest may say, checked strictly: shape, ids, keys, and that its parts agree with each other.
import { Temporal } from 'temporal-polyfill';
import { z } from 'zod';
import { CoffreError } from '../errors.ts';
import type { Phase, SegmentKind } from '../source/source.ts';
import { isId } from './id.ts';
import { indexKey, isShopName, segmentKey } from './layout.ts';
import { FORMAT_VERSION, type Manifest, type SignedManifest } from './manifest-types.ts';

const count = z.number().int().nonnegative();
const id = z.string().refine(isId, 'is not an id');
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'is not a SHA-256 in hex');
/** RFC 3339 in UTC; the day's existence is checked too, the fraction has up to nine digits. */
const instant = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/, 'is not an instant in UTC')
  .refine(isInstant, 'is not an instant');
const name = z.string().max(4096);
const versionId = z.string().min(1).max(1024);
const lock = z.strictObject({ mode: z.enum(['COMPLIANCE', 'GOVERNANCE', 'advisory']), retainUntil: instant });
const sealedFacts = { plainBytes: count, plainSha256: sha256, storedBytes: count, storedSha256: sha256 };

const segment = z.strictObject({
  ...sealedFacts,
  id,
  key: z.string(),
  kind: z.enum(['tar', 'sql', 'tsv']),
  phase: z.enum(['pre', 'data', 'rows', 'keys', 'post', 'files', 'tail']),
  name,
  fresh: z.boolean(),
  load: z
    .strictObject({
      table: z.string().min(1).max(256),
      statement: z.string().regex(/^LOAD DATA LOCAL INFILE '\/dev\/stdin' /, 'is not a LOAD DATA of standard input'),
      rows: count,
    })
    .optional(),
  partial: z.literal(true).optional(),
  versionId,
  lock: lock.nullable(),
});

const manifest = z.strictObject({
  format: z.literal(FORMAT_VERSION),
  snapshot: id,
  shop: z.string().refine(isShopName, 'is not a shop name'),
  source: z.enum(['database', 'files', 'server']),
  vault: z.string().min(1).max(256),
  revision: z.number().int().positive().optional(),
  startedAt: instant,
  asOf: instant,
  completedAt: instant,
  full: z.boolean(),
  complete: z.boolean(),
  purpose: z.literal('safety').optional(),
  tools: z.record(z.string(), z.string()),
  server: z.record(z.string(), z.string()).optional(),
  consistency: z
    .strictObject({
      method: z.enum(['backup-stage', 'read-lock', 'lock-tables', 'single-transaction', 'none']),
      acrossTables: z.boolean(),
      notCovered: z.array(z.string()),
      blockedMs: count,
      binlog: z.strictObject({ file: z.string(), position: count, gtid: z.string().optional() }).optional(),
    })
    .optional(),
  counts: z.strictObject({ files: count.optional(), directories: count.optional(), tables: count.optional(), rows: count.optional() }),
  warnings: z.array(
    z.strictObject({
      kind: z.enum(['unreadable', 'changed', 'vanished', 'skipped', 'other']),
      where: z.string(),
      message: z.string(),
    }),
  ),
  encryption: z.union([z.literal('none'), z.strictObject({ recipient: z.string().regex(/^age1[0-9a-z]+$/, 'is not an age recipient') })]),
  lock,
  index: z.strictObject({ ...sealedFacts, key: z.string(), versionId, lock: lock.nullable(), entries: count }),
  segments: z.array(segment),
});

export const signatureShape = z.strictObject({
  algorithm: z.literal('Ed25519'),
  key: z.string().regex(/^[A-Za-z0-9+/]{43}=$/, 'is not an Ed25519 public key'),
  value: z.string().regex(/^[A-Za-z0-9+/]{86}==$/, 'is not an Ed25519 signature'),
});

const signedManifest = z.strictObject({
  manifest,
  signature: signatureShape,
});

/** Which phases a kind may have. */
const PHASES: Readonly<Record<SegmentKind, readonly Phase[]>> = {
  tar: ['files', 'tail'],
  sql: ['pre', 'data', 'keys', 'post'],
  tsv: ['rows'],
};
/** Restore order: a lower rank never comes after a higher one. */
const RANK: Readonly<Record<Phase, number>> = { pre: 0, data: 1, rows: 1, keys: 2, post: 3, files: 0, tail: 1 };

function isInstant(text: string): boolean {
  try {
    Temporal.Instant.from(text);
    return true;
  } catch {
    return false;
  }
}

/** `value` as a manifest. Throws E_FORMAT naming the first place that is wrong. */
export function parseManifest(value: unknown, what = 'manifest'): Manifest {
  refuseOtherVersion(value, what);
  return agreeing(parse(manifest, value, what) as Manifest, what);
}

/** `value` as a signed manifest; the signature itself is not checked here. Throws E_FORMAT. */
export function parseSignedManifest(value: unknown, what = 'manifest'): SignedManifest {
  refuseOtherVersion(typeof value === 'object' && value !== null && 'manifest' in value ? value.manifest : undefined, what);
  const signed = parse(signedManifest, value, what) as SignedManifest;
  agreeing(signed.manifest, what);
  return signed;
}

/** Before anything else: a newer format may look quite different, and saying so helps more than the first wrong field. */
function refuseOtherVersion(value: unknown, what: string): void {
  if (typeof value !== 'object' || value === null || !('format' in value) || typeof value.format !== 'number') return;
  if (value.format === FORMAT_VERSION) return;
  throw new CoffreError('E_FORMAT', `${what}: format version ${value.format}, this coffre reads ${FORMAT_VERSION}`, {
    hint: 'upgrade coffre, or restore by hand as the procedure of that version says',
  });
}

function parse<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new CoffreError('E_FORMAT', `${what}: ${issue?.path.join('.') || 'the document'}: ${issue?.message ?? 'is wrong'}`);
}

function agreeing(checked: Manifest, what: string): Manifest {
  const refuse = (place: string, problem: string): never => {
    throw new CoffreError('E_FORMAT', `${what}: ${place}: ${problem}`);
  };
  const encrypted = checked.encryption !== 'none';
  // A key is never taken on trust: it must be the one that the layout gives to this shop and id.
  const index = indexKey(checked.shop, checked.snapshot, encrypted);
  if (checked.index.key !== index) refuse('index.key', `is not ${index}`);
  const seen = new Set<string>();
  let rank = 0;
  checked.segments.forEach((one, i) => {
    const place = `segments.${i}`;
    const key = segmentKey(checked.shop, one.id, one.kind, encrypted);
    if (one.key !== key) refuse(`${place}.key`, `is not ${key}`);
    if (seen.has(one.id)) refuse(`${place}.id`, 'is there twice');
    seen.add(one.id);
    if (!PHASES[one.kind].includes(one.phase)) refuse(`${place}.phase`, `${one.phase} does not fit ${one.kind}`);
    if ((one.kind === 'tar') === (checked.source === 'database'))
      refuse(`${place}.kind`, `${one.kind} does not fit source ${checked.source}`);
    if ((one.load !== undefined) !== (one.kind === 'tsv'))
      refuse(`${place}.load`, 'belongs to tsv segments, to all of them and to no other');
    if (one.partial && one.kind !== 'tar') refuse(`${place}.partial`, 'belongs to tar segments');
    if (RANK[one.phase] < rank) refuse(`${place}.phase`, `${one.phase} is out of restore order`);
    rank = RANK[one.phase];
  });
  return checked;
}

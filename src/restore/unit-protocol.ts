// What goes over the restore unit's connection: one request, then what becomes of it, a line of JSON each.
import * as z from 'zod';
import { CoffreError, ERRORS, type ErrorCode } from '../errors.ts';
import { isId } from '../segment/id.ts';
import type { DamagedCopy } from './damaged-copy.ts';
import type { InPlaceRequest } from './in-place.ts';
import type { RestoreProgress } from './progress.ts';

const id = z.string().refine(isId);

/**
 * What may be asked for: a shop and a snapshot, by name. Where it goes stands in the configuration: no path of this machine, no host, no
 * database, no command is in any of these, and a key that is not known is refused.
 */
const filesRequest = z.strictObject({
  /** The shop's files, into its own tree. */
  kind: z.literal('files'),
  /** The caller's run. */
  request: id,
  shop: z.string().max(63),
  snapshot: id,
  /** The vault to read from; null: the nearest whose copy is right. */
  from: z.string().max(63).nullable(),
  /** Patterns, of paths in the snapshot; none: all of it. */
  paths: z.array(z.string().min(1).max(4096)).max(1000),
  delete: z.boolean(),
  checksum: z.boolean(),
  keepSetuid: z.boolean(),
});

/** A host name, with a port perhaps. */
export const DOMAIN = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/i;

const patterns = z.array(z.string().min(1).max(4096)).max(1000).readonly();
const safetySnapshots = z.strictObject({ database: id.nullable(), files: id.nullable() });

/** A whole shop that runs, into its own place (in-place.ts). */
const inPlaceRequest = z.strictObject({
  kind: z.literal('in-place'),
  action: z.enum(['look', 'preflight', 'restore', 'rollback']),
  request: id,
  shop: z.string().max(63),
  database: z.strictObject({ snapshot: id, tables: z.array(z.string().min(1).max(256)).max(5000).readonly().nullable() }).nullable(),
  files: z.strictObject({ snapshot: id, paths: patterns, remove: z.boolean() }).nullable(),
  from: z.string().max(63).nullable(),
  checksum: z.boolean(),
  keepSetuid: z.boolean(),
  secrets: z.enum(['keep', 'archive']),
  /** What its customers call it, a value in its database: nothing is connected to by it. Only root may change it. */
  domain: z.string().max(253).regex(DOMAIN).nullable(),
  maintenance: z.enum(['at-once', 'at-swap']),
  safety: safetySnapshots.nullable(),
}) satisfies z.ZodType<InPlaceRequest>;

/** One vault's snapshots of a shop, into scratch, to be looked at and removed. */
const drillRequest = z.strictObject({
  kind: z.literal('drill'),
  /** The caller's run, and the drill's id. */
  request: id,
  shop: z.string().max(63),
  /** The one vault that is read. */
  from: z.string().max(63),
  /** One of a source each. */
  snapshots: z.array(id).min(1).max(3),
});

/** A plain archive of a shop, into the scratch folder; archives of runs that are not in `keep` are removed first. */
const exportRequest = z.strictObject({
  kind: z.literal('export'),
  /** The caller's run, and the archive's name. */
  request: id,
  shop: z.string().max(63),
  /** One of a source each; none: only what is not to be kept is removed. */
  snapshots: z.array(id).max(2),
  keep: z.array(id).max(1000),
});

const requestSchema = z.discriminatedUnion('kind', [filesRequest, drillRequest, exportRequest, inPlaceRequest]);

export type FilesRequest = z.output<typeof filesRequest>;
export type DrillRequest = z.output<typeof drillRequest>;
export type ExportRequest = z.output<typeof exportRequest>;
export type UnitRequest = z.output<typeof requestSchema>;
export type UnitRequestKind = UnitRequest['kind'];

export const LONGEST_REQUEST_BYTES = 64 * 1024;

/** Throws E_RESTORE_REFUSED; what was sent is not repeated. */
export function parseRequest(line: string): UnitRequest {
  try {
    return requestSchema.parse(JSON.parse(line));
  } catch {
    throw new CoffreError('E_RESTORE_REFUSED', 'the request is not one that the restore unit understands', {
      hint: 'daemon, command and restore unit must be of one version: systemctl restart coffre after an upgrade',
    });
  }
}

/** So often a unit says at least that it is there. */
export const ALIVE_EVERY_MS = 10_000;

export type RestoreEvent =
  | { readonly event: 'alive' }
  /** What it does now, of what takes several steps. */
  | { readonly event: 'step'; readonly step: string }
  | { readonly event: 'progress'; readonly progress: RestoreProgress }
  | { readonly event: 'damaged'; readonly problem: DamagedCopy }
  | { readonly event: 'done'; readonly result: object }
  | { readonly event: 'failed'; readonly code: ErrorCode; readonly message: string; readonly hint: string };

/** Null for a line that is none. */
export function parseEvent(line: string): RestoreEvent | null {
  try {
    const value = JSON.parse(line) as RestoreEvent;
    if (value.event === 'failed') return value.code in ERRORS ? value : { ...value, code: 'E_INTERNAL' };
    return value.event === 'alive' ||
      value.event === 'step' ||
      value.event === 'progress' ||
      value.event === 'damaged' ||
      value.event === 'done'
      ? value
      : null;
  } catch {
    return null;
  }
}

export const failureEvent = ({ code, message, hint }: CoffreError): RestoreEvent => ({ event: 'failed', code, message, hint });

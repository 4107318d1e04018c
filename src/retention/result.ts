// What a prune did, as it is printed, logged and kept: instants as RFC 3339 text, sizes in bytes.
import { Temporal } from 'temporal-polyfill';
import { CoffreError, type ErrorCode } from '../errors.ts';
import type { Extension } from './keep-ahead.ts';
import type { PlanObject, Verdict } from './plan.ts';
import type { Decision } from './policy.ts';
import type { Finding } from './reconcile.ts';

export interface WaitingLine {
  readonly key: string;
  readonly vault: string;
  readonly until: string;
  readonly objects: number;
  readonly bytes: number;
}

export interface PruneResult {
  readonly shop: string;
  /** true: nothing was done, this is what would be. */
  readonly dryRun: boolean;
  readonly removed: readonly { readonly snapshot: string; readonly vault: string; readonly reason: string }[];
  /** `until` null: until another snapshot takes its place. */
  readonly kept: readonly { readonly snapshot: string; readonly reason: string; readonly until: string | null }[];
  /** Objects whose time has come and whose lock lasts. Segments of one vault and one date are one line, `key` their folder. */
  readonly waiting: readonly WaitingLine[];
  readonly deletedObjects: number;
  readonly releasedBytes: number;
  readonly abortedUploads: number;
  /** Delete markers on keys of which nothing of ours is left. */
  readonly removedMarkers: number;
  /** Locks of newest good snapshots that were moved ahead. */
  readonly extended: readonly { readonly snapshot: string; readonly vault: string; readonly until: string; readonly objects: number }[];
  readonly foreign: readonly Finding[];
  readonly errors: readonly {
    readonly vault: string;
    readonly key?: string;
    readonly code: ErrorCode;
    readonly message: string;
    readonly hint: string;
  }[];
}

/** Why a prune did not go well, or null: its first error, else a version on our keys that is not ours, since that is tampering. */
export function pruneShortfall(result: PruneResult): CoffreError | null {
  const [error] = result.errors;
  if (error) return new CoffreError(error.code, error.message, { hint: error.hint });
  const [foreign] = result.foreign;
  if (!foreign) return null;
  return new CoffreError('E_VERSION_FOREIGN', `${result.shop}: ${foreign.vault}: ${foreign.key}: ${foreign.what} is not ours`);
}

/** The result of a prune that did not come to one: nothing done, and why. */
export function failedPrune(shop: string, error: CoffreError): PruneResult {
  const result = new ResultBuilder(shop, false);
  result.error('', error);
  return result.build();
}

/** Verdicts that wait for a lock, added up as they are printed. */
export class WaitingLines {
  readonly #nowMs: number;
  readonly #lines = new Map<string, { key: string; vault: string; until: string; objects: number; bytes: number }>();

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  add(verdict: Verdict): void {
    if (verdict.fate !== 'waits' || verdict.until <= this.#nowMs) return;
    const { vault, key, kind, sizeBytes } = verdict.object;
    const until = text(verdict.until);
    const folder = kind === 'segment' ? key.slice(0, key.lastIndexOf('/') + 1) : key;
    const name = `${vault}\0${folder}\0${until}`;
    const line = this.#lines.get(name);
    if (line) {
      line.key = folder;
      line.objects++;
      line.bytes += sizeBytes;
    } else this.#lines.set(name, { key, vault, until, objects: 1, bytes: sizeBytes });
  }

  lines(): WaitingLine[] {
    return [...this.#lines.values()];
  }
}

type Growing<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };

export class ResultBuilder {
  readonly #result: Growing<PruneResult>;

  constructor(shop: string, dryRun: boolean) {
    this.#result = {
      shop,
      dryRun,
      removed: [],
      kept: [],
      waiting: [],
      deletedObjects: 0,
      releasedBytes: 0,
      abortedUploads: 0,
      removedMarkers: 0,
      extended: [],
      foreign: [],
      errors: [],
    };
  }

  decisions(decisions: readonly Decision[]): void {
    for (const { snapshot, keep, reason, until } of decisions) {
      if (keep) this.#result.kept.push({ snapshot, reason, until: until === null ? null : text(until) });
    }
  }

  removed(snapshot: string, vault: string, reason: string): void {
    this.#result.removed.push({ snapshot, vault, reason });
  }

  released(object: PlanObject): void {
    this.#result.releasedBytes += object.sizeBytes;
    if (object.kind === 'upload') this.#result.abortedUploads++;
    else this.#result.deletedObjects++;
  }

  removedMarker(): void {
    this.#result.removedMarkers++;
  }

  waiting(lines: readonly WaitingLine[]): void {
    this.#result.waiting.push(...lines);
  }

  extended({ snapshot, vault, until, objects }: Extension): void {
    this.#result.extended.push({ snapshot, vault, until: until.toString(), objects });
  }

  foreign(finding: Finding): void {
    this.#result.foreign.push(finding);
  }

  error(vault: string, error: CoffreError, key?: string): void {
    const { code, message, hint } = error;
    this.#result.errors.push({ vault, ...(key === undefined ? {} : { key }), code, message, hint });
  }

  build(): PruneResult {
    return this.#result;
  }
}

function text(epochMs: number): string {
  return Temporal.Instant.fromEpochMilliseconds(epochMs).toString();
}

// What a probe reports, and the log it keeps while it runs: steps, and every object that it stored and has not deleted yet.
import type { Temporal } from 'temporal-polyfill';
import { asCoffreError, type CoffreError, ERRORS, type ErrorCode } from '../errors.ts';
import { isTransient } from './retry.ts';
import type { ProbeStep, StoredObject } from './vault.ts';

/** Told of every byte that a probe stores and deletes, in this order for each object, so that the ledger stays exact. */
export interface ProbeRecorder {
  /** Before the request that may store it. */
  intent(key: string, expectedBytes: number): Promise<void>;
  /** Its version is in the store. */
  stored(object: StoredObject): Promise<void>;
  /** Its version is confirmed to be gone. */
  released(key: string, versionId: string, sizeBytes: number): Promise<void>;
}

/** An object of a probe that is still in the store. */
export interface PendingProbeObject {
  readonly key: string;
  readonly versionId: string;
  readonly sizeBytes: number;
  /** null: it has no lock, but this credential could not delete it. */
  readonly lockedUntil: Temporal.Instant | null;
}

export interface ProbeResult {
  /**
   * `proven`: every step is ok; expiry may be pending, see `probeOutcome`.
   * `unproven`: something could not be tried. `refused`: a step failed.
   */
  readonly outcome: 'proven' | 'unproven' | 'refused';
  readonly steps: readonly ProbeStep[];
  /** Give these to the next probe, which settles them. */
  readonly pending: readonly PendingProbeObject[];
  /** Why it is not proven, as the code a caller should fail with; null when it is. */
  readonly code: ErrorCode | null;
  /** Whether a lock given to CreateMultipartUpload survives; null: not known, or no such vault. */
  readonly multipartLock: 'kept' | 'needs explicit lock' | null;
  /** Whether a lock can be extended; null: not known. */
  readonly canExtend: boolean | null;
}

export interface ProbeOptions {
  readonly recorder: ProbeRecorder;
  /** What earlier probes left. */
  readonly pending?: readonly PendingProbeObject[];
  /** How long the probe's own locks last, in ms. 60 s by default. */
  readonly lockMs?: number;
  /** Wait until they ended and delete the objects, so that nothing is pending. */
  readonly waitForExpiry?: boolean;
  /** Accepted difference between our clock and the store's, in ms. */
  readonly skewLimitMs: number;
  readonly signal?: AbortSignal;
}

/** The step that shows that an object can be deleted once its lock ended. */
export const EXPIRY_STEP = 'expiry';

/**
 * One failed step refuses the vault. Everything ok proves it, also while expiry is pending: expiry shows that what is
 * stored can be deleted again one day, which is about what the vault costs. That nobody can delete it before, which is
 * what protection means, is shown by the other steps. Anything that could not be tried leaves it unproven. Pure.
 */
export function probeOutcome(steps: readonly ProbeStep[]): ProbeResult['outcome'] {
  if (steps.some((step) => step.outcome === 'failed')) return 'refused';
  const isShown = (step: ProbeStep): boolean => step.outcome === 'ok' || (step.outcome === 'pending' && step.name === EXPIRY_STEP);
  return steps.length > 0 && steps.every(isShown) ? 'proven' : 'unproven';
}

/** Codes that say nothing about the vault's locks: the step could not be carried out. */
const NOT_TRIED: readonly ErrorCode[] = [
  'E_VAULT_AUTH',
  'E_VAULT_DENIED',
  'E_VAULT_SPACE',
  'E_SECRET_MISSING',
  'E_SECRET_MODE',
  'E_INTERRUPTED',
];
/** After these no further step makes sense. */
const ENDS_PROBE: readonly ErrorCode[] = [
  'E_VAULT_AUTH',
  'E_VAULT_SPACE',
  'E_BUCKET_MISSING',
  'E_SECRET_MISSING',
  'E_SECRET_MODE',
  'E_INTERRUPTED',
  'E_CLOCK_SKEW',
  'E_CONFIG',
];

type StepAnswer = Pick<ProbeStep, 'outcome' | 'detail'>;

export const ok = (detail: string): StepAnswer => ({ outcome: 'ok', detail });
export const failed = (detail: string): StepAnswer => ({ outcome: 'failed', detail });
export const skipped = (detail: string): StepAnswer => ({ outcome: 'skipped', detail });

export class ProbeLog {
  readonly steps: ProbeStep[] = [];
  readonly #left = new Map<string, PendingProbeObject>();
  readonly #recorder: ProbeRecorder;
  #code: ErrorCode | null = null;
  #endedBy: CoffreError | null = null;

  constructor(options: Pick<ProbeOptions, 'recorder' | 'pending'>) {
    this.#recorder = options.recorder;
    for (const object of options.pending ?? []) this.#left.set(`${object.key}\n${object.versionId}`, object);
  }

  get left(): readonly PendingProbeObject[] {
    return [...this.#left.values()];
  }

  get isEnded(): boolean {
    return this.#endedBy !== null;
  }

  async intent(key: string, expectedBytes: number): Promise<void> {
    await this.#recorder.intent(key, expectedBytes);
  }

  /** Also for an object whose lock changed. */
  keep({ key, versionId, sizeBytes, lock }: StoredObject): void {
    this.#left.set(`${key}\n${versionId}`, { key, versionId, sizeBytes, lockedUntil: lock?.retainUntil ?? null });
  }

  async stored(object: StoredObject): Promise<void> {
    this.keep(object);
    await this.#recorder.stored(object);
  }

  async released(object: PendingProbeObject): Promise<void> {
    this.#left.delete(`${object.key}\n${object.versionId}`);
    await this.#recorder.released(object.key, object.versionId, object.sizeBytes);
  }

  /**
   * Runs one step and notes its answer. What it throws becomes its answer: a store that cannot be reached or that refuses
   * the credential leaves the step untried, anything else fails it. `failCode` is the code a failed step stands for.
   */
  async step(name: string, failCode: ErrorCode, work: () => Promise<StepAnswer>): Promise<ProbeStep> {
    let step: ProbeStep;
    if (this.#endedBy) {
      step = { name, ...skipped(`not tried after ${this.#endedBy.code}`) };
    } else {
      try {
        step = { name, ...(await work()) };
        if (step.outcome === 'failed') this.#code ??= failCode;
      } catch (raw) {
        const error = asCoffreError(raw);
        const isUntried = isTransient(error) || NOT_TRIED.includes(error.code);
        step = { name, outcome: isUntried ? 'skipped' : 'failed', detail: `${error.code}: ${error.message}` };
        if (error.hint !== ERRORS[error.code].hint) step = { ...step, hint: error.hint };
        if (!isUntried || ENDS_PROBE.includes(error.code)) this.#code ??= error.code;
        if (isTransient(error) || ENDS_PROBE.includes(error.code)) this.#endedBy = error;
      }
    }
    this.steps.push(step);
    return step;
  }

  /** Ends the probe: later steps are noted as not tried. */
  end(error: CoffreError): void {
    this.#endedBy ??= error;
  }

  result(more: Pick<ProbeResult, 'multipartLock' | 'canExtend'>): ProbeResult {
    const outcome = probeOutcome(this.steps);
    const code = outcome === 'proven' ? null : (this.#code ?? this.#endedBy?.code ?? 'E_LOCK_UNPROVEN');
    return { outcome, steps: this.steps, pending: this.left, code, ...more };
  }
}

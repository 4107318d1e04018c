// One part's segment into every vault of the run, under a provisional lock, each vault within its deadline.
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { Temporal } from 'temporal-polyfill';
import type { Ledger } from '../billing/ledger.ts';
import type { Catalog } from '../catalog/open.ts';
import { insertSegment, type SegmentRow } from '../catalog/segments.ts';
import type { Clock, Timer } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import { idTimeMs, newId } from '../segment/id.ts';
import { segmentKey } from '../segment/layout.ts';
import type { SealedFacts } from '../segment/manifest-types.ts';
import { type SealOptions, sealStream } from '../segment/seal.ts';
import type { Part, SourceKind } from '../source/source.ts';
import { HeldBack } from '../vault/throttle.ts';
import type { Vault } from '../vault/vault.ts';
import type { Copy } from './reuse.ts';
import { type Stored, storeObject, storeStream } from './store.ts';
import { type Branch, tee } from './tee.ts';
import type { VaultSet } from './vault-set.ts';

export type SealTo = SealOptions['recipients'];

/** A segment of the snapshot in the making. */
export interface RunSegment {
  readonly row: SegmentRow;
  /** Stored by this very run. */
  readonly fresh: boolean;
  /** Only some of its members belong to this snapshot. */
  partial: boolean;
  /** Plaintext of it that the snapshot uses so far, headers of members included. */
  liveBytes: number;
  readonly copies: Map<string, Copy>;
}

export interface StoreContext {
  readonly catalog: Catalog;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly shop: string;
  readonly source: SourceKind;
  readonly runId: string;
  /** The shop's recipient, or `none` when the configuration says so aloud. */
  readonly to: SealTo;
  readonly vaults: VaultSet;
  /** How long one vault may take over one segment, the source being held open meanwhile. */
  readonly vaultDeadlineMs: number;
  readonly provisionalUntil: Temporal.Instant;
  /** The run's. */
  readonly signal: AbortSignal;
}

/** As the catalog keeps it. */
export function sealedTo(to: SealTo): string {
  return to === 'none' ? 'none' : to.join(' ');
}

export function newSegment(context: StoreContext, part: Part, facts: SealedFacts, id = newId(context.clock)): RunSegment {
  const { load } = part.outcome();
  const row: SegmentRow = {
    id,
    shop: context.shop,
    source: context.source,
    kind: part.kind,
    phase: part.phase,
    name: part.name,
    key: segmentKey(context.shop, id, part.kind, context.to !== 'none'),
    ...facts,
    sealedTo: sealedTo(context.to),
    load: load ? JSON.stringify(load) : null,
    runId: context.runId,
    // The time in the id, not that of this line: a rebuilt catalog knows only the id, and must say the same.
    createdAt: idTimeMs(id),
  };
  return { row, fresh: true, partial: false, liveBytes: 0, copies: new Map() };
}

/** `body`: the object itself, or the file that it was spilled to, which is removed afterwards. */
export async function storeSealed(context: StoreContext, segment: RunSegment, body: Buffer | string): Promise<void> {
  const { row } = segment;
  await insertSegment(context.catalog.db, row);
  const base = request(context, row.id, row.key);
  const stored = await context.vaults.each(context.signal, async (vault, runSignal) => {
    const deadline = new VaultDeadline(context, vault, runSignal);
    const { signal, held } = deadline;
    try {
      deadline.start();
      return typeof body === 'string'
        ? await storeStream(context.ledger, vault, { ...base, signal, held }, createReadStream(body), row.storedBytes, () => row)
        : await storeObject(context.ledger, context.clock, vault, { ...base, signal, held, sha256: row.storedSha256 }, body);
    } catch (error) {
      throw deadline.passed ?? error;
    } finally {
      deadline.stop();
    }
  });
  if (typeof body === 'string') await rm(body);
  addCopies(segment, stored);
}

/**
 * A part too large for memory: read once, sealed once, given to every vault at the pace of the slowest. Such a segment may be of any
 * size, so its deadline is for each piece, and runs only while the piece waits for the vault, not while the vault waits for the shop.
 */
export async function storeLarge(
  context: StoreContext,
  part: Part,
  plaintext: AsyncIterable<Uint8Array>,
  readSignal: AbortSignal,
): Promise<RunSegment> {
  const id = newId(context.clock);
  const key = segmentKey(context.shop, id, part.kind, context.to !== 'none');
  let readFailure: { readonly error: unknown } | null = null;
  async function* watched(): AsyncGenerator<Uint8Array> {
    try {
      yield* plaintext;
    } catch (error) {
      readFailure = { error };
      throw error;
    }
  }
  const sealing = sealStream(watched(), { recipients: context.to, signal: readSignal });
  const vaults = context.vaults.active;
  const branches = new Map<string, Branch>();
  tee(sealing.stored, vaults.length).forEach((branch, i) => {
    branches.set((vaults[i] as Vault).name, branch);
  });
  const stored = await context.vaults.each(context.signal, async (vault, runSignal) => {
    const branch = branches.get(vault.name);
    if (!branch) throw new CoffreError('E_INTERNAL', `${vault.name} joined while a segment was being stored`);
    const deadline = new VaultDeadline(context, vault, runSignal);
    const target = { ...request(context, id, key), signal: deadline.signal, held: deadline.held };
    try {
      return await storeStream(context.ledger, vault, target, deadline.over(branch.body), part.estimatedBytes, () => sealing.facts());
    } catch (error) {
      // the shop's failure is not the vault's: no vault leaves for it
      if (readFailure !== null || readSignal.aborted) return null;
      throw deadline.passed ?? error;
    } finally {
      deadline.stop();
      await branch.leave();
    }
  });
  const failed = readFailure as { readonly error: unknown } | null;
  if (failed) throw failed.error;
  readSignal.throwIfAborted();
  const segment = newSegment(context, part, sealing.facts(), id);
  await insertSegment(context.catalog.db, segment.row);
  addCopies(segment, stored);
  return segment;
}

/** Aborts the work of one vault on one segment when its time is up; what limits.bandwidth takes of it is not the vault's time. */
class VaultDeadline {
  readonly signal: AbortSignal;
  readonly held: HeldBack;
  readonly #controller = new AbortController();
  readonly #context: StoreContext;
  readonly #vault: Vault;
  #timer: Timer | null = null;

  constructor(context: StoreContext, vault: Vault, runSignal: AbortSignal) {
    this.#context = context;
    this.#vault = vault;
    this.held = new HeldBack(context.clock);
    this.signal = AbortSignal.any([runSignal, this.#controller.signal]);
  }

  /** The error, when the time is up. */
  get passed(): CoffreError | null {
    return this.#controller.signal.aborted ? (this.#controller.signal.reason as CoffreError) : null;
  }

  start(): void {
    this.stop();
    this.#arm(this.#context.vaultDeadlineMs);
  }

  #arm(leftMs: number): void {
    const { clock, vaultDeadlineMs, shop, source } = this.#context;
    const heldMs = this.held.ms;
    this.#timer = clock.after(leftMs, () => {
      const heldSinceMs = Math.ceil(this.held.ms - heldMs);
      if (heldSinceMs > 0) {
        this.#arm(heldSinceMs);
        return;
      }
      this.#controller.abort(
        new CoffreError(
          'E_VAULT_TIMEOUT',
          `vault ${this.#vault.name}: took longer than ${vaultDeadlineMs / 1000} s over one segment while the ${source} of ${shop} was being read`,
          { hint: 'look at the store and the line to it; limits.vaultDeadline says how long a shop is kept waiting' },
        ),
      );
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Runs from when a chunk is handed over until the next one is asked for; after the last one until `stop`. */
  async *over(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      this.start();
      yield chunk;
      this.stop();
    }
    this.start();
  }
}

function request(context: StoreContext, id: string, key: string) {
  return {
    shop: context.shop,
    key,
    kind: 'segment' as const,
    refId: id,
    runId: context.runId,
    retainUntil: context.provisionalUntil,
  };
}

function addCopies(segment: RunSegment, stored: ReadonlyMap<string, Stored | null>): void {
  for (const [vault, it] of stored) {
    if (it === null) continue;
    const { objectId, object } = it;
    segment.copies.set(vault, { objectId, versionId: object.versionId, lock: object.lock });
  }
}

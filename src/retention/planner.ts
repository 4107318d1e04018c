// Who plans: this thread where that is quick, a thread of its own where it would hold up everything else.
import { Worker } from 'node:worker_threads';
import { sql } from 'kysely';
import { IS_LIVE, vaultsHolding } from '../catalog/live-objects.ts';
import type { Catalog } from '../catalog/open.ts';
import { nextTurn } from '../clock.ts';
import { CoffreError, type ErrorCode } from '../errors.ts';
import { type Chosen, choose, lookWaiting, preview } from './choose.ts';
import type { FactsRequest, SegmentPage } from './facts.ts';
import type { Stage } from './plan.ts';
import type { PruneResult, WaitingLine } from './result.ts';

export interface Planner {
  choose(request: FactsRequest, stage: Stage, page: SegmentPage | null): Promise<Chosen>;
  preview(request: FactsRequest): Promise<PruneResult>;
  lookWaiting(request: FactsRequest): Promise<WaitingLine[]>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** A plan over so many objects takes some ten milliseconds, which is what a thread takes to start. */
const OBJECTS_HERE = 10_000;

/** The planner for this shop as large as it is now. */
export async function openPlanner(catalog: Catalog, shop: string): Promise<Planner> {
  return (await isLarge(catalog, shop)) ? planInThread(catalog) : planHere(catalog);
}

/** Plans in a thread with a connection of its own; the loop of this one stays free. */
export function planInThread(catalog: Catalog): Planner {
  return new PlanThread(catalog.stateDir);
}

async function isLarge(catalog: Catalog, shop: string): Promise<boolean> {
  let left = OBJECTS_HERE;
  for (const vault of await vaultsHolding(catalog.db, shop)) {
    const { rows } = await sql<{ count: number }>`
      select count(*) as "count" from (
        select 1 from "objects" where "vault" = ${vault} and "shop" = ${shop} and ${IS_LIVE} limit ${left + 1}
      )`.execute(catalog.db);
    left -= rows[0]?.count ?? 0;
    if (left < 0) return true;
  }
  return false;
}

/** Plans here, each answer in a turn of its own. */
export function planHere(catalog: Catalog): Planner {
  // The catalog answers without a turn of the event loop: many shops planned one after the other would hold up everybody else.
  const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
    await nextTurn();
    return await work();
  };
  return {
    choose: (request, stage, page) => inTurn(() => choose(catalog, request, stage, page)),
    preview: (request) => inTurn(() => preview(catalog, request)),
    lookWaiting: (request) => inTurn(() => lookWaiting(catalog, request)),
    close: async () => {},
  };
}

/** One question to the thread: the name of what is asked, and its arguments after the catalog. */
export interface Question {
  readonly id: number;
  readonly ask: 'choose' | 'preview' | 'lookWaiting';
  readonly args: readonly unknown[];
}

export type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: { readonly code: ErrorCode; readonly message: string; readonly hint: string } };

class PlanThread implements Planner {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: unknown) => void }>();
  #lastId = 0;
  #ended: CoffreError | null = null;

  constructor(stateDir: string) {
    this.#worker = new Worker(new URL('./plan-thread.ts', import.meta.url), { workerData: { stateDir } });
    this.#worker.on('message', (answer: Answer) => {
      const asked = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if ('error' in answer) asked?.reject(new CoffreError(answer.error.code, answer.error.message, { hint: answer.error.hint }));
      else asked?.resolve(answer.value);
    });
    this.#worker.on('error', (error) => this.#end(new CoffreError('E_INTERNAL', 'the planning thread failed', { cause: error })));
    this.#worker.on('exit', () => this.#end(new CoffreError('E_INTERNAL', 'the planning thread ended')));
  }

  #end(error: CoffreError): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }

  #ask<T>(ask: Question['ask'], ...args: readonly unknown[]): Promise<T> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = ++this.#lastId;
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#worker.postMessage({ id, ask, args } satisfies Question);
    return answer as Promise<T>;
  }

  choose(request: FactsRequest, stage: Stage, page: SegmentPage | null): Promise<Chosen> {
    return this.#ask('choose', plain(request), stage, page);
  }

  preview(request: FactsRequest): Promise<PruneResult> {
    return this.#ask('preview', plain(request));
  }

  lookWaiting(request: FactsRequest): Promise<WaitingLine[]> {
    return this.#ask('lookWaiting', plain(request));
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** What crosses to a thread: nothing beside what is named. */
const plain = ({ shop, retentionMs, nowMs }: FactsRequest): FactsRequest => ({ shop, retentionMs, nowMs });

// One run under way, as the scheduler sees it.
import { type Clock, settledWithin, type Timer } from '../clock.ts';
import type { CoffreError } from '../errors.ts';
import type { Order } from './scheduler-ports.ts';
import type { TaskRequest } from './task.ts';

export type Stopped = 'gave way' | 'cancelled' | 'deadline' | 'daemon stops';

/** A run under way, or a look whether one is needed. */
export class UnderWay {
  readonly run: string;
  readonly task: TaskRequest;
  readonly who: string;
  readonly startedAt: number;
  readonly yields: boolean;
  readonly stop = new AbortController();
  /** false: it is still looked whether there is anything to do. */
  begun = false;
  stopped: Stopped | null = null;
  hung = false;
  ended: Promise<void> = Promise.resolve();
  timer: Timer | null = null;

  constructor(order: Order, startedAt: number, yields: boolean) {
    this.run = order.run;
    this.task = order.task;
    this.who = order.who;
    this.startedAt = startedAt;
    this.yields = yields;
  }
}

/** How the row of the run ends. */
export function endState(failure: CoffreError, stopped: Stopped | null): 'failed' | 'interrupted' | 'cancelled' {
  if (failure.code === 'E_CANCELLED') return 'cancelled';
  return stopped === 'daemon stops' || stopped === 'gave way' ? 'interrupted' : 'failed';
}

/** Whether all of these end within `limitMs`. */
export async function allEnd(running: Iterable<UnderWay>, limitMs: number, clock: Clock): Promise<boolean> {
  const ends = [...running].map((underWay) => underWay.ended);
  return ends.length === 0 || (await settledWithin(Promise.all(ends), limitMs, clock));
}

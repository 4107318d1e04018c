// The feed of the daemon's runs: what begins, goes on and ends, for whoever listens. In memory, bounded, and never in a run's way.
import type { RunsTable } from '../catalog/tables/runs.ts';
import type { Clock } from '../clock.ts';

/** Figures of a run under way. Bytes; null: unknown. */
export interface RunProgress {
  readonly doneBytes: number;
  /** Of these, what an older segment holds already. */
  readonly carriedBytes: number;
  readonly totalBytes: number | null;
  /** The total is what the last run had. */
  readonly totalIsGuess: boolean;
  readonly storedBytes: number;
  readonly segments: number;
  readonly reusedSegments: number;
  readonly files: number;
  readonly bytesPerSecond: number | null;
  readonly leftMs: number | null;
}

export interface RunEvent {
  /** Rises by one with each event of this daemon; begins anew when it is started again. */
  readonly seq: number;
  /** Epoch milliseconds. */
  readonly at: number;
  readonly run: string;
  readonly kind: RunsTable['kind'];
  readonly shop: string;
  readonly source: RunsTable['source'];
  readonly who: string;
  readonly type: 'queued' | 'started' | 'step' | 'progress' | 'ended';
  readonly state: RunsTable['state'];
  /** What it does now; null: it has not said. */
  readonly step: string | null;
  readonly progress: RunProgress | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

export type NewRunEvent = Omit<RunEvent, 'seq' | 'at'>;

export interface SubscribeOptions {
  /** Only this run. */
  readonly run?: string;
  /** Only events that this lets through: of the shops that a token may see. */
  readonly filter?: (event: RunEvent) => boolean;
  /** First what is still kept after this event; without it, only what is still to come. */
  readonly after?: number;
}

/** Ends when it is closed, or with the feed; a subscription to one run also after its `ended`. */
export interface Subscription extends AsyncIterable<RunEvent>, Disposable {
  /** Events that it was too slow for: progress that newer progress replaced, then the oldest. */
  readonly dropped: number;
  close(): void;
}

export interface RunFeed {
  /** The last event of each run that waits or is under way. */
  current(): readonly RunEvent[];
  /** The last event of a run, while it is known here: runs that ended are soon forgotten, the catalog has them. */
  latest(run: string): RunEvent | null;
  subscribe(options?: SubscribeOptions): Subscription;
}

/** Kept for whoever comes back after a lost connection. */
const KEPT_EVENTS = 1000;
/** Waiting for one subscriber. */
const WAITING_EVENTS = 256;
const ENDED_KEPT = 200;
/** Of one run. A bar needs no more. */
const PROGRESS_EVERY_MS = 250;

export class RunHub implements RunFeed {
  readonly #clock: Clock;
  readonly #recent: RunEvent[] = [];
  readonly #current = new Map<string, RunEvent>();
  readonly #ended = new Map<string, RunEvent>();
  readonly #toldAtMs = new Map<string, number>();
  readonly #subscribers = new Set<Subscriber>();
  #seq = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Tells everybody; progress that follows other progress of the same run at once is left out. Never waits, never throws. */
  publish(told: NewRunEvent): void {
    if (told.type === 'progress') {
      const nowMs = this.#clock.monotonicMs();
      if (nowMs - (this.#toldAtMs.get(told.run) ?? Number.NEGATIVE_INFINITY) < PROGRESS_EVERY_MS) return;
      this.#toldAtMs.set(told.run, nowMs);
    }
    const event: RunEvent = { ...told, seq: ++this.#seq, at: this.#clock.nowMs() };
    this.#recent.push(event);
    if (this.#recent.length > KEPT_EVENTS) this.#recent.shift();
    if (event.type === 'ended') {
      this.#current.delete(event.run);
      this.#toldAtMs.delete(event.run);
      this.#ended.set(event.run, event);
      const [oldest] = this.#ended.keys();
      if (this.#ended.size > ENDED_KEPT && oldest !== undefined) this.#ended.delete(oldest);
    } else {
      this.#current.set(event.run, event);
    }
    for (const subscriber of this.#subscribers) subscriber.offer(event);
  }

  current(): readonly RunEvent[] {
    return [...this.#current.values()];
  }

  latest(run: string): RunEvent | null {
    return this.#current.get(run) ?? this.#ended.get(run) ?? null;
  }

  subscribe(options: SubscribeOptions = {}): Subscription {
    const subscriber = new Subscriber(options, () => this.#subscribers.delete(subscriber));
    const { after } = options;
    // of a run that is forgotten here the subscriber would never hear the end: whoever subscribes looks it up in the catalog first
    if (after !== undefined) for (const event of this.#recent) if (event.seq > after) subscriber.offer(event);
    this.#subscribers.add(subscriber);
    return subscriber;
  }

  /** Ends every subscription. */
  close(): void {
    for (const subscriber of [...this.#subscribers]) subscriber.close();
  }
}

class Subscriber implements Subscription {
  readonly #options: SubscribeOptions;
  readonly #onClose: () => void;
  readonly #waiting: RunEvent[] = [];
  #wake: (() => void) | null = null;
  #closed = false;
  #dropped = 0;

  constructor(options: SubscribeOptions, onClose: () => void) {
    this.#options = options;
    this.#onClose = onClose;
  }

  get dropped(): number {
    return this.#dropped;
  }

  offer(event: RunEvent): void {
    const { run, filter } = this.#options;
    if (this.#closed || (run !== undefined && event.run !== run) || (filter && !filter(event))) return;
    if (this.#waiting.length >= WAITING_EVENTS) {
      const stale = this.#waiting.findIndex((one) => one.type === 'progress');
      this.#waiting.splice(Math.max(0, stale), 1);
      this.#dropped++;
    }
    this.#waiting.push(event);
    this.#wake?.();
  }

  close(): void {
    this.#closed = true;
    this.#onClose();
    this.#wake?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<RunEvent, void, void> {
    try {
      for (;;) {
        const event = this.#waiting.shift();
        if (event !== undefined) {
          yield event;
          if (event.type === 'ended' && this.#options.run !== undefined) return;
          continue;
        }
        if (this.#closed) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = null;
      }
    } finally {
      this.close();
    }
  }
}

// What the scheduler is given, and what it hands to whoever does the work.
import type { Temporal } from 'temporal-polyfill';
import type { RunLog } from '../backup/log.ts';
import type { Clock } from '../clock.ts';
import type { CoffreError } from '../errors.ts';
import type { NewRunEvent, RunProgress } from './feed.ts';
import type { Job } from './jobs.ts';
import type { SlotStore } from './slots.ts';
import type { TaskRequest } from './task.ts';

/** What somebody asked for; its row in the catalog is `queued`. */
export interface Order {
  readonly run: string;
  readonly task: TaskRequest;
  readonly who: string;
}

/** One run, as it is handed to whoever does the work. */
export interface Work {
  readonly run: string;
  readonly task: TaskRequest;
  readonly who: string;
  /** What it is scheduled as; null: somebody asked for it. */
  readonly job: Job | null;
  /** The slot that it is for. */
  readonly dueAt: Temporal.Instant | null;
  readonly signal: AbortSignal;
  /** What it does now. */
  readonly step: (step: string) => void;
  readonly progress: (progress: RunProgress) => void;
}

export interface Limits {
  /** Runs under way at once, over all shops. */
  readonly concurrency: number;
  /** A run that lasts longer is told to stop. */
  readonly deadlineMs: number;
  /** One that then does not end for this long is called hung. */
  readonly hungAfterMs: number;
}

/** What keeps scheduled backups from beginning, beside their windows. */
export interface Hindrance {
  /** Paused, or being restored. */
  readonly shops: ReadonlySet<string>;
  /** Restores under way on this machine: each takes a place. */
  readonly restores: number;
}

/** What the catalog must be told of runs. */
export interface RunBooks {
  /** The row of a run that ended without having begun; `error` null: there was nothing to do. */
  close(run: string, error: CoffreError | null): Promise<void>;
  hung(run: string, message: string): Promise<void>;
  /** Another order that goes on with an interrupted one. */
  again(order: Order): Promise<Order>;
}

export interface SchedulerOptions {
  readonly clock: Clock;
  readonly log: RunLog;
  readonly jobs: readonly Job[];
  /** Orders that were waiting when the last daemon ended, oldest first. */
  readonly orders?: readonly Order[];
  readonly slots: SlotStore;
  readonly books: RunBooks;
  /** Asked again and again: a reload changes them. */
  readonly limits: () => Limits;
  /** Whether the shop has any snapshot of what this job reads. */
  readonly hasSnapshot: (job: Job) => Promise<boolean>;
  /** Whether there is anything to do for a job that gives way: asked each time that it is due. */
  readonly isNeeded: (job: Job) => Promise<boolean>;
  readonly hindrance: () => Promise<Hindrance>;
  /** Does the work. Throws when it did not succeed; must end soon after `signal` aborts. */
  readonly work: (work: Work) => Promise<void>;
  readonly publish?: (event: NewRunEvent) => void;
  /** How long a run under way may go on after the order to stop, before it is interrupted. */
  readonly graceMs?: number;
  /** How long an interrupted run may take to end, before the scheduler leaves without it. */
  readonly leaveMs?: number;
}

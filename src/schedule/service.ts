// What the daemon offers to whoever stands before it (HTTP, the socket, metrics): the seam between the service and its doors.
//
// Where the doors open: cli/daemon/daemon.ts calls `startHttp(service, options)` of http/server.ts once the scheduler runs, and closes what it
// returned before the scheduler stops:
//   export async function startHttp(service: Service, options): Promise<{ close(): Promise<void>; addresses: readonly string[] }>
import type { Catalog } from '../catalog/open.ts';
import type { Pause } from '../catalog/pauses.ts';
import type { RunsTable } from '../catalog/tables/runs.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import type { ErrorCode } from '../errors.ts';
import type { LevelLog } from '../events.ts';
import type { BillingBoard } from './billing-board.ts';
import type { RunFeed } from './feed.ts';
import type { StatusBoard } from './status-board.ts';
import type { Survey } from './survey.ts';
import type { TaskKind, TaskRequest } from './task.ts';

/** Why a configuration was not taken. Message and hint hold no secret. */
export interface ConfigProblem {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
}

export interface RunningNow {
  readonly run: string;
  readonly kind: TaskKind;
  readonly shop: string;
  readonly source: RunsTable['source'];
  readonly who: string;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  /** It was told to stop, and does not. */
  readonly hung: boolean;
}

/** How the daemon itself stands; a look at what is in memory. */
export interface ServiceState {
  readonly startedAt: number;
  readonly running: readonly RunningNow[];
  /** Submitted runs that wait. */
  readonly queued: number;
  /** Scheduled slots that are due and wait for a place, their shop or the end of a window. */
  readonly due: number;
  /** The schedule is still being read: nothing begins yet. */
  readonly loading: boolean;
  /** Nothing new is started. */
  readonly stopping: boolean;
  /** The file was not taken when it was last read: what runs is the configuration before. */
  readonly configProblem: ConfigProblem | null;
}

export interface Service {
  /** What is in force: a reload puts another one in its place. Ask each time, and keep it for one request at most. */
  readonly config: Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: LevelLog;
  /** Version of this coffre. */
  readonly version: string;
  readonly feed: RunFeed;
  /** How every shop stands, as last looked at. */
  readonly survey: Pick<Survey, 'shops' | 'isComplete'>;
  /** How shops stand now. Whoever changes anything by other means than this service says so. */
  readonly board: Pick<StatusBoard, 'of' | 'changed'>;
  readonly state: ServiceState;
  /** Proofs and forecasts: what reads much of the ledger. */
  readonly billing: Pick<BillingBoard, 'prove' | 'forecast'>;

  /**
   * Queues a run and returns its id; it goes before whatever is scheduled. The same task that waits already is that run. `who` is for the
   * audit. Survives the daemon: a run that is cut off is taken up by another one, whose row says so (`takesUp`).
   * Throws E_UNKNOWN_SHOP, E_CONFIG (no such source), E_SHOP_STATE (the shop is not backed up), E_INTERRUPTED while the daemon stops.
   */
  submit(task: TaskRequest, who: string): Promise<string>;
  /**
   * Takes a run out of the queue, or tells it to stop: it ends soon, as cancelled. What it stored stays for the next one. A scheduled one
   * comes again at its next slot. false: it had ended already. Throws E_UNKNOWN_RUN, E_USAGE for a run of another process.
   */
  cancel(runId: string, who: string): Promise<boolean>;
  /** Scheduled backups of the shop wait until then (epoch milliseconds) or until it is resumed (null). Throws E_UNKNOWN_SHOP, E_USAGE. */
  pause(shop: string, order: { readonly who: string; readonly reason: string | null; readonly until: number | null }): Promise<Pause>;
  /** Ends a pause; what was missed meanwhile is made up for by one run. false: it was not paused. Throws E_UNKNOWN_SHOP. */
  resume(shop: string, by: { readonly who: string; readonly reason: string | null }): Promise<boolean>;
  /** Takes the configuration file as it is now. Throws what is wrong with it, and goes on with the old one then. */
  reload(who: string): Promise<void>;
}

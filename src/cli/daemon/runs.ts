// Work that the daemon does for a command: handed over as runs, followed with a bar, and its results taken home.
import type { Clock } from '../../clock.ts';
import { asCoffreError, CoffreError, ERRORS, type ErrorCode } from '../../errors.ts';
import type { TaskRequest } from '../../schedule/task.ts';
import type { Invocation } from '../context.ts';
import type { Progress } from '../progress.ts';
import type { DaemonClient, RunInFull, RunNews } from './client.ts';
import { watchWait } from './wait.ts';

/** What became of a task. */
export type Performed<T extends TaskRequest = TaskRequest> = { readonly task: T } & (
  | {
      /** The result of its kind of run. */
      readonly detail: object;
      /** Why it did not go well all the same; null: it did. */
      readonly error: CoffreError | null;
    }
  /** It came to no result, or the daemon did not take it; null: there was nothing to do. */
  | { readonly detail: null; readonly error: CoffreError | null }
);

/** A run that was cut off with its daemon is taken up by another one as soon as one is there again. */
const TAKEN_UP_WITHIN_MS = 5_000;
const ASK_EVERY_MS = 250;
/** Ids in one line of advice. */
const MOST_NAMED = 3;

/**
 * Hands all tasks over, then follows one after the other to its end. What is refused or fails is in the result. A signal leaves the runs to
 * the daemon: E_DETACHED. Throws E_DAEMON_….
 */
export async function perform<T extends TaskRequest>(
  daemon: DaemonClient,
  invocation: Pick<Invocation, 'signal' | 'progress'>,
  clock: Clock,
  tasks: readonly T[],
): Promise<Performed<T>[]> {
  const { signal } = invocation;
  const submitted: ({ readonly task: T } & ({ readonly run: string } | { readonly run: null; readonly refusal: CoffreError }))[] = [];
  for (const task of tasks) {
    try {
      submitted.push({ task, run: await daemon.submit(task, signal) });
    } catch (error) {
      const refusal = detached(error, signal, submitted);
      if (isOfTheDaemon(refusal)) throw refusal;
      submitted.push({
        task,
        run: null,
        refusal: refusal.code === 'E_UNKNOWN_SHOP' && !daemon.isRemote ? olderConfiguration(refusal) : refusal,
      });
    }
  }
  const performed: Performed<T>[] = [];
  for (const one of submitted) {
    const { task, run } = one;
    if (run === null) {
      performed.push({ task, detail: null, error: one.refusal });
      continue;
    }
    try {
      const ended = await followRun(daemon, invocation, clock, run);
      const error = errorOf(ended);
      const { detail } = ended;
      performed.push(typeof detail === 'object' && detail !== null ? { task, detail, error } : { task, detail: null, error });
    } catch (error) {
      throw detached(error, signal, submitted.slice(performed.length));
    }
  }
  return performed;
}

/** What the configuration here has and the daemon's has not: it was not told. */
export function olderConfiguration(refusal: CoffreError): CoffreError {
  return new CoffreError(refusal.code, `the daemon uses another configuration: ${refusal.message}`, {
    hint: 'coffre reload makes it take the file as it is now',
    cause: refusal,
  });
}

/** Shows how a run goes until it has ended, the runs included that take it up when the daemon is started again. Throws E_DAEMON_…, the signal's reason. */
export async function followRun(
  daemon: DaemonClient,
  { signal, progress }: Pick<Invocation, 'signal' | 'progress'>,
  clock: Clock,
  id: string,
): Promise<RunInFull> {
  let run = id;
  let bar: Progress | null = null;
  let waiting: AbortController | null = null;
  try {
    for (;;) {
      for await (const news of daemon.follow(run, signal)) {
        const drawn: Progress = bar ?? progress(titleOf(news));
        bar = drawn;
        if (news.state !== 'queued') {
          waiting?.abort();
          draw(drawn, news);
        } else if (waiting === null || waiting.signal.aborted) {
          waiting = new AbortController();
          const say = (waits: string): void => drawn.title(`${titleOf(news)}: ${waits}`);
          say('waits for its turn');
          void watchWait(daemon, clock, news, say, AbortSignal.any([signal, waiting.signal]));
        }
      }
      const ended = await daemon.untilAnswered(() => daemon.run(run, signal), signal);
      if (ended.error?.code !== 'E_INTERRUPTED') return ended;
      const next = await takenUp(daemon, clock, ended, signal);
      if (next === null) return ended;
      run = next;
    }
  } catch (error) {
    if (!(error instanceof CoffreError) || error.code !== 'E_DAEMON_LOST') throw error;
    throw new CoffreError('E_DAEMON_LOST', `${error.message} during run ${run}`, {
      hint: `once a daemon runs again it takes the run up: coffre run follow ${run} shows it`,
      cause: error,
    });
  } finally {
    waiting?.abort();
    bar?.stop();
  }
}

/** The run that goes on with one that its daemon left; null: none does, for now. */
async function takenUp(
  daemon: DaemonClient,
  clock: Clock,
  { id, shop, kind, task }: RunInFull,
  signal: AbortSignal,
): Promise<string | null> {
  // nobody asked for it: its slot comes again
  if (task === null) return null;
  const giveUpAtMs = clock.monotonicMs() + TAKEN_UP_WITHIN_MS;
  for (;;) {
    const { runs } = await daemon.untilAnswered(() => daemon.runs({ shop, kind, limit: 50 }, signal), signal);
    const next = runs.find((run) => run.takesUp === id);
    if (next) return next.id;
    if (clock.monotonicMs() >= giveUpAtMs) return null;
    await clock.sleep(ASK_EVERY_MS, signal);
  }
}

function titleOf({ kind, shop, source }: Pick<RunNews, 'kind' | 'shop' | 'source'>): string {
  return kind === 'backup' ? `${shop} ${source}` : `${kind} ${shop}`;
}

function draw(bar: Progress, news: RunNews): void {
  bar.title(titleOf(news));
  const { progress, step } = news;
  if (progress === null) return;
  bar.update({
    doneBytes: progress.doneBytes,
    carriedBytes: progress.carriedBytes,
    totalBytes: progress.totalBytes,
    totalIsGuess: progress.totalIsGuess,
    storedBytes: progress.storedBytes,
    ...(step === null ? {} : { current: step }),
    ...(news.source === 'database' ? {} : { doneFiles: progress.files }),
  });
}

/** Why a run that ended did not go well; null: it did. */
export function errorOf({ id, state, error }: Pick<RunInFull, 'id' | 'state' | 'error'>): CoffreError | null {
  if (error !== null) {
    // a code of a newer coffre is none of ours
    const code = Object.hasOwn(ERRORS, error.code) ? (error.code as ErrorCode) : 'E_INTERNAL';
    const message = code === error.code ? error.message : `${error.message} [${error.code}]`;
    return new CoffreError(code, message, error.hint === undefined ? {} : { hint: error.hint });
  }
  return state === 'done' ? null : new CoffreError('E_INTERNAL', `run ${id} ended as ${state} and does not say why`);
}

/** The error of a task that came to no result where one is due. */
export const failureOf = ({ task, error }: Pick<Performed, 'task' | 'error'>): CoffreError =>
  error ?? new CoffreError('E_DAEMON_VERSION', `the daemon says that ${task.kind} of ${task.shop} is done, and nothing of its result`);

/** Of the daemon itself, so that nothing else can be asked of it either. */
const isOfTheDaemon = ({ code }: CoffreError): boolean =>
  ERRORS[code].exit === ERRORS.E_DETACHED.exit || code === 'E_TOKEN' || code === 'E_FORBIDDEN';

/** A signal says nothing to the daemon: whoever gave it is told what goes on there, and how to stop it. */
function detached(error: unknown, signal: AbortSignal, left: readonly { readonly run: string | null }[]): CoffreError {
  const ids = left.flatMap(({ run }) => run ?? []);
  if (signal.aborted && ids.length > 0) {
    const [first] = ids;
    const what = ids.length === 1 ? `run ${first} goes on` : `${ids.length} runs go on`;
    const hint =
      ids.length === 1
        ? `coffre run follow ${first} shows it; coffre run cancel ${first} calls it off`
        : `coffre run list shows them; coffre run cancel ${ids.length <= MOST_NAMED ? ids.join(' ') : 'ID…'} calls them off`;
    return new CoffreError('E_DETACHED', `${what} in the daemon`, { hint });
  }
  return asCoffreError(error);
}

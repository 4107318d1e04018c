// The thread of an ExtractPool: checks and opens a stored segment and writes its members into the target.
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../clock.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { openBuffer, openInto } from '../segment/open.ts';
import type { Admission, OpenWriter } from '../target/target.ts';
import type { ExtractJob, Failure, FromExtractThread, ThreadData, ToExtractThread } from './extract-messages.ts';

/** Plaintext up to this is opened as a whole, and checked to its end before any of it is written. Ours is about 32 MiB. */
const WHOLE_BYTES = 48 * 1024 * 1024;

interface Job {
  /** When its content lay open; null: it never did as a whole. */
  openedMs: number | null;
  readonly stop: AbortController;
  /** Called with the answer to the question that was asked last. */
  answered: (refused: Failure | null) => void;
}

const { module, data } = workerData as ThreadData;
const writer = import(module).then(({ openWriter }: { openWriter: OpenWriter }) => openWriter(data));
// seen by the job that needs it
writer.catch(() => {});
const jobs = new Map<number, Job>();
/** Serves one segment after the other: fresh memory costs the kernel more than decompressing into it. */
let room = Buffer.alloc(0);
/** One at a time lies in `room`. */
let turn: Promise<void> = Promise.resolve();

function say(message: FromExtractThread): void {
  parentPort?.postMessage(message);
}

async function extract(id: number, job: Job, { what, expected, identities, stored, wanted }: ExtractJob): Promise<void> {
  const object = Buffer.from(stored, 0, expected.storedBytes);
  const options = { what, expected, identities, signal: job.stop.signal };
  const admit = async (members: readonly Admission[]): Promise<void> => {
    const answer = new Promise<Failure | null>((resolve) => {
      job.answered = resolve;
    });
    say({ type: 'admit', job: id, members });
    const refused = await answer;
    if (refused) throw errorOf(refused);
  };
  job.stop.signal.throwIfAborted();
  if (expected.plainBytes > WHOLE_BYTES) {
    job.openedMs = systemClock.monotonicMs();
    await (await writer).extract(openBuffer(object, { ...options, inPlace: true }), wanted, admit, job.stop.signal);
    return;
  }
  if (room.length < expected.plainBytes) room = Buffer.allocUnsafeSlow(expected.plainBytes);
  const plaintext = await openInto(object, room, options);
  job.openedMs = systemClock.monotonicMs();
  say({ type: 'opened', job: id });
  await (await writer).extractWhole(plaintext, wanted, admit, job.stop.signal);
}

function errorOf({ code, message, hint }: Failure): CoffreError {
  return new CoffreError(code, message, hint === null ? {} : { hint });
}

function failureOf(error: unknown): Failure {
  const { code, message, hint } = asCoffreError(error);
  return { code, message, hint: hint ?? null };
}

function begin(id: number, work: (job: Job) => Promise<void>): void {
  const job: Job = { stop: new AbortController(), answered: () => {}, openedMs: null };
  jobs.set(id, job);
  turn = turn.then(() => {
    const startedMs = systemClock.monotonicMs();
    return work(job)
      .then(
        () => null,
        (error: unknown) => failureOf(error),
      )
      .then((failure) => {
        jobs.delete(id);
        const openedMs = job.openedMs ?? startedMs;
        const took = { openMs: openedMs - startedMs, writeMs: systemClock.monotonicMs() - openedMs };
        say({ type: 'ended', job: id, failure, took });
      });
  });
}

parentPort?.on('message', (message: ToExtractThread) => {
  switch (message.type) {
    case 'extract':
      begin(message.job, (job) => extract(message.job, job, message.work));
      return;
    case 'finish':
      begin(message.job, async (job) => await (await writer).finish(job.stop.signal));
      return;
    case 'admitted':
      jobs.get(message.job)?.answered(message.refused);
      return;
    case 'stop':
      jobs.get(message.job)?.stop.abort(new CoffreError('E_INTERRUPTED', 'the restore was stopped'));
      return;
    case 'close':
      writer
        .then((open) => open.close())
        .catch(() => {})
        .then(() => say({ type: 'closed' }));
      return;
  }
});

// The thread of a SealPool: takes pieces of plaintext, gives them back for the next ones, and gives whole sealed objects.
import { parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { CoffreError } from '../errors.ts';
import { FrameSealer } from './frame-sealer.ts';
import type { FromWorker, ToWorker } from './seal-messages.ts';
import { FRAME_BYTES, FrameCompressor } from './zstd.ts';

interface Job {
  readonly sealer: FrameSealer;
  /** The last step: messages of one job are dealt with in the order in which they came. */
  last: Promise<void>;
  failed: boolean;
  /** Nothing of it is wanted any more. */
  dropped: boolean;
}

/** What a job's own packing works in; the steps of one job at a time run to their end. */
const piece = Buffer.allocUnsafeSlow(FRAME_BYTES);
const jobs = new Map<number, Job>();
const compressor = new FrameCompressor();

function answer(message: FromWorker): void {
  parentPort?.postMessage(message);
}

function step(id: number, work: (sealer: FrameSealer, job: Job) => void | Promise<void>): void {
  const job = jobs.get(id);
  if (!job) return;
  job.last = job.last.then(async () => {
    if (job.failed) return;
    try {
      await work(job.sealer, job);
    } catch (error) {
      job.failed = true;
      const code = error instanceof CoffreError ? error.code : null;
      const system = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
      answer({ type: 'failed', job: id, code, system, message: error instanceof Error ? error.message : String(error) });
    }
  });
}

/** What was said meanwhile. Steps that it asks for come after the one under way. */
function hearWaiting(): void {
  if (!parentPort) return;
  for (let next = receiveMessageOnPort(parentPort); next; next = receiveMessageOnPort(parentPort)) hear(next.message as ToWorker);
}

parentPort?.on('message', hear);

function hear(message: ToWorker): void {
  const { job: id } = message;
  switch (message.type) {
    case 'begin': {
      const sealer = new FrameSealer(compressor, message.options);
      jobs.set(id, { sealer, last: Promise.resolve(), failed: false, dropped: false });
      return;
    }
    case 'piece': {
      const { buffer, bytes } = message;
      step(id, (sealer) => sealer.add(new Uint8Array(buffer, 0, bytes)));
      // given back whatever became of it: it is counted as being under way until then
      const done = jobs.get(id)?.last ?? Promise.resolve();
      done.then(() => answer({ type: 'taken', job: id, buffer }));
      return;
    }
    case 'pack':
      step(id, async (sealer, job) => {
        const module = (await import(message.module)) as { pack(input: unknown, buffer: Buffer): Generator<Uint8Array, unknown> };
        const packing = module.pack(message.input, piece);
        let next = packing.next();
        for (; !next.done && !job.dropped; next = packing.next()) {
          sealer.add(next.value);
          // whoever wants this job dropped is heard
          hearWaiting();
        }
        if (!next.done) packing.return(null);
        answer({ type: 'packed', job: id, result: next.done ? next.value : null });
      });
      return;
    case 'end':
      step(id, (sealer) => {
        const { stored, facts } = sealer.finish();
        jobs.delete(id);
        answer({ type: 'sealed', job: id, stored: stored?.buffer ?? null, facts });
      });
      return;
    case 'drop': {
      const job = jobs.get(id);
      jobs.delete(id);
      if (!job) {
        answer({ type: 'dropped', job: id });
        return;
      }
      job.dropped = true;
      job.last.then(async () => {
        job.failed = true;
        try {
          job.sealer.drop();
        } catch {
          // the folder goes with the run
        }
        answer({ type: 'dropped', job: id });
      });
      return;
    }
  }
}

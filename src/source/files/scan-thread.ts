// The thread of a scan: walks the tree and sends what it finds, no further ahead than it was given leave to.
import { parentPort, workerData } from 'node:worker_threads';
import { compilePatterns } from '../path-pattern.ts';
import { ScanBatchWriter } from './scan-batch.ts';
import type { ScanOrder } from './scan-in-thread.ts';
import { walkSync } from './walk.ts';

/** So few that the first parts begin at once, so many that a message costs little. */
const ENTRIES_PER_BATCH = 1024;

const { root, rootFound, exclude, oneFileSystem, leave } = workerData as ScanOrder;
const left = new Int32Array(leave);
const writer = new ScanBatchWriter();

function send(): void {
  // negative: that many more were sent than were asked for
  if (Atomics.sub(left, 0, 1) <= 0) while (Atomics.load(left, 0) < 0) Atomics.wait(left, 0, Atomics.load(left, 0));
  parentPort?.postMessage(writer.take());
}

const warn = writer.warn.bind(writer);
for (const step of walkSync(root, rootFound, compilePatterns(exclude), warn, { oneFileSystem })) {
  writer.add(step);
  if (writer.entries >= ENTRIES_PER_BATCH) send();
}
send();
parentPort?.postMessage(null);

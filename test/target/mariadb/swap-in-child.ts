// A restore in a process of its own, which kills itself after the step whose number it is given. Ends with 0 when there is no such step.
import { readFileSync } from 'node:fs';
import { deserialize } from 'node:v8';
import type { Dumped, Where } from '../../source/mariadb/dumped.ts';
import { makeSwap, restoreInto } from './swap-setting.ts';

export interface ChildTask {
  readonly where: Where;
  readonly dumpFile: string;
  readonly tables?: readonly string[];
  readonly keepOld?: boolean;
  /** Only what prepare repairs. */
  readonly repairOnly?: boolean;
  readonly dieAfter: number;
}

const task = JSON.parse(process.argv[2] as string) as ChildTask;
let steps = 0;
const afterStep = async (step: string): Promise<void> => {
  steps += 1;
  if (steps !== task.dieAfter) return;
  process.stdout.write(step);
  process.kill(process.pid, 'SIGKILL');
  // nothing more happens here, however late the signal comes
  await new Promise(() => {});
};
const target = makeSwap(task.where, 'shop', { afterStep, overwrite: task.repairOnly !== true, keepOld: task.keepOld === true });
if (task.repairOnly) {
  await target.prepare({ snapshot: 'none', tables: null }).catch((error: { code?: string }) => {
    if (error.code !== 'E_TARGET_NOT_EMPTY') throw error;
  });
  await target.close();
} else {
  const dumped = deserialize(readFileSync(task.dumpFile)) as Dumped;
  await restoreInto(target, dumped, task.tables ? { tables: task.tables } : {});
}

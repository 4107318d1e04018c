// The processes below one process, as /proc shows them to anybody on the machine.
import { readdirSync, readFileSync } from 'node:fs';

/** `pid` and all that it started, and they did. */
export function* processTree(pid: number, parent = 0): Generator<{ readonly pid: number; readonly parent: number }> {
  yield { pid, parent };
  let tasks: string[] = [];
  try {
    tasks = readdirSync(`/proc/${pid}/task`);
  } catch {
    return; // it ended
  }
  for (const task of tasks) {
    for (const child of readProc(`${pid}/task/${task}/children`).split(' ')) if (child) yield* processTree(Number(child), pid);
  }
}

/** A file below /proc, one character a byte; empty when its process ended. */
export function readProc(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, 'latin1');
  } catch {
    return '';
  }
}

// A test file must leave nothing behind: no child process, no listening server, no open connection.
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll } from 'vitest';
import { systemClock } from '../../src/clock.ts';

/** What keeps a process alive, less the test runner's own pipes and timers. */
const WATCHED = new Set(['TCPServerWrap', 'TCPSocketWrap', 'ProcessWrap', 'Worker', 'UDPWrap', 'FSEventWrap', 'StatWatcher']);

function openHandles(): string[] {
  return process.getActiveResourcesInfo().filter((type) => WATCHED.has(type));
}

/** None of a thread that ended since it was listed. */
function childrenOf(task: string): string[] {
  try {
    return readFileSync(`/proc/self/task/${task}/children`, 'utf8').split(' ').filter(Boolean);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function childProcesses(): string[] {
  const found: string[] = [];
  for (const task of readdirSync('/proc/self/task')) {
    for (const pid of childrenOf(task)) {
      try {
        found.push(`process ${pid}: ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').slice(0, 200)}`);
      } catch {
        // it ended meanwhile
      }
    }
  }
  return found;
}

const before = openHandles().length;

// registered first, so it runs after every afterAll of the file
afterAll(async () => {
  const end = systemClock.monotonicMs() + 15_000;
  for (;;) {
    const handles = openHandles();
    const left = [...childProcesses(), ...(handles.length > before ? handles : [])];
    if (left.length === 0) return;
    if (systemClock.monotonicMs() > end) throw new Error(`left behind by this test file: ${left.join('; ')}`);
    await systemClock.sleep(50);
  }
});

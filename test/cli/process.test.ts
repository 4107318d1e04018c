// How the process of a command ends while one of its threads hangs in the kernel.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { tempDir } from '../temp-dir.ts';

test.each([
  [['errors'], 0],
  [['nonsense'], 2],
])(
  'a thread that never comes back, %j - the process ends with the status of its command, %i',
  async (args, status) => {
    const dir = await tempDir();
    const fifo = join(dir, 'fifo');
    // open(2) of a fifo that nobody writes to: process.exit would wait for the thread
    execFileSync('mkfifo', [fifo]);
    writeFileSync(join(dir, 'stuck.mjs'), `import { openSync } from 'node:fs'; openSync(${JSON.stringify(fifo)}, 'r');`);
    const script = join(dir, 'main.mjs');
    const source = pathToFileURL(join(import.meta.dirname, '../../src/cli/process.ts')).href;
    writeFileSync(
      script,
      `import { Worker } from 'node:worker_threads';
import { runProcess } from ${JSON.stringify(source)};
new Worker(new URL('./stuck.mjs', import.meta.url));
await runProcess(() => ({ adapters: {}, restore: { here: false, become: async () => 0 } }));`,
    );
    const child = spawn(process.execPath, [script, ...args], { stdio: 'ignore', timeout: 30_000, killSignal: 'SIGKILL' });
    expect(await once(child, 'exit')).toEqual([status, null]);
  },
  60_000,
);

// Runs once in vitest's main process: chooses where servers keep their files, and hands out the one S3 store of the run, which is
// started when the first test asks for it.

import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import path from 'node:path';
import type { TestProject } from 'vitest/node';
import { withFlatPackages } from './flat-packages.ts';
import { MEMORY, roomInMemory } from './room-in-memory.ts';
import type { BrokerAnswer } from './s3.ts';
import { type RunningStore, startStore } from './store.ts';

/** What all servers of a run write is far below this. */
const ROOM_BYTES = 8 * 1024 ** 3;

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // workers are forked later and inherit it
  process.env.COFFRE_TEST_RIGS = roomInMemory(process.env.COFFRE_TEST_RIGS || MEMORY, ROOM_BYTES) ?? '';
  // children that tests start with our Node compile their sources once, as bin/coffre does: half of what a start costs
  process.env.NODE_COMPILE_CACHE ||= path.join(import.meta.dirname, '../../node_modules/.cache/coffre-compile');
  process.env.NODE_OPTIONS = await withFlatPackages(process.env.NODE_OPTIONS);
  let starting: Promise<RunningStore> | null = null;
  const broker = createServer((socket) => {
    socket.on('error', () => {});
    starting ??= startStore();
    starting.then(
      ({ stop: _, ...store }) => socket.end(JSON.stringify({ store } satisfies BrokerAnswer)),
      (error) => socket.end(JSON.stringify({ error: `the S3 store of this run did not start: ${error}` } satisfies BrokerAnswer)),
    );
  });
  await new Promise<void>((resolve, reject) => {
    broker.once('error', reject);
    broker.listen(0, '127.0.0.1', resolve);
  });
  project.provide('storeBroker', (broker.address() as AddressInfo).port);
  return async () => {
    broker.close();
    const store = await starting?.catch(() => null);
    await store?.stop();
  };
}

// Runs once in vitest's main process: hands out the one S3 store of the run, which is started when the first test asks for it.

import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import type { TestProject } from 'vitest/node';
import type { BrokerAnswer } from './s3.ts';
import { type RunningStore, startStore } from './store.ts';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
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

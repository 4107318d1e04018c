// The process that owns the demo's servers: they live as long as it does, it lives as long as the demo, or on when told to keep them.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { systemClock } from '../../src/clock.ts';
import { type Mariadb, startMariadb } from '../servers/mariadb.ts';
import { type RunningStore, type Store, startStore } from '../servers/store.ts';

/** What runs. null: it could not be started, and why. */
export interface Servers {
  readonly store: Store | null;
  readonly storeProblem: string | null;
  readonly database: { readonly socketPath: string; readonly rootUser: string; readonly version: string } | null;
  readonly databaseProblem: string | null;
}

export interface Keeper extends Servers {
  readonly pid: number;
  /** Stops the servers and removes their folders and the demo's. */
  stop(): Promise<void>;
  /** Lets everything run on after this process; `kill <pid>` stops it. */
  leave(): void;
}

interface StartOrder {
  /** Value for COFFRE_TEST_S3, null for none at all. */
  readonly store: string | null;
  readonly storeProblem: string | null;
  readonly database: boolean;
  readonly databaseProblem: string | null;
  /** Removed with the servers. */
  readonly folders: readonly string[];
}

/** Starts it with the servers asked for. */
export async function startKeeper(order: StartOrder): Promise<Keeper> {
  const child = fork(import.meta.filename, [], { detached: true, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const answer = await new Promise<Servers>((resolve, reject) => {
    child.once('message', (message) => resolve(message as Servers));
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the servers' keeper ended with ${code}`)));
    child.send(order);
  });
  const pid = child.pid ?? 0;
  return {
    ...answer,
    pid,
    async stop() {
      const ended = once(child, 'exit');
      if (child.connected) child.disconnect();
      else child.kill('SIGTERM');
      await ended;
    },
    leave() {
      child.send('keep', () => {
        child.disconnect();
        child.unref();
      });
    },
  };
}

async function keep(order: StartOrder): Promise<void> {
  let kept = false;
  let stopping = false;
  let store: RunningStore | null = null;
  let database: Mariadb | null = null;
  const stop = async (): Promise<void> => {
    if (stopping) return;
    stopping = true;
    await Promise.allSettled([store?.stop(), database?.stop()]);
    for (const folder of order.folders) rmSync(folder, { recursive: true, force: true });
    process.exit(0);
  };
  process.on('message', (message) => {
    if (message === 'keep') kept = true;
  });
  process.on('disconnect', () => {
    if (!kept) void stop();
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop());

  const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));
  const [storeResult, databaseResult] = await Promise.allSettled([
    order.store === null ? null : startStore({ ...process.env, COFFRE_TEST_S3: order.store }),
    order.database ? startMariadb() : null,
  ]);
  if (storeResult.status === 'fulfilled') store = storeResult.value;
  if (databaseResult.status === 'fulfilled') database = databaseResult.value;
  const servers: Servers = {
    store: store && {
      kind: store.kind,
      endpoint: store.endpoint,
      region: store.region,
      accessKey: store.accessKey,
      secretKey: store.secretKey,
      cephDir: store.cephDir,
    },
    storeProblem: storeResult.status === 'rejected' ? reason(storeResult.reason) : order.storeProblem,
    database: database && {
      socketPath: database.socketPath,
      rootUser: database.rootUser,
      version: (await database.sql('SELECT VERSION()')).trim(),
    },
    databaseProblem: databaseResult.status === 'rejected' ? reason(databaseResult.reason) : order.databaseProblem,
  };
  process.send?.(servers);
  // servers that were left alone must not run for ever on a machine that somebody forgot
  systemClock.after(KEPT_AT_MOST_MS, () => void stop());
}

const KEPT_AT_MOST_MS = 24 * 3600_000;

if (process.argv[1] === import.meta.filename && process.send) {
  process.once('message', (order) => void keep(order as StartOrder));
}

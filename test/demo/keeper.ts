// The process that owns the demo's servers: they live as long as it does, it lives as long as the demo, or on when told to keep them.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { systemClock } from '../../src/clock.ts';
import { type Mariadb, startMariadb } from '../servers/mariadb.ts';
import { type RunningStore, type Store, startStore } from '../servers/store.ts';
import type { Lanes } from './lanes.ts';

/** A server that runs, or why it does not. */
export type Started<T> = { readonly server: T } | { readonly server: null; readonly problem: string };

export interface DatabaseServer {
  readonly socketPath: string;
  readonly rootUser: string;
  readonly version: string;
}

export interface Keeper {
  readonly pid: number;
  /** Each resolves when its server is up, or is known not to come; the store takes some ten seconds. */
  readonly store: Promise<Started<Store>>;
  readonly database: Promise<Started<DatabaseServer>>;
  /** Stops the servers and removes their folders and the demo's. */
  stop(): Promise<void>;
  /** Lets everything run on after this process; `kill <pid>` stops it. */
  leave(): Promise<void>;
}

interface StartOrder {
  readonly lanes: Lanes;
  /** Removed with the servers. */
  readonly folders: readonly string[];
}

type Note = { readonly store: Started<Store> } | { readonly database: Started<DatabaseServer> };

/** Starts it with the servers asked for, and returns at once. */
export function startKeeper(order: StartOrder): Keeper {
  const child = fork(import.meta.filename, [], { detached: true, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const store = Promise.withResolvers<Started<Store>>();
  const database = Promise.withResolvers<Started<DatabaseServer>>();
  child.on('message', (note: Note) => ('store' in note ? store.resolve(note.store) : database.resolve(note.database)));
  const fail = (reason: string): void => {
    for (const waiting of [store, database]) waiting.resolve({ server: null, problem: reason });
  };
  child.once('error', (error) => fail(error.message));
  child.once('exit', (code) => fail(`the servers' keeper ended with ${code}`));
  child.send(order);
  const pid = child.pid ?? 0;
  return {
    pid,
    store: store.promise,
    database: database.promise,
    async stop() {
      const ended = once(child, 'exit');
      if (child.connected) child.disconnect();
      else child.kill('SIGTERM');
      await ended;
    },
    leave() {
      return new Promise((resolve) =>
        child.send('keep', () => {
          child.disconnect();
          child.unref();
          resolve();
        }),
      );
    },
  };
}

function keep(order: StartOrder): void {
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

  const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
  const say = (note: Note): void => void process.send?.(note);
  const { lanes } = order;
  const openStore = async (): Promise<Started<Store>> => {
    if (lanes.store === null) return { server: null, problem: lanes.storeProblem ?? 'none wanted' };
    store = await startStore({ ...process.env, COFFRE_TEST_S3: lanes.store });
    const { kind, endpoint, region, accessKey, secretKey, cephDir } = store;
    return { server: { kind, endpoint, region, accessKey, secretKey, cephDir } };
  };
  const openDatabase = async (): Promise<Started<DatabaseServer>> => {
    if (!lanes.database) return { server: null, problem: lanes.databaseProblem ?? 'none wanted' };
    database = await startMariadb();
    const version = (await database.sql('SELECT VERSION()')).trim();
    return { server: { socketPath: database.socketPath, rootUser: database.rootUser, version } };
  };
  void openStore().then(
    (started) => say({ store: started }),
    (error) => say({ store: { server: null, problem: reason(error) } }),
  );
  void openDatabase().then(
    (started) => say({ database: started }),
    (error) => say({ database: { server: null, problem: reason(error) } }),
  );
  // servers that were left alone must not run for ever on a machine that somebody forgot
  systemClock.after(KEPT_AT_MOST_MS, () => void stop());
}

const KEPT_AT_MOST_MS = 24 * 3600_000;

if (process.argv[1] === import.meta.filename && process.send) {
  process.once('message', (order) => keep(order as StartOrder));
}

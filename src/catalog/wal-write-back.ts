// Writes the log (WAL) back into the database in a thread of its own: a thousand pages and their flush would stop the event loop for as long.
import type { DatabaseSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';

/** As SQLite does by itself: some 4 MB. */
const WRITE_BACK_PAGES = 1000;
/** Where the thread does not keep up, or could not be started: then SQLite does it within a commit. */
const LATEST_PAGES = 8000;
/** Asking how long the log is takes some microseconds. */
const LOOK_EVERY = 10;

export class WalWriteBack {
  readonly #database: DatabaseSync;
  readonly #path: string;
  #commits = 0;
  #running: Promise<void> | null = null;

  /** `path`: of the database, which this connection writes. */
  constructor(database: DatabaseSync, path: string) {
    this.#database = database;
    this.#path = path;
    database.exec(`pragma wal_autocheckpoint = ${LATEST_PAGES}`);
  }

  /** After a commit. Never waits, never throws: what is not written back is in the log. */
  look(): void {
    if (++this.#commits % LOOK_EVERY !== 0 || this.#running !== null || !this.#database.isOpen || this.#database.isTransaction) return;
    if (this.#waiting() < WRITE_BACK_PAGES) return;
    this.#running = this.#writeBack().finally(() => {
      this.#running = null;
    });
  }

  /** Waits for the thread. */
  async close(): Promise<void> {
    await this.#running;
  }

  /** Pages of the log that are not in the database yet. */
  #waiting(): number {
    try {
      const { log, checkpointed } = this.#database.prepare('pragma wal_checkpoint(noop)').get() as { log: number; checkpointed: number };
      return log - checkpointed;
    } catch {
      // another process holds the file for a moment: the next look finds it
      return 0;
    }
  }

  #writeBack(): Promise<void> {
    return new Promise((resolve) => {
      const worker = new Worker(new URL('./write-back-thread.ts', import.meta.url), { name: 'wal', execArgv: [], workerData: this.#path });
      // a damaged file shows in the next query too, which says so
      worker.on('error', () => {});
      worker.on('exit', () => resolve());
    });
  }
}

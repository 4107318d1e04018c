// Brings what was committed onto the disk, in a thread of libuv's: a flush takes as long as the disk is busy, and the event loop waits for none.
import { type FileHandle, open } from 'node:fs/promises';
import { asCoffreError } from '../errors.ts';

/**
 * SQLite itself flushes its log (WAL) with `synchronous = full` before a commit returns, and stands still meanwhile. With `normal` it writes
 * the commit and flushes when it writes the log back into the database alone; the flush of each commit is done here. Whoever waits for it
 * has what `full` promises: the log is written in the order of the commits, so what is flushed is a commit and all those before it.
 */
export class WalFlush {
  readonly #path: string;
  #file: FileHandle | null = null;
  #commits = 0;
  /** So many commits are on the disk. */
  #flushed = 0;
  #running: Promise<void> | null = null;

  /** `path`: of the log. It is not locked by SQLite, so opening it once more lets no lock go, as it would with the database itself. */
  constructor(path: string) {
    this.#path = path;
  }

  /** A commit was written. */
  committed(): void {
    this.#commits++;
  }

  /**
   * Resolves once everything that was committed before this call is on the disk; commits at the same time share a flush. Throws E_STATE,
   * E_STATE_SPACE: nobody knows what is there then.
   */
  async flush(): Promise<void> {
    const wanted = this.#commits;
    while (this.#flushed < wanted) {
      this.#running ??= this.#once().finally(() => {
        this.#running = null;
      });
      await this.#running;
    }
  }

  async #once(): Promise<void> {
    const commits = this.#commits;
    try {
      this.#file ??= await open(this.#path, 'r');
      await this.#file.datasync();
    } catch (error) {
      const isFull = (error as NodeJS.ErrnoException).code === 'ENOSPC';
      throw asCoffreError(error, isFull ? 'E_STATE_SPACE' : 'E_STATE', `cannot flush ${this.#path}`);
    }
    this.#flushed = commits;
  }

  async close(): Promise<void> {
    await this.#running?.catch(() => {});
    await this.#file?.close();
    this.#file = null;
  }
}

// A fixed number of connections to the target database; each is lent to one piece of work at a time.
import type { Session } from './session.ts';

export class SessionPool {
  readonly #open: () => Promise<Session>;
  readonly #idle: Session[] = [];
  readonly #waiting: (() => void)[] = [];
  #free: number;

  /** `open` makes a connection ready for work. Nothing is opened before it is needed. */
  constructor(size: number, open: () => Promise<Session>) {
    this.#free = size;
    this.#open = open;
  }

  /**
   * Runs `work` with a connection of its own, opened anew after one was lost. An abort drops the connection: the server rolls back
   * what was open, and the signal's reason is thrown.
   */
  async use<T>(signal: AbortSignal | undefined, work: (session: Session) => Promise<T>): Promise<T> {
    signal?.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let session: Session | undefined;
    const drop = (): void => session?.destroy();
    try {
      signal?.throwIfAborted();
      session = this.#takeIdle() ?? (await this.#open());
      signal?.addEventListener('abort', drop, { once: true });
      if (signal?.aborted) drop();
      return await work(session);
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', drop);
      if (session && !session.lost) this.#idle.push(session);
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }

  /** Takes over a connection that was opened elsewhere. */
  adopt(session: Session): void {
    this.#idle.push(session);
  }

  async close(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((session) => session.end()));
  }

  #takeIdle(): Session | undefined {
    for (let session = this.#idle.pop(); session; session = this.#idle.pop()) if (!session.lost) return session;
    return undefined;
  }
}

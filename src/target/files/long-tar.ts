// One GNU tar that extracts many archives, one after the other: starting one copies the page tables of a large process, for each of them.
import { type Complaint, startTar, type TarExit, type TarProcess } from '../../host/gnu-tar.ts';
import { END_OF_ARCHIVE } from '../../host/ustar.ts';
import { complaintsOf, extractArguments, type Place } from './place.ts';

export class LongTar {
  readonly #place: Place;
  readonly #tar: TarProcess;
  #exited = false;

  /** `extended`: it sets extended attributes and ACLs, which costs a call for each file. */
  constructor(place: Place, extended: boolean) {
    this.#place = place;
    this.#tar = startTar(place.host, extractArguments(place, extended));
    // Nobody reads it otherwise, and a full pipe would stop tar.
    this.#tar.stdout.resume();
    const exited = (): void => {
      this.#exited = true;
    };
    this.#tar.ended.then(exited, exited);
  }

  /** It said something: `end` tells whether that was a warning. */
  get complained(): boolean {
    return this.#tar.complaints.length > 0;
  }

  /**
   * Gives it whole members. Resolves when it has taken them: they may be overwritten then, and are not all on disk yet. Throws E_TARGET_SPACE,
   * E_TARGET_WRITE, E_TOOL_MISSING when it ended, the signal's reason; it is of no use afterwards.
   */
  async add(members: readonly Uint8Array[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const onAbort = (): void => this.#tar.kill();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await this.#write(members);
      if (signal.aborted || this.#gone()) await this.#failed(signal);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Resolves when all that it got is on disk as it should be. Throws as `add` does. */
  async end(signal: AbortSignal): Promise<void> {
    const onAbort = (): void => this.#tar.kill();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      if (signal.aborted) onAbort();
      if (this.#gone()) await this.#failed(signal);
      this.#tar.stdin.end(END_OF_ARCHIVE);
      const exit = await this.#tar.ended;
      signal.throwIfAborted();
      if (exit.status !== 0) throw this.#error(exit);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** At once; resolves when it writes no more. */
  async kill(): Promise<void> {
    this.#tar.kill();
    await this.#tar.ended.catch(() => {});
  }

  #gone(): boolean {
    return this.#exited || this.#tar.stdin.destroyed;
  }

  async #write(members: readonly Uint8Array[]): Promise<void> {
    const { stdin } = this.#tar;
    let written: Promise<void> = Promise.resolve();
    for (const chunk of members) {
      if (this.#gone()) return;
      // called too when the reader is gone
      written = new Promise((resolve) => stdin.write(chunk, () => resolve()));
      if (stdin.writableNeedDrain) await written;
    }
    await written;
  }

  /** An end before its time is a failure whatever its status. */
  async #failed(signal: AbortSignal): Promise<never> {
    this.#tar.kill();
    const exit = await this.#tar.ended;
    signal.throwIfAborted();
    throw this.#error(exit);
  }

  #error({ status, complaints }: { readonly status: TarExit['status']; readonly complaints: readonly Complaint[] }): Error {
    return complaintsOf(this.#place.directory, status, complaints);
  }
}

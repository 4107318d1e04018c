// Counts what a process does to the world outside it, by name, and kills the process before or after the one that was chosen.
import { writeFileSync } from 'node:fs';

export type Side = 'before' | 'after';

/** Which effect is the last one: its number, from 1, or the first whose name contains `match`. */
export interface Doom {
  readonly number: number | null;
  readonly match: string | null;
  readonly side: Side;
}

export class Effects {
  readonly names: string[] = [];
  readonly #doom: Doom | null;
  readonly #diedFile: string;
  readonly #lastWords: () => unknown;

  /** `diedFile` gets the name of the effect that the process died at, and what `lastWords` says then. */
  constructor(doom: Doom | null, diedFile: string, lastWords: () => unknown = () => null) {
    this.#doom = doom;
    this.#lastWords = lastWords;
    this.#diedFile = diedFile;
  }

  /** To be called when an effect is about to begin; gives its number. */
  begin(name: string): number {
    this.names.push(name);
    const number = this.names.length;
    if (this.#isIt(number, name, 'before')) this.#die(number, name, 'before');
    return number;
  }

  /** To be called when that effect is done, and nothing else has been done about it yet. */
  end(number: number): void {
    const name = this.names[number - 1] as string;
    if (this.#isIt(number, name, 'after')) this.#die(number, name, 'after');
  }

  async around<T>(name: string, work: () => Promise<T>): Promise<T> {
    const number = this.begin(name);
    const result = await work();
    this.end(number);
    return result;
  }

  aroundSync<T>(name: string, work: () => T): T {
    const number = this.begin(name);
    const result = work();
    this.end(number);
    return result;
  }

  #isIt(number: number, name: string, side: Side): boolean {
    if (this.#doom === null || this.#doom.side !== side) return false;
    return this.#doom.number === null ? name.includes(this.#doom.match as string) : this.#doom.number === number;
  }

  #die(number: number, name: string, side: Side): never {
    writeUnseen(this.#diedFile, JSON.stringify({ number, name, side, last: this.#lastWords() }));
    process.kill(process.pid, 'SIGKILL');
    // SIGKILL to oneself is delivered before the call returns to this thread
    throw new Error('still alive');
  }
}

/** The real one, whatever instrument.ts puts in its place. */
const writeUnseen = writeFileSync;

// Cuts what find prints into its records, each ended by a zero byte.

export class NulRecords {
  #rest = '';

  /** The records that end in `chunk`, a text of one character a byte. */
  take(chunk: string): string[] {
    const records = (this.#rest + chunk).split('\0');
    this.#rest = records.pop() as string;
    return records;
  }

  /** Whether the last record lacks its end: more is to come, or the program was cut off. */
  get unfinished(): boolean {
    return this.#rest !== '';
  }
}

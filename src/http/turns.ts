// One after the other of each shop: what looks first and acts upon it, and what takes the daemon seconds to look at.

export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Begins when everything that was to be done for this shop before has ended, however. Throws what `work` throws. */
  async take<T>(shop: string, work: () => Promise<T>): Promise<T> {
    const mine = (this.#last.get(shop) ?? Promise.resolve()).then(work);
    const settled = mine.catch(() => {});
    this.#last.set(shop, settled);
    try {
      return await mine;
    } finally {
      if (this.#last.get(shop) === settled) this.#last.delete(shop);
    }
  }
}

// Memory for stored objects on their way from a vault to the threads that open them: bounded in bytes, used again.

export class StoredRooms {
  readonly #limitBytes: number;
  readonly #stepBytes: number;
  #usedBytes = 0;
  readonly #idle: SharedArrayBuffer[] = [];
  readonly #waiting: { readonly bytes: number; readonly begin: () => void }[] = [];

  /**
   * Sizes are multiples of `stepBytes`, to fit the next object too: fresh memory costs the kernel time, and what was shared with threads is
   * free only when each of them has collected its garbage.
   */
  constructor(limitBytes: number, stepBytes = 4 * 1024 * 1024) {
    this.#limitBytes = limitBytes;
    this.#stepBytes = stepBytes;
  }

  /**
   * A buffer of at least so many bytes, in the order of asking, as soon as all that is out leaves space for it; one larger than the limit
   * comes when nothing else is out. Throws the signal's reason.
   */
  async take(bytes: number, signal: AbortSignal): Promise<SharedArrayBuffer> {
    signal.throwIfAborted();
    const size = Math.max(1, Math.ceil(bytes / this.#stepBytes)) * this.#stepBytes;
    if (this.#waiting.length > 0 || !this.#fits(size)) await this.#wait(size, signal);
    else this.#usedBytes += size;
    const at = this.#idle.findIndex((buffer) => buffer.byteLength === size);
    if (at >= 0) return this.#idle.splice(at, 1)[0] as SharedArrayBuffer;
    // of another size: it makes way, or it would be held beside what replaces it
    while (this.#idle.length > 0 && this.#usedBytes + this.#idleBytes() > this.#limitBytes) this.#idle.shift();
    return new SharedArrayBuffer(size);
  }

  give(buffer: SharedArrayBuffer): void {
    this.#usedBytes -= buffer.byteLength;
    this.#idle.push(buffer);
    this.#wake();
  }

  #wake(): void {
    for (let next = this.#waiting[0]; next && this.#fits(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#usedBytes += next.bytes;
      next.begin();
    }
  }

  #fits(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.#limitBytes;
  }

  #idleBytes(): number {
    return this.#idle.reduce((sum, buffer) => sum + buffer.byteLength, 0);
  }

  #wait(bytes: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const entry = {
        bytes,
        begin: (): void => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(entry), 1);
        this.#wake();
        reject(signal.reason);
      };
      this.#waiting.push(entry);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}

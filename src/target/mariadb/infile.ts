// Answers a LOAD DATA LOCAL with rows, through two buffers that serve again and again.
import { EventEmitter } from 'node:events';

/**
 * What is used of mysql2's connection beside its types. Its own way copies each piece into a new buffer: with those of zstd before it
 * they made the garbage collector take more time than everything else of a restore together.
 */
export interface Wire {
  readonly sequenceId: number;
  _bumpSequenceId(packets: number): void;
  readonly stream: { write(bytes: Uint8Array, written: () => void): unknown };
}

/** Well below any server's max_allowed_packet, which does not concern a file's packets on all of them. */
const PACKET_BYTES = 512 * 1024;
const HEADER_BYTES = 4;

class InfilePacket {
  readonly #whole = Buffer.allocUnsafeSlow(HEADER_BYTES + PACKET_BYTES);
  #end = HEADER_BYTES;
  /** Settles when the socket has taken all of it: not before that its bytes may change. */
  #written: Promise<void> = Promise.resolve();

  get empty(): boolean {
    return this.#end === HEADER_BYTES;
  }

  get full(): boolean {
    return this.#end === this.#whole.length;
  }

  /** Takes what fits; returns how much that was. */
  fill(chunk: Uint8Array, from: number): number {
    const count = Math.min(this.#whole.length - this.#end, chunk.length - from);
    this.#whole.set(chunk.subarray(from, from + count), this.#end);
    this.#end += count;
    return count;
  }

  send(wire: Wire): void {
    this.#whole.writeUIntLE(this.#end - HEADER_BYTES, 0, 3);
    this.#whole[3] = wire.sequenceId;
    wire._bumpSequenceId(1);
    const bytes = this.#whole.subarray(0, this.#end);
    this.#written = new Promise((resolve) => wire.stream.write(bytes, resolve));
  }

  /** Ready to be filled again, unless `lost` came first. */
  async reuse(lost: Promise<void>): Promise<void> {
    await Promise.race([this.#written, lost]);
    this.#end = HEADER_BYTES;
  }
}

/**
 * What stands for a file stream to mysql2: it hears of the end and of an error, the bytes themselves go straight to the socket.
 * Begins to read `rows` at once. `lost` settles when the connection is gone.
 */
export function startInfile(wire: Wire, rows: AsyncIterable<Uint8Array>, lost: Promise<void>): EventEmitter {
  const file = Object.assign(new EventEmitter(), { pause() {}, resume() {} });
  // mysql2 listens only after it was given the file.
  Promise.resolve()
    .then(() => send(wire, rows, lost))
    .then(
      (whole) => whole && file.emit('end'),
      (error: unknown) => file.emit('error', error),
    );
  return file;
}

/** False: the connection was lost before the end, and whoever waits for the answer has heard of it. */
async function send(wire: Wire, rows: AsyncIterable<Uint8Array>, lost: Promise<void>): Promise<boolean> {
  let gone = false;
  void lost.then(() => {
    gone = true;
  });
  let filling = new InfilePacket();
  let other = new InfilePacket();
  for await (const chunk of rows) {
    for (let at = 0; at < chunk.length && !gone; ) {
      at += filling.fill(chunk, at);
      if (!filling.full) continue;
      filling.send(wire);
      [filling, other] = [other, filling];
      await filling.reuse(lost);
    }
    if (gone) return false;
  }
  // Never an empty packet: to the server that is the end of the file.
  if (!filling.empty) filling.send(wire);
  return true;
}

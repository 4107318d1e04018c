// A TCP proxy on loopback that breaks connections on demand: between coffre and a real server, in the test's own process.

import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';
import { systemClock } from '../../src/clock.ts';

export type Direction = 'toServer' | 'toClient';

export type Fault =
  | { readonly mode: 'pass' }
  /**
   * Lets exactly `afterBytes` more through in `direction`, counted over all connections from `set` on, then breaks the connection
   * that carried the last one: `reset` (RST, the default) or `end` (an orderly FIN, a truncated answer). Then goes on as
   * `afterwards` says: `pass` (the default: a retry succeeds) or `reset` (the server stays away).
   */
  | {
      readonly mode: 'cut';
      readonly direction: Direction;
      readonly afterBytes: number;
      readonly how?: 'reset' | 'end';
      readonly afterwards?: 'pass' | 'reset';
    }
  /** Every connection there is and every new one is reset at once: a server that died. */
  | { readonly mode: 'reset' }
  /** Each piece of data is passed on `ms` after it came, in both directions: a long line, not a narrow one. The rate stays what it is. */
  | { readonly mode: 'delay'; readonly ms: number }
  /** Connections are accepted and stay open, and nothing passes: a half-open peer, a hung store. */
  | { readonly mode: 'blackHole' }
  /** At most this many bytes a second, for each connection and direction. */
  | { readonly mode: 'throttle'; readonly bytesPerSecond: number };

/** A delayed connection holds at most about this much in each direction: 40 ms at 1.6 GB/s. */
const LINE_BYTES = 64 * 1024 * 1024;

export interface FaultProxy {
  readonly port: number;
  /** `http://127.0.0.1:<port>`, for S3 clients. */
  readonly endpoint: string;
  /** Takes effect at once, for open connections too. Data held back by `blackHole` flows on after `pass`. */
  set(fault: Fault): void;
  /** Resolves once the `cut` that was set has happened. Rejects when another fault replaces it first. */
  cutDone(): Promise<void>;
  /** Bytes passed on since the start. */
  readonly bytes: Readonly<Record<Direction, number>>;
  /** Connections accepted since the start, and open now. */
  readonly connections: { readonly accepted: number; readonly open: number };
  stop(): Promise<void>;
}

/** Starts it before a server on `targetPort` (loopback) or on a unix socket path. */
export async function startFaultProxy(target: number | string): Promise<FaultProxy> {
  let fault: Fault = { mode: 'pass' };
  let accepted = 0;
  const bytes: Record<Direction, number> = { toServer: 0, toClient: 0 };
  const pairs = new Set<Pair>();
  /** Those of pairs that ended too: what a server that does not read was still to get is never gone by itself. */
  const upstreams = new Set<Socket>();
  /** Bytes that may still pass before the cut. */
  let left = 0;
  let cut = Promise.withResolvers<void>();
  cut.promise.catch(() => {});
  /** Wakes every pump that waits for another fault. */
  let changed = Promise.withResolvers<void>();

  const set = (next: Fault): void => {
    if (fault.mode === 'cut') cut.reject(new Error('the fault was replaced before the cut'));
    fault = next;
    if (next.mode === 'cut') {
      left = next.afterBytes;
      cut = Promise.withResolvers<void>();
      cut.promise.catch(() => {});
    }
    if (next.mode === 'reset') for (const pair of pairs) pair.break('reset');
    changed.resolve();
    changed = Promise.withResolvers<void>();
  };

  /** Passes one piece on, as the fault of the moment says. */
  const pass = async (pair: Pair, direction: Direction, chunk: Buffer, to: Socket): Promise<void> => {
    while (fault.mode === 'blackHole' && pairs.has(pair)) await changed.promise;
    const now = fault;
    let piece = chunk;
    if (now.mode === 'throttle') {
      const step = Math.max(1, Math.floor(now.bytesPerSecond / 20));
      for (; piece.length > step && fault === now && pairs.has(pair); piece = piece.subarray(step)) {
        await write(to, piece.subarray(0, step));
        bytes[direction] += step;
        await Promise.race([systemClock.sleep((step * 1000) / now.bytesPerSecond), changed.promise]);
      }
      if (fault === now) await Promise.race([systemClock.sleep((piece.length * 1000) / now.bytesPerSecond), changed.promise]);
    }
    if (!pairs.has(pair)) return;
    if (now.mode === 'cut' && fault === now && now.direction === direction) {
      if (piece.length >= left) {
        const last = piece.subarray(0, left);
        left = 0;
        // from here on other connections see the fault that follows
        fault = { mode: now.afterwards ?? 'pass' };
        if (last.length > 0) await write(to, last);
        bytes[direction] += last.length;
        pair.break(now.how ?? 'reset');
        cut.resolve();
        if (now.afterwards === 'reset') set({ mode: 'reset' });
        return;
      }
      left -= piece.length;
    }
    await write(to, piece);
    bytes[direction] += piece.length;
  };

  const pump = async (pair: Pair, direction: Direction, from: Socket, to: Socket): Promise<void> => {
    /** What is under way on the line, in order; and its bytes, the line's room being finite. */
    let line: Promise<void> = Promise.resolve();
    let underWay = 0;
    const send = (chunk: Buffer, ms: number): void => {
      const due = systemClock.monotonicMs() + ms;
      underWay += chunk.length;
      line = line.then(async () => {
        const left = due - systemClock.monotonicMs();
        // another fault ends the wait, as it ends every other
        if (left > 0 && fault.mode === 'delay') await Promise.race([systemClock.sleep(left), changed.promise]);
        if (pairs.has(pair)) await pass(pair, direction, chunk, to);
        underWay -= chunk.length;
      });
      line.catch(() => pair.break('reset'));
    };
    try {
      for await (const chunk of from) {
        if (fault.mode === 'delay' && underWay < LINE_BYTES) {
          send(chunk as Buffer, fault.ms);
          continue;
        }
        await line;
        if (fault.mode === 'delay') send(chunk as Buffer, fault.ms);
        else await pass(pair, direction, chunk as Buffer, to);
        if (!pairs.has(pair)) return;
      }
      // its end is as far away as its last byte
      if (fault.mode === 'delay') send(Buffer.alloc(0), fault.ms);
      await line;
      while (fault.mode === 'blackHole' && pairs.has(pair)) await changed.promise;
      to.end();
    } catch {
      pair.break('reset');
    }
  };

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    accepted++;
    if (fault.mode === 'reset') {
      client.on('error', () => {});
      client.resetAndDestroy();
      return;
    }
    const upstream =
      typeof target === 'number'
        ? connect({ port: target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
        : connect({ path: target, allowHalfOpen: true });
    upstreams.add(upstream);
    upstream.once('close', () => upstreams.delete(upstream));
    const pair: Pair = {
      break(how) {
        if (!pairs.delete(pair)) return;
        for (const socket of [client, upstream]) {
          // not after end(): libuv refuses to reset a socket that is shutting down, and Node then never closes its handle
          if (how === 'reset' && socket.remoteFamily !== undefined && !socket.writableEnded) socket.resetAndDestroy();
          else if (how === 'end' && socket === client) socket.end(() => socket.destroy());
          else socket.destroy();
        }
        changed.resolve();
        changed = Promise.withResolvers<void>();
      },
    };
    pairs.add(pair);
    for (const socket of [client, upstream]) socket.on('error', () => pair.break('reset'));
    void Promise.all([pump(pair, 'toServer', client, upstream), pump(pair, 'toClient', upstream, client)]).then(() => {
      if (pairs.has(pair)) {
        pairs.delete(pair);
        client.destroySoon();
        upstream.destroySoon();
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    endpoint: `http://127.0.0.1:${port}`,
    set,
    cutDone: () => cut.promise,
    bytes,
    connections: {
      get accepted() {
        return accepted;
      },
      get open() {
        return pairs.size;
      },
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        set({ mode: 'reset' });
        for (const upstream of upstreams) upstream.destroy();
      }),
  };
}

interface Pair {
  /** Ends both halves; idempotent. */
  break(how: 'reset' | 'end'): void;
}

/** Resolves when the kernel took the bytes: back pressure, and the order of a cut. */
function write(socket: Socket, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => socket.write(chunk, (error) => (error ? reject(error) : resolve())));
}

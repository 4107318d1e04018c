// Sends the body of a request at the pace of limits.bandwidth: on the wire, piece by piece, not by waiting before the whole.
import { Readable } from 'node:stream';
import type { PutObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import type { Bandwidth, HeldBack } from './throttle.ts';

/** `body` as a stream of slices of itself, none of which is copied. Destroying it ends a wait; nothing is thrown. */
function paced(body: Buffer, bandwidth: Bandwidth, held: readonly HeldBack[]): Readable {
  const stop = new AbortController();
  let at = 0;
  return new Readable({
    highWaterMark: bandwidth.pieceBytes,
    read() {
      if (at >= body.length) {
        this.push(null);
        return;
      }
      const piece = body.subarray(at, at + bandwidth.pieceBytes);
      at += piece.length;
      bandwidth.take(piece.length, stop.signal, held).then(
        () => this.push(piece),
        () => {}, // destroyed: whoever did that knows why
      );
    },
    destroy(error, done) {
      stop.abort();
      done(error);
    },
  });
}

/**
 * Makes `command` send its body through `bandwidth`. The body is exchanged on the last step before the wire: signature, length and
 * Content-MD5 are made of the buffer as always. A command may be sent more than once.
 */
export function paceBody(command: PutObjectCommand | UploadPartCommand, bandwidth: Bandwidth, held: readonly HeldBack[]): void {
  // the two stacks have one method of one shape, which the union hides
  const stack = command.middlewareStack as PutObjectCommand['middlewareStack'];
  stack.add(
    (next) => async (args) => {
      const request = args.request as { body?: unknown };
      if (!Buffer.isBuffer(request.body) || request.body.length === 0) return await next(args);
      const stream = paced(request.body, bandwidth, held);
      request.body = stream;
      try {
        return await next(args);
      } finally {
        // an answer that comes before the end is a refusal: the rest need not be sent, nor paid for
        stream.destroy();
      }
    },
    { step: 'deserialize', priority: 'low', name: 'paceBody', override: true },
  );
}

// HTTP agents whose sockets read into one buffer each, again and again.
import type { AgentOptions } from 'node:http';
import type { OnReadOpts, Socket } from 'node:net';
import { HttpAgent, HttpsAgent } from './node-http.ts';

/** What one read may bring: four times what Node reads by itself, so a quarter of the calls. */
const READ_BYTES = 256 * 1024;

/**
 * Node makes 64 KB of fresh memory for each read of a socket, of which its HTTP parser copies the body, and leaves it to the garbage
 * collector: that marked the whole heap for every 64 MB of a download. A parser is done with what it is given when `emit` returns.
 */
function inPlace(): OnReadOpts {
  return {
    buffer: Buffer.allocUnsafeSlow(READ_BYTES),
    callback(this: Socket, bytes: number, buffer: Uint8Array): boolean {
      this.emit('data', (buffer as Buffer).subarray(0, bytes));
      return true;
    },
  };
}

type Connect = InstanceType<typeof HttpAgent>['createConnection'];

export class InPlaceHttpAgent extends HttpAgent {
  override createConnection(...[options, done]: Parameters<Connect>): ReturnType<Connect> {
    return super.createConnection({ ...options, onread: inPlace() } as AgentOptions, done);
  }
}

export class InPlaceHttpsAgent extends HttpsAgent {
  override createConnection(...[options, done]: Parameters<Connect>): ReturnType<Connect> {
    return super.createConnection({ ...options, onread: inPlace() } as AgentOptions, done);
  }
}

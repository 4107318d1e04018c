// Collects young garbage before V8 would: buffers from sockets and ciphers hang on tiny objects, so V8 lets some 64 MB of them pile up and
// then marks its whole heap, again and again: an SSH backup of 300 MB spent a sixth of its processor time on that, a restore too.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What piles up before it is collected. */
const PILE_BYTES = 12 * 1024 * 1024;

/** Call the result with what was allocated in buffers that nobody uses any more. Does nothing where V8 has no such way. */
export function youngGarbage(): (bytes: number) => void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('typeof gc === "function" ? gc : null');
  let piledBytes = 0;
  return (bytes) => {
    piledBytes += bytes;
    if (piledBytes < PILE_BYTES || typeof collect !== 'function') return;
    piledBytes = 0;
    collect({ type: 'minor' });
  };
}

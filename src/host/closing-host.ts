// Things that are read or written on a host take its connection with them when they are closed.
import type { Host } from './host.ts';

/** `opened` itself, whose `close` closes `host` too, after it. */
export function closingHost<T extends { close(): Promise<void> }>(opened: T, host: Host): T {
  const close = opened.close.bind(opened);
  opened.close = async () => {
    try {
      await close();
    } finally {
      await host.close();
    }
  };
  return opened;
}

// How much a host may send over a channel before it hears from us again.
import type { ClientChannel } from 'ssh2';

/**
 * ssh2 grants 2 MiB and renews them when half is used: at 40 ms there and back that is 25 to 50 MB/s, whatever the line carries. What was
 * sent and nobody has read yet is held in memory: at most this much a channel.
 */
const WINDOW_BYTES = 8 * 1024 * 1024;

/** What ssh2 keeps of a channel; not public (its version is pinned): where it is otherwise, its own grants are all there is. */
interface Inner {
  readonly incoming?: { window?: unknown };
  readonly outgoing?: { readonly id?: unknown; readonly state?: unknown };
  readonly _client?: { readonly _protocol?: { channelWindowAdjust?(id: number, bytes: number): void } };
}

/** Grants more once half of it is used, less what lies unread. To be called when something was read. */
export function widenWindow(channel: ClientChannel): void {
  const { incoming, outgoing, _client: client } = channel as unknown as Inner;
  const protocol = client?._protocol;
  if (typeof incoming?.window !== 'number' || typeof outgoing?.id !== 'number' || outgoing.state !== 'open') return;
  if (typeof protocol?.channelWindowAdjust !== 'function') return;
  const room = WINDOW_BYTES - channel.readableLength;
  if (incoming.window > room / 2) return;
  const bytes = room - incoming.window;
  incoming.window += bytes;
  protocol.channelWindowAdjust(outgoing.id, bytes);
}

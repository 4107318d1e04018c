// Which user of this machine is at the other end of a connection to the socket, as the kernel knows it.
import { spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Clock } from '../clock.ts';

export interface Peer {
  readonly uid: number;
  /** null: the account has no name. */
  readonly user: string | null;
}

/**
 * Node has no getsockopt. Perl, which every Debian has, is given the connection as descriptor 3 (not as one of the first three: those a
 * child makes blocking, for us too) and asks for SO_PEERCRED, which says who connected, whoever has the connection since.
 */
const ASK = `
open(my $peer, "<&=", 3) or exit 1;
my (undef, $uid) = unpack("lL", getsockopt($peer, 1, 17) // exit 1);
print $uid, "\\t", getpwuid($uid) // "";
`;
const ANSWER = /^(\d{1,10})\t([A-Za-z0-9_][\w.@\\$-]{0,63})?$/;
const ASK_WITHIN_MS = 2000;

/** Some milliseconds. null: there is no Perl here, or it does not say. Never throws. */
export async function peerOf(socket: Socket, clock: Clock): Promise<Peer | null> {
  const { fd } = (socket as unknown as { readonly _handle?: { readonly fd?: number } | null })._handle ?? {};
  if (fd === undefined || fd < 0) return null;
  // read and handed over in one turn: it cannot have become another connection's meanwhile
  const child = spawn('perl', ['-e', ASK], { stdio: ['ignore', 'pipe', 'ignore', fd], env: { PATH: '/usr/bin:/bin' } });
  const failed = new Promise<never>((_, reject) => child.once('error', reject));
  failed.catch(() => {});
  const timer = clock.after(ASK_WITHIN_MS, () => void child.kill('SIGKILL'), { unref: true });
  try {
    const said = child.stdout === null ? '' : await Promise.race([text(child.stdout), failed]);
    const [, uid, user] = ANSWER.exec(said) ?? [];
    return uid === undefined ? null : { uid: Number(uid), user: user ?? null };
  } catch {
    return null;
  } finally {
    timer.cancel();
  }
}

// Work that writes is done by the owner of the state: what root made, the daemon, which is not root, could not write or delete later.
import { readFileSync, statSync } from 'node:fs';
import { asCoffreError } from '../errors.ts';
import type { Io } from './io.ts';
import { operatorName } from './operator.ts';

const SETPRIV = '/usr/bin/setpriv';
/** Bit of CAP_DAC_READ_SEARCH: the daemon's one capability, with which it reads shops. */
const READ_ANYTHING = 2n;
/** Bits of CAP_SETGID, CAP_SETUID and CAP_SETPCAP: what going on as another user takes, and a container's root may lack. */
const CHANGE_USER = [6n, 7n, 8n];
/** Bit of CAP_WAKE_ALARM, which does no harm. */
const WAKE_ALARM = 35n;

/**
 * Root's command goes on as the user who owns `stateDir`, with the daemon's capability and no other, in this very process: call it before
 * anything is opened for writing. Returns where nothing is to be done: nobody is root, root owns the state, there is none yet, or root may not do this. Throws
 * E_INTERNAL when the system does not let go on so, and what a signal said.
 */
export function becomeStateOwner(stateDir: string, io: Pick<Io, 'signal' | 'env'>): void {
  if (process.geteuid?.() !== 0) return;
  const owner = statSync(stateDir, { throwIfNoEntry: false });
  if (owner === undefined || owner.uid === 0 || ![READ_ANYTHING, ...CHANGE_USER].every(has)) return;
  io.signal.throwIfAborted();
  const [script = '', ...argv] = process.argv.slice(1);
  // This process sees the identities, which the daemon's unit hides from one of the same user with the same capability. The kernel lets nobody
  // into a process that has a capability more than himself, its /proc/PID/root included: so it gets one more.
  const capability = has(WAKE_ALARM) ? '-all,+dac_read_search,+wake_alarm' : '-all,+dac_read_search';
  const as = ['--reuid', String(owner.uid), '--regid', String(owner.gid), isListed(owner.uid) ? '--init-groups' : '--clear-groups'];
  const caps = ['--inh-caps', capability, '--ambient-caps', capability, '--no-new-privs'];
  try {
    process.execve?.(SETPRIV, [SETPRIV, ...as, ...caps, '--', process.execPath, ...process.execArgv, script, ...argv], {
      ...process.env,
      // whoever reads the audit wants the person, not the user that their work is done as
      SUDO_USER: operatorName(io),
    });
  } catch (cause) {
    throw asCoffreError(cause, 'E_INTERNAL', `${SETPRIV}, to work as the owner of ${stateDir}`);
  }
}

/** Whether there is the capability to hand on: a container may lack it. */
function has(capability: bigint): boolean {
  const bits = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return bits !== undefined && (BigInt(`0x${bits}`) & (1n << capability)) !== 0n;
}

/** Whether the system knows the user, and with it the groups that it is in. */
function isListed(uid: number): boolean {
  return readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .some((line) => line.split(':')[2] === String(uid));
}

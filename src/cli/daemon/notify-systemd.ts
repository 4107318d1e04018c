// Tells systemd how the daemon stands (sd_notify(3)): ready, status, reloading, stopping, and that it is alive.
import { spawn } from 'node:child_process';
import { fstatSync, writeSync } from 'node:fs';
import type { Clock, Timer } from '../../clock.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Nothing here throws or waits: that systemd is not told is no reason for a daemon to fail. Without systemd nothing happens. */
export interface SystemdNotifier {
  /** It serves; `status` is the line of `systemctl status`. The watchdog is fed from here on. Also ends `reloading`. */
  ready(status: string): void;
  status(text: string): void;
  /** The configuration is being read anew; `ready` follows whatever comes of it. */
  reloading(): void;
  /** It was told to stop. The watchdog goes on being fed until `close`: a stop that hangs is the unit's time-out's. */
  stopping(status: string): void;
  /** The watchdog is fed no more. Idempotent. */
  close(): void;
}

/** One datagram each: lines of `NAME=value`. */
type Send = (state: readonly string[]) => void;

/** Three times within WatchdogSec=: one that is late is no reason for a restart. */
const FEEDINGS = 3;

/** `env` as systemd made it for this process. */
export function systemdNotifier(env: Environment, clock: Clock): SystemdNotifier {
  const send = senderOf(env);
  if (send === null) return { ready() {}, status() {}, reloading() {}, stopping() {}, close() {} };
  const everyMs = watchdogMs(env);
  let timer: Timer | null = null;
  let closed = false;
  const feed = (): void => {
    if (everyMs === null || closed) return;
    send(['WATCHDOG=1']);
    timer = clock.after(everyMs, feed, { unref: true });
  };
  return {
    ready(status) {
      send(['READY=1', `STATUS=${oneLine(status)}`]);
      if (timer === null) feed();
    },
    status: (text) => send([`STATUS=${oneLine(text)}`]),
    // libuv's hrtime is CLOCK_MONOTONIC, which Type=notify-reload compares with its own reading of it; Clock counts from another start
    reloading: () => send(['RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`, 'STATUS=reading the configuration anew']),
    stopping: (status) => send(['STOPPING=1', `STATUS=${oneLine(status)}`]),
    close() {
      closed = true;
      timer?.cancel();
    },
  };
}

/** null: nobody listens. */
function senderOf(env: Environment): Send | null {
  const fd = connectedSocket(env.COFFRE_NOTIFY_FD);
  if (fd !== null) {
    return (state) => {
      try {
        // by this very process, which is what NotifyAccess=main asks for: a write(2), some microseconds
        writeSync(fd, state.join('\n'));
      } catch {
        // systemd's queue is full, or it is gone: the next one gets through, or the watchdog does what it is there for
      }
    };
  }
  return env.NOTIFY_SOCKET ? throughProgram : null;
}

/**
 * Node has no datagram sockets of the file system. bin/coffre gives us a connected one where there is perl; elsewhere systemd's own program
 * sends, which costs a process each time and needs NotifyAccess=all in the unit.
 */
function throughProgram(state: readonly string[]): void {
  const child = spawn('systemd-notify', state, { stdio: 'ignore' });
  child.on('error', () => {});
  child.unref();
}

/** The descriptor named, if there is a socket behind it: another program may have opened something there meanwhile. */
function connectedSocket(text: string | undefined): number | null {
  if (text === undefined || !/^\d{1,4}$/.test(text)) return null;
  try {
    return fstatSync(Number(text)).isSocket() ? Number(text) : null;
  } catch {
    return null;
  }
}

/** Milliseconds between two feedings; null: the unit has no WatchdogSec=, or it means another process. */
function watchdogMs({ WATCHDOG_USEC: usec, WATCHDOG_PID: pid }: Environment): number | null {
  if (usec === undefined || !/^[1-9]\d*$/.test(usec)) return null;
  if (pid !== undefined && pid !== String(process.pid)) return null;
  return Math.max(1, Math.floor(Number(usec) / 1000 / FEEDINGS));
}

/** A line feed would begin the next assignment. */
const oneLine = (text: string): string => text.replace(/[\r\n]+/g, ' ');

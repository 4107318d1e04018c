// The process that owns a rig's servers: it starts them, and when its parent lets go of it (or dies) it kills them and removes their folder.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';

/** Parent to supervisor. The end of the channel is the order to clean up. */
export interface SpawnOrder {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Standard output and error are appended here. */
  readonly logFile: string;
}

/** Supervisor to parent. */
export type SupervisorNote =
  | { readonly type: 'spawned'; readonly name: string; readonly pid: number }
  | { readonly type: 'failed'; readonly name: string; readonly message: string }
  | { readonly type: 'exited'; readonly name: string; readonly pid: number; readonly how: string };

interface ProcessRow {
  readonly pid: number;
  readonly parent: number;
  /** Start time in clock ticks: a pid with another start time is another process. */
  readonly started: string;
}

function processRow(pid: number): ProcessRow | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // the command name may hold blanks and parentheses: fields are counted from its end
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { pid, parent: Number(fields[1]), started: fields[19] ?? '' };
  } catch {
    return null;
  }
}

/** The processes named and everything below them: an sshd session leaves its process group, so groups do not suffice. */
function processTree(roots: readonly number[]): ProcessRow[] {
  const rows = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => processRow(Number(name)))
    .filter((row) => row !== null);
  const wanted = new Set(roots);
  for (let before = -1; before !== wanted.size; ) {
    before = wanted.size;
    for (const row of rows) if (wanted.has(row.parent)) wanted.add(row.pid);
  }
  return rows.filter((row) => wanted.has(row.pid));
}

function supervise(directory: string): void {
  const children = new Map<string, ChildProcess>();
  const say = (note: SupervisorNote): void => {
    if (process.connected) process.send?.(note);
  };
  process.on('message', (order: SpawnOrder) => {
    const log = openSync(order.logFile, 'a');
    const child = spawn(order.command, order.args, {
      cwd: directory,
      env: { ...process.env, ...order.env },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    child.once('spawn', () => {
      children.set(order.name, child);
      say({ type: 'spawned', name: order.name, pid: child.pid ?? 0 });
    });
    child.once('error', (error) => say({ type: 'failed', name: order.name, message: error.message }));
    child.once('exit', (code, signal) => {
      if (children.get(order.name) === child) children.delete(order.name);
      say({ type: 'exited', name: order.name, pid: child.pid ?? 0, how: signal ?? `status ${code}` });
    });
  });
  process.once('disconnect', () => {
    // SIGKILL at once: everything they wrote is thrown away with the folder
    const roots = [...children.values()].map((child) => child.pid ?? 0).filter((pid) => pid > 0);
    for (const row of processTree(roots)) {
      if (processRow(row.pid)?.started === row.started) process.kill(row.pid, 'SIGKILL');
    }
    const gone = [...children.values()].map((child) => new Promise((resolve) => child.once('exit', resolve)));
    void Promise.all(gone).then(() => {
      rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
      process.exit(0);
    });
  });
  // a terminal's Ctrl-C reaches only the parent's group; a polite kill of the supervisor itself cleans up too
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.disconnect?.());
}

if (process.argv[1] === import.meta.filename && process.argv[2]) supervise(process.argv[2]);

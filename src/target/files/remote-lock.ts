// Two locks on a host, held by flock(1): that one restore works on a directory, and that programs of an earlier one are gone.
import { once } from 'node:events';
import { CoffreError } from '../../errors.ts';
import type { Host, HostProcess } from '../../host/host.ts';
import { checkEnd, connectionLost, failed, runOn } from './remote-program.ts';

/** What a broken connection's programs may take to notice. */
const WAIT_SECONDS = '5';
const TAKEN_STATUS = 75;

/**
 * Held by a program that lives as long as its stdin: when the connection goes, so does the lock. A connection that hangs keeps it, and
 * with it, on the host, perhaps a tar that still writes: nobody may work beside that.
 */
export class RemoteLock {
  readonly #host: Host;
  readonly #holder: HostProcess;
  #released = false;
  #lost = false;

  private constructor(host: Host, holder: HostProcess) {
    this.#host = host;
    this.#holder = holder;
    const gone = (): void => {
      this.#lost = !this.#released;
    };
    holder.ended.then(gone, gone);
  }

  /** `path` is made when it is not there. Throws E_BUSY when another one holds it, E_TARGET_WRITE, E_TOOL_MISSING, E_SSH_…. */
  static async take(host: Host, path: string, directory: string): Promise<RemoteLock> {
    const holder = host.start([...flock('--exclusive'), path, 'cat']);
    const said: string[] = [];
    holder.stderr.setEncoding('latin1').on('data', (text: string) => said.push(text));
    holder.stdin.write('held\n');
    const held = once(holder.stdout, 'data').then(() => true);
    held.catch(() => {});
    const end = await Promise.race([held.then(() => null), holder.ended]);
    if (end === null) return new RemoteLock(host, holder);
    checkEnd(host, 'flock', end);
    if (end.status === TAKEN_STATUS) throw busy(host, directory);
    throw failed(host, 'flock', end.status, said.join('').split('\n'));
  }

  /** Throws E_SSH_LOST when it is not held any more. */
  check(): void {
    if (this.#lost) throw connectionLost(this.#host);
  }

  /** Idempotent, never throws. */
  async release(): Promise<void> {
    this.#released = true;
    this.#holder.stdin.end();
    this.#holder.stdout.resume();
    await this.#holder.ended.catch(() => {});
  }
}

/** A program that holds `path` as long as it runs, beside others that do. */
export function holding(path: string, argv: readonly string[]): readonly string[] {
  return ['flock', '--shared', '--no-fork', path, ...argv];
}

/** Waits until nothing that was started with `holding` runs. Throws E_BUSY when that does not end, and what reaching the host throws. */
export async function waitForHolders(host: Host, path: string, directory: string): Promise<void> {
  const { status } = await runOn(host, [...flock('--exclusive'), path, 'true'], { accept: [0, TAKEN_STATUS] });
  if (status === TAKEN_STATUS) throw busy(host, directory);
}

const flock = (kind: string): string[] => [
  'flock',
  kind,
  '--wait',
  WAIT_SECONDS,
  '--conflict-exit-code',
  String(TAKEN_STATUS),
  '--no-fork',
];

function busy(host: Host, directory: string): CoffreError {
  return new CoffreError('E_BUSY', `${host.name}: another restore into ${directory} is running, or its connection hangs`, {
    hint: 'wait for it; when no other coffre runs, the host itself drops a dead connection after its ClientAliveInterval or TCP timeout',
  });
}

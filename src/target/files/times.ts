// What programs do for what this process holds open: times to the nanosecond, copies with everything, all of it on the disk.
import { text } from 'node:stream/consumers';
import { CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';

/** Time of what this process holds open as `fd`; Node keeps microseconds at best. Throws E_TARGET_WRITE, E_TOOL_MISSING. */
export async function setModified(host: Host, fd: number, mtimeNs: bigint): Promise<void> {
  await run(host, ['touch', '--no-create', '-m', `--date=@${seconds(mtimeNs)}`, `/proc/${process.pid}/fd/${fd}`]);
}

/** Everything written to the file system of what is held as `fd` is on the disk. Throws E_TARGET_WRITE, E_TOOL_MISSING. */
export async function flush(host: Host, fd: number): Promise<void> {
  await run(host, ['sync', '--file-system', `/proc/${process.pid}/fd/${fd}/.`]);
}

/** One file, link or whatever, with owner, mode, times, attributes and ACL. Names of `/proc/self/fd`. Throws E_TARGET_WRITE, E_TARGET_SPACE, E_TOOL_MISSING. */
export async function copyFile(host: Host, from: string, to: string): Promise<void> {
  const here = (name: string): string => name.replace('/proc/self/', `/proc/${process.pid}/`);
  await run(host, ['cp', '--archive', '--no-target-directory', here(from), here(to)]);
}

function seconds(ns: bigint): string {
  const size = ns < 0n ? -ns : ns;
  return `${ns < 0n ? '-' : ''}${size / 1_000_000_000n}.${String(size % 1_000_000_000n).padStart(9, '0')}`;
}

async function run(host: Host, argv: readonly string[]): Promise<void> {
  const { stdin, stdout, stderr, ended } = host.start(argv);
  stdin.end();
  stdout.resume();
  const said = text(stderr);
  said.catch(() => {});
  const { status } = await ended;
  if (status === 0) return;
  const message = (await said).trim();
  const full = /No space left on device|Disk quota exceeded/.test(message);
  throw new CoffreError(full ? 'E_TARGET_SPACE' : 'E_TARGET_WRITE', `${argv[0]} ended with status ${status}: ${message}`);
}

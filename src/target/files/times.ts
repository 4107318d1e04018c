// Sets times of files and directories held open to the nanosecond, through touch: Node keeps microseconds at best.
import { text } from 'node:stream/consumers';
import { CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';

/** Of what this process holds open as `fd`. Throws E_TARGET_WRITE, E_TOOL_MISSING. */
export async function setModified(host: Host, fd: number, mtimeNs: bigint): Promise<void> {
  await run(host, ['touch', '--no-create', '-m', `--date=@${seconds(mtimeNs)}`, `/proc/${process.pid}/fd/${fd}`]);
}

/** Everything written to the file system of what is held as `fd` is on the disk. Throws E_TARGET_WRITE, E_TOOL_MISSING. */
export async function flush(host: Host, fd: number): Promise<void> {
  await run(host, ['sync', '--file-system', `/proc/${process.pid}/fd/${fd}/.`]);
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
  if (status !== 0) throw new CoffreError('E_TARGET_WRITE', `${argv[0]} ended with status ${status}: ${(await said).trim()}`);
}

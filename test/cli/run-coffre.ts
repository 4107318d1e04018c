// Runs the real bin/coffre as a child and gives back what it said.
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';

const COFFRE = resolve(import.meta.dirname, '../../bin/coffre');

export interface Said {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** stdin is closed at once; the environment is a bare one plus `env`. */
export async function coffre(
  args: readonly string[],
  options: { readonly env?: Record<string, string>; readonly cwd?: string } = {},
): Promise<Said> {
  const child = spawn(COFFRE, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH ?? '', TZ: 'UTC', ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const status = new Promise<number | null>((done, failed) => {
    child.once('error', failed);
    child.once('close', done);
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { status: await status, stdout, stderr };
}

/** The one document of a `--json` run. Throws when stdout holds anything else. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into documents of all shapes
export async function coffreJson(args: readonly string[], options?: Parameters<typeof coffre>[1]): Promise<Said & { readonly json: any }> {
  const said = await coffre(['--json', ...args], options);
  return { ...said, json: JSON.parse(said.stdout) };
}

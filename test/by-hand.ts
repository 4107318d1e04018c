// README.md's procedure for restoring without coffre: its shell blocks, taken from its text, and a plain sh that follows them.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

export const README = fileURLToPath(new URL('../README.md', import.meta.url));

type Step = 'fetch' | 'open' | 'signature' | 'check' | 'files' | 'database';

/** The blocks of these steps, in this order. */
export function steps(...names: readonly Step[]): string[] {
  return names.map(step);
}

/** The block below the comment `<!-- by hand: NAME -->`. Throws when there is none. */
export function step(name: Step): string {
  const block = new RegExp(`^<!-- by hand: ${name} -->\n\`\`\`sh\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(readFileSync(README, 'utf8'))?.[1];
  if (block === undefined) throw new Error(`README.md has no block called "by hand: ${name}"`);
  return block;
}

export interface Followed {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs the commands in one `sh`, in `folder`, with the variables that the reader of the page sets. Nothing else of this
 * process's environment goes in but PATH. Never throws for what the commands do.
 */
export async function follow(folder: string, steps: readonly string[], variables: Readonly<Record<string, string>>): Promise<Followed> {
  const child = spawn('sh', ['-c', steps.join('\n')], {
    cwd: folder,
    env: { PATH: process.env.PATH ?? '', HOME: folder, ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { status: await ended, stdout, stderr };
}

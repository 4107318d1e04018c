// Runs the real bin/coffre as a child process, as a sysadmin would.
import { spawn } from 'node:child_process';

const COFFRE = new URL('../../bin/coffre', import.meta.url).pathname;

export interface Answer {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Coffre {
  /** Its text, as people see it. Throws when the exit status is none of `accept` (0 by default). */
  text(args: readonly string[], accept?: readonly number[]): Promise<Answer>;
  /** Its JSON document. */
  // biome-ignore lint/suspicious/noExplicitAny: a command's document, whose parts the demo names
  json(args: readonly string[], accept?: readonly number[]): Promise<any>;
}

/** Commands with this configuration file. `watched`: their progress bars are drawn on our standard error, which is a terminal. */
export function coffreWith(configFile: string, watched: boolean): Coffre {
  const run = (args: readonly string[], accept: readonly number[], stderrTo: 'pipe' | 'inherit'): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const child = spawn(COFFRE, ['--config', configFile, ...args], { stdio: ['ignore', 'pipe', stderrTo] });
      let [stdout, stderr] = ['', ''];
      child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
      child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      child.once('error', reject);
      child.once('close', (code, signal) => {
        const status = code ?? 128;
        if (accept.includes(status)) resolve({ status, stdout, stderr });
        else reject(new Error(`coffre ${args.join(' ')} ended with ${signal ?? status}\n${stdout}${stderr}`));
      });
    });
  return {
    text: (args, accept = [0]) => run(args, accept, watched ? 'inherit' : 'pipe'),
    async json(args, accept = [0]) {
      return JSON.parse((await run(['--json', ...args], accept, 'pipe')).stdout);
    },
  };
}

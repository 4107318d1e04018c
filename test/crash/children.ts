// Children that wait for their job with everything loaded: starting one takes longer than most jobs.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Job, Report } from './child.ts';
import type { Side } from './effects.ts';
import type { Unsynced } from './power-cut.ts';

export type Ended =
  | { readonly died: true; readonly number: number; readonly name: string; readonly side: Side; readonly last: Unsynced }
  | ({ readonly died: false } & Report);

export class Children implements AsyncDisposable {
  #next: ChildProcess | null = null;
  readonly #dir: string;

  /** `dir` is for reports. */
  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Runs one job to its end or its death. `more`: another one will follow. */
  async run(job: Omit<Job, 'reportFile' | 'graves'>, more = true): Promise<Ended> {
    const child = this.#next ?? start();
    this.#next = null;
    const reportFile = join(this.#dir, `report-${child.pid}.json`);
    const gone = once(child, 'exit');
    const graves = join(this.#dir, `graves-${child.pid}`);
    child.send({ ...job, reportFile, graves } satisfies Job);
    if (more) this.#next = start();
    const [status, signal] = (await gone) as [number | null, NodeJS.Signals | null];
    let report: unknown;
    try {
      report = JSON.parse(readFileSync(reportFile, 'utf8'));
    } catch (cause) {
      throw new Error(`crash matrix: a child ended with ${signal ?? status} and without a report`, { cause });
    }
    rmSync(reportFile);
    if (signal === 'SIGKILL') return { died: true, ...(report as { number: number; name: string; side: Side; last: Unsynced }) };
    return { died: false, ...(report as Report) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#next;
    this.#next = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
}

function start(): ChildProcess {
  return fork(join(import.meta.dirname, 'child.ts'), [], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: { ...process.env, NODE_OPTIONS: '', NODE_COMPILE_CACHE: join(import.meta.dirname, '../../node_modules/.cache/coffre-compile') },
  });
}

// The flags that benchmarks share, and how each of them begins and ends.
import { parseArgs } from 'node:util';
import { inSetting, type Setting } from './setting.ts';

export interface BenchOptions {
  readonly json: boolean;
  readonly rounds: number;
  /** 1 is full size. */
  readonly scale: number;
  readonly withPeers: boolean;
  /** Whether this part was asked for: all are, when none was named. */
  wanted(part: string): boolean;
  /** Of the flags that only this benchmark has. */
  given(flag: string): boolean;
}

/** Reads the command line; ends the process on --help, and with status 2 on what it does not understand. `parts`: what --only may name. */
export function readOptions(usage: string, parts: readonly string[], ownFlags: readonly string[] = []): BenchOptions {
  const refuse = (message: string): never => {
    console.error(message ? `${message}\n${usage}` : usage);
    process.exit(message ? 2 : 0);
  };
  const flag = { type: 'boolean' } as const;
  const option = { type: 'string' } as const;
  let values: Readonly<Record<string, string | boolean | undefined>>;
  try {
    values = parseArgs({
      options: {
        ...{ json: flag, rounds: option, scale: option, only: option, 'skip-peers': flag, help: flag },
        ...Object.fromEntries(ownFlags.map((name) => [name, flag])),
      },
    }).values;
  } catch (error) {
    return refuse((error as Error).message);
  }
  if (values.help) refuse('');
  const scale = Number(values.scale ?? 1);
  const rounds = Number(values.rounds ?? 3);
  const only = typeof values.only === 'string' ? values.only.split(',') : parts;
  const unknown = only.find((part) => !parts.includes(part));
  if (!(scale > 0 && scale <= 2)) refuse('--scale is a number above 0, at most 2');
  if (!(Number.isInteger(rounds) && rounds > 0)) refuse('--rounds is a whole number above 0');
  if (unknown !== undefined) refuse(`--only knows no ${unknown}`);
  return {
    json: values.json === true,
    rounds,
    scale,
    withPeers: values['skip-peers'] !== true,
    wanted: (part) => only.includes(part),
    given: (name) => values[name] === true,
  };
}

/** Runs a benchmark, prints its table, and with --json its document on standard output alone. A failure is status 1; a goal is none. */
export async function runBench(
  name: string,
  options: BenchOptions,
  work: (setting: Setting) => Promise<{ readonly text: string; readonly document: object }>,
  storeBytes?: number,
): Promise<void> {
  try {
    const { text, document } = await inSetting(work, storeBytes);
    if (options.json) {
      console.error(text);
      console.log(JSON.stringify(document, null, 2));
    } else console.log(text);
  } catch (error) {
    console.error(`bench ${name}: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}

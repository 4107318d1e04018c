// What `coffre … --help` prints, by the very program that runs, within the test's process: a hundred commands have a help, and a process each.
import { runProgram } from '../../src/cli/program.ts';
import { systemClock } from '../../src/clock.ts';

const nothing = () => Promise.reject(new Error('help opens nothing'));

/** Throws where the command does not end with status 0 and a clean stderr. */
export async function helpOf(path: readonly string[]): Promise<string> {
  const told: string[] = [];
  const complaints: string[] = [];
  const statuses: number[] = [];
  const io = {
    ...{ out: (text: string) => void told.push(text), err: (text: string) => void complaints.push(text) },
    ...{ stdin: process.stdin, stdoutIsTerminal: false, stderr: process.stderr, columns: 80, env: {}, cwd: '/' },
    ...{ signal: new AbortController().signal, onHangup: () => {}, onUser2: () => {} },
    setExitStatus: (value: number) => void statuses.push(value),
  };
  const adapters = {
    ...{
      openVault: nothing,
      prepareVault: nothing,
      openSource: nothing,
      previewShop: nothing,
      findShops: nothing,
      checkHost: nothing,
      tryRestoring: nothing,
      tryDrillDatabase: nothing,
    },
  };
  // as in the restore unit's process, so that `restore` is told of here too
  const here = { openVault: nothing } as never;
  await runProgram([...path, '--help'], '0.0.0', { io, clock: systemClock, adapters, restore: { here: true, adapters: here } });
  if (statuses.join() !== '0' || complaints.length > 0) {
    throw new Error(`coffre ${path.join(' ')} --help: status ${statuses.join()}, ${complaints.join('')}`);
  }
  return told.join('');
}

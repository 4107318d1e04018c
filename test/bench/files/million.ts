// A tree of a million small files, coffre alone: how long it takes to look at it, to store it, and to find that nothing has changed.
import { join } from 'node:path';
import { type Command, coffre, pipeline } from '../measuring/commands.ts';
import { machine, mediansOf, mib } from '../measuring/figures.ts';
import { Meter } from '../measuring/meter.ts';
import { prepareWorld } from '../measuring/prepared-world.ts';
import type { Setting } from '../measuring/setting.ts';
import { measureStep, type StepResult } from '../measuring/steps.ts';
import { createSmallFiles } from './tree.ts';

export const MILLION = 1_000_000;

type StepName = 'find' | 'coffre first' | 'coffre unchanged';

export async function millionFiles(setting: Setting, scale: number): Promise<{ readonly text: string; readonly document: object }> {
  const files = Math.round(MILLION * scale);
  const meter = new Meter(null, setting.store.cephDir, setting.signal);
  console.error(`making ${files} small files`);
  const { root, bytes } = createSmallFiles(join(setting.dir, 'million'), files);
  await using stack = new AsyncDisposableStack();
  const { world, configure } = await prepareWorld(setting, meter, 'world', stack);
  configure({ files: { root } });
  const steps: StepResult<StepName>[] = [];
  const step = (name: StepName, command: Command) => measureStep(meter, steps, name, 0, command);
  // what a scan takes at least: each name, each inode, in one thread; and then they are in memory for the others too
  const find = pipeline('find "$ROOT" -printf "%s %T@ %C@ %i %p\\n" | wc -l', { ROOT: root });
  await meter.run(find);
  await step('find', find);
  const backup = async (name: StepName, ...flags: readonly string[]) => {
    const { stdout } = await step(name, coffre(world, 'backup', world.shop, '--source', 'files', ...flags));
    const [snapshot] = JSON.parse(stdout).snapshots;
    if (snapshot.files !== files) throw new Error(`${name}: ${snapshot.files} files in the snapshot, ${files} in the tree`);
    return snapshot;
  };
  const first = await backup('coffre first', '--full');
  const unchanged = await backup('coffre unchanged');
  if (unchanged.reusedSegments < unchanged.segments) throw new Error('nothing had changed, and not every segment was reused');
  const medians = mediansOf(steps);
  const lines = Object.entries(medians).map(
    ([name, one]) =>
      `${name.padEnd(20)} ${one.seconds.toFixed(1).padStart(7)} s   cpu: client ${one.clientCpuSeconds.toFixed(1)}, store ${one.storeCpuSeconds.toFixed(1)}   ${mib(one.peakBytes)}`,
  );
  lines.push(
    `${files} files, ${(bytes / 1e6).toFixed(0)} MB; stored ${(first.newBytes / 1e6).toFixed(1)} MB, unchanged ${(unchanged.newBytes / 1e6).toFixed(1)} MB`,
  );
  const document = {
    bench: 'files-million',
    machine: machine(),
    files,
    bytes,
    segments: first.segments,
    newBytes: { first: first.newBytes, unchanged: unchanged.newBytes },
    medians,
    peakRssMiB: Math.ceil(Math.max(...steps.filter((one) => one.step !== 'find').map((one) => one.peakBytes)) / 2 ** 20),
    steps,
  };
  return { text: lines.join('\n'), document };
}

// How fast a shop on another machine is backed up over SSH, beside the pipeline that one would write: `npm run bench -- ssh`.
//
// One sshd, one store, one machine: what both ends do, they do on the same two cores. Ours and the pipeline in turn, a different one first
// in each round; medians of the wall time of the whole command. Every step begins when all is idle and the tree is in memory.
//   coffre     backup --full of a shop with `host: { type: ssh }`: encrypted, locked, read back
//   pipeline   ssh HOST tar | zstd -3 -T2 | age | rclone rcat, into the same store
// Each on a line without delay, and through a proxy that holds every piece for 20 ms in each direction and narrows nothing.
// What coffre stored is restored and compared with the source; a difference ends the benchmark with an error.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { startFaultProxy } from '../servers/fault-proxy.ts';
import { makeBucket } from '../servers/s3.ts';
import { type Sshd, startSshd } from '../servers/sshd.ts';
import { compareTrees, readAll } from './files/compare.ts';
import { INTO_STORE } from './files/peers.ts';
import { createTree } from './files/tree.ts';
import { type Command, coffre, pipeline, type Remote, remoteOf } from './measuring/commands.ts';
import { type Median, machine, mb, mediansOf, mib, round } from './measuring/figures.ts';
import { Meter } from './measuring/meter.ts';
import { readOptions, runBench } from './measuring/options.ts';
import { prepareWorld } from './measuring/prepared-world.ts';
import type { Setting } from './measuring/setting.ts';
import { inTurn, measureStep, type StepResult } from './measuring/steps.ts';

/** Each way: a server some two thousand kilometres away. */
const DELAY_MS = 20;
/** Of the tree of the files benchmark: 600 MB, 21,000 files. */
const TREE_SHARE = 0.32;
const ROUND_BYTES = 4e9;
const LINES = ['direct', 'delayed'] as const;
type Line = (typeof LINES)[number];
type StepName = `${'coffre' | 'pipeline'} ${Line}` | `coffre unchanged ${Line}`;
const GOAL = 1.0;

const options = readOptions(
  `usage: npm run bench -- ssh [--json] [--rounds N] [--scale FRACTION] [--only ${LINES.join(',')}] [--skip-peers]
  full size with 3 rounds takes about ten minutes and 15 GB of disk; --scale 0.1 is for trying it out`,
  LINES,
);

interface Document {
  readonly bench: 'ssh';
  readonly ratios: Partial<Record<Line, number>>;
  readonly goals: Readonly<Record<Line, string>>;
  readonly met: Partial<Record<Line, boolean>>;
  readonly medians: Partial<Record<StepName, Median>>;
  readonly peakRssMiB: number;
  readonly delayMs: number;
  readonly scale: number;
  readonly rounds: number;
  readonly tree: { readonly files: number; readonly bytes: number };
  readonly machine: ReturnType<typeof machine>;
  readonly steps: readonly StepResult<StepName>[];
}

/** A way to the server: its port, and a file that knows its key there. */
interface Way {
  readonly port: number;
  readonly knownHostsFile: string;
}

function pipelineOverSsh(sshd: Sshd, way: Way, root: string, recipient: string, remote: Remote): Command {
  return pipeline(
    `ssh -p "$PORT" -i "$KEY" -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile="$KNOWN_HOSTS" -o StrictHostKeyChecking=yes "$LOGIN" "tar -C '$ROOT' -cf - ." | ${INTO_STORE}`,
    {
      PORT: String(way.port),
      KEY: sshd.keyFile,
      KNOWN_HOSTS: way.knownHostsFile,
      LOGIN: `${sshd.user}@${sshd.host}`,
      ROOT: root,
      RECIPIENT: recipient,
      ...remote.env,
    },
  );
}

async function main(setting: Setting): Promise<{ readonly text: string; readonly document: Document }> {
  const { store, signal, stops } = setting;
  const { scale, rounds } = options;
  const sshd = await startSshd();
  stops.push(() => sshd.stop());
  const proxy = await startFaultProxy(sshd.port);
  stops.push(() => proxy.stop());
  proxy.set({ mode: 'delay', ms: DELAY_MS });
  // without its server every client ends, so an interruption does not wait for one
  signal.addEventListener('abort', () => void sshd.stop(), { once: true });
  console.error(`making the tree, scale ${scale}`);
  const tree = createTree(join(setting.dir, 'shop'), TREE_SHARE * scale);
  const files = tree.code.length + tree.images.length;
  console.error(`  ${files} files, ${mb(tree.bytes)}`);
  const peerBucket = await makeBucket(store, { objectLock: false });
  stops.push(() => peerBucket.release());
  const meter = new Meter({ pid: sshd.pid, settle: async () => {} }, store.cephDir, signal);
  const steps: StepResult<StepName>[] = [];

  for (let number = 0; number < rounds; number++) {
    await using stack = new AsyncDisposableStack();
    console.error(`round ${number + 1} of ${rounds}`);
    const { world, dir, recipient, secret, configure } = await prepareWorld(setting, meter, `round-${number}`, stack);
    const config = secret('rclone.conf', '');
    const ways: Record<Line, Way> = {
      direct: { port: sshd.port, knownHostsFile: sshd.knownHostsFile },
      delayed: { port: proxy.port, knownHostsFile: secret('known_hosts', sshd.knownHostsFor(proxy.port)) },
    };
    for (const line of LINES.filter((one) => options.wanted(one))) {
      const way = ways[line];
      configure({ host: sshd.hostLines(way), files: { root: tree.root } });
      await meter.run(readAll(tree.root));
      await inTurn(number, [
        async () => {
          const command = coffre(world, 'backup', world.shop, '--source', 'files', '--full');
          const { stdout } = await measureStep(meter, steps, `coffre ${line}`, number, command);
          const [snapshot] = JSON.parse(stdout).snapshots;
          if (snapshot.reusedSegments > 0) throw new Error('coffre backup --full reused segments: that was no first backup');
          if (snapshot.files !== files) throw new Error(`${snapshot.files} files in the snapshot, ${files} in the tree`);
        },
        ...(options.withPeers
          ? [
              async () => {
                const remote = remoteOf(peerBucket, `${line}-${number}.tar.zst.age`, config);
                await measureStep(meter, steps, `pipeline ${line}`, number, pipelineOverSsh(sshd, way, tree.root, recipient, remote));
              },
            ]
          : []),
      ]);
      await measureStep(meter, steps, `coffre unchanged ${line}`, number, coffre(world, 'backup', world.shop, '--source', 'files'));
      if (number > 0) continue;
      const back = join(dir, `back-${line}`);
      mkdirSync(back);
      await meter.run(coffre(world, 'restore', world.shop, '--source', 'files', '--to-dir', back));
      await meter.run(compareTrees(tree.root, back, 'exact'));
      rmSync(back, { recursive: true });
    }
  }

  const medians = mediansOf(steps);
  const ratios: Partial<Record<Line, number>> = {};
  const met: Partial<Record<Line, boolean>> = {};
  for (const line of LINES) {
    const [ours, peer] = [medians[`coffre ${line}`], medians[`pipeline ${line}`]];
    if (!ours || !peer) continue;
    const ratio = round(ours.seconds / peer.seconds, 3);
    ratios[line] = ratio;
    met[line] = ratio <= GOAL;
  }
  const ours = steps.filter((one) => one.step.startsWith('coffre '));
  const document: Document = {
    bench: 'ssh',
    ratios,
    goals: { direct: `<= ${GOAL}`, delayed: `<= ${GOAL}` },
    met,
    medians,
    peakRssMiB: Math.ceil(Math.max(0, ...ours.map((one) => one.peakBytes)) / 2 ** 20),
    delayMs: DELAY_MS,
    scale,
    rounds,
    tree: { files, bytes: tree.bytes },
    machine: machine(),
    steps,
  };
  return { text: tableOf(document), document };
}

function tableOf({ tree, scale, rounds, medians, ratios, met, peakRssMiB }: Document): string {
  const lines = [
    '',
    `${tree.files} files, ${mb(tree.bytes)}; scale ${scale}, median of ${rounds}; delayed: ${DELAY_MS} ms each way`,
    `${'step'.padEnd(28)}${'seconds'.padStart(9)}${'client'.padStart(9)}${'sshd'.padStart(9)}${'store'.padStart(9)}  cpu s${'memory'.padStart(12)}`,
  ];
  for (const [step, one] of Object.entries(medians)) {
    const figures = [one.seconds, one.clientCpuSeconds, one.serverCpuSeconds, one.storeCpuSeconds];
    lines.push(
      `${step.padEnd(28)}${figures.map((value) => value.toFixed(1).padStart(9)).join('')}       ${mib(one.peakBytes).padStart(12)}`,
    );
  }
  lines.push('');
  for (const line of LINES) {
    const ratio = ratios[line];
    if (ratio !== undefined)
      lines.push(
        `coffre / pipeline, ${line.padEnd(8)} ${ratio.toFixed(2)}   goal <= ${GOAL.toFixed(1)}   ${met[line] ? 'met' : 'NOT MET'}`,
      );
  }
  lines.push(`peakRssMiB ${peakRssMiB}`);
  return lines.join('\n');
}

await runBench('ssh', options, main, 20e9 + options.rounds * ROUND_BYTES * options.scale);

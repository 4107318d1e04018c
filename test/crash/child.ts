// Child process: runs one command of coffre with all its ports wrapped, counts its effects, or dies at one of them.
import { writeFileSync } from 'node:fs';
import { type Doom, Effects } from './effects.ts';
import { instrumentCatalog, instrumentedVault, instrumentFiles, instrumentRequests } from './instrument.ts';
import { UnsyncedFiles } from './power-cut.ts';

export interface Job {
  readonly argv: readonly string[];
  readonly shiftMs: number;
  /** Files below it are watched. */
  readonly root: string;
  /** null: the effects are only counted. */
  readonly doom: Doom | null;
  /** Folder for what is removed: a power cut may bring it back. */
  readonly graves: string;
  /** Gets where the process died, or the report of one that did not. */
  readonly reportFile: string;
}

/** Of a process that came to its end. */
export interface Report {
  readonly names: readonly string[];
  readonly status: number;
  readonly json: unknown;
  readonly stderr: string;
}

const writeUnseen = writeFileSync;
// all that the commands load is there before the job comes: the parent starts a child ahead
const { runHere, shiftedClock } = await import('./composition.ts');
await Promise.all([
  import('../../src/cli/backup.ts'),
  import('../../src/cli/backup-alone.ts'),
  import('../../src/cli/daemon/runs.ts'),
  import('../../src/cli/prune.ts'),
  import('../../src/cli/catch-up.ts'),
  import('../../src/cli/shop-life.ts'),
]);
process.once('message', (job: Job) => {
  process.disconnect();
  run(job).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(70);
  });
});
process.send?.('ready');

async function run({ argv, shiftMs, root, doom, graves, reportFile }: Job): Promise<void> {
  const unsynced = new UnsyncedFiles(graves);
  const effects = new Effects(doom, reportFile, () => unsynced.left());
  instrumentCatalog(effects);
  instrumentRequests(effects);
  await instrumentFiles(effects, root, unsynced);
  const { status, json, stderr } = await runHere(argv, shiftedClock(shiftMs), (vault) => instrumentedVault(vault, effects));
  const report: Report = { names: effects.names, status, json, stderr };
  writeUnseen(reportFile, JSON.stringify(report));
  process.exit(0);
}

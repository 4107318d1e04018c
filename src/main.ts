// The composition root of `coffre`: the only file, with restore-main.ts, that names adapters.
import { readFileSync } from 'node:fs';
import type { Adapters } from './cli/adapters.ts';
import { processIo } from './cli/io.ts';
import { printError } from './cli/output.ts';
import { runProgram } from './cli/program.ts';
import { systemClock } from './clock.ts';
import { asCoffreError, CoffreError } from './errors.ts';

const missing = (what: string): never => {
  throw new CoffreError('E_INTERNAL', `${what} is not part of this build`);
};

// Adapters are loaded when first opened: `coffre errors` must not wait for an S3 SDK.
const adapters: Adapters = {
  async openVault(vault) {
    return missing(`a vault of type ${vault.type}`);
  },
  async openSource(_shop, kind) {
    return missing(`the source ${kind}`);
  },
  async openFilesTarget() {
    return missing('restoring files');
  },
  async openDatabaseTarget() {
    return missing('restoring a database');
  },
};

const io = processIo();
const argv = process.argv.slice(2);
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    printError(io, argv.includes('--json'), asCoffreError(error));
    process.exit(1);
  });
}

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
await runProgram(argv, version, { adapters, clock: systemClock, io });
// Nothing is left to do: a socket that some library keeps open must not hold the terminal.
systemClock.after(2000, () => process.exit(), { unref: true });

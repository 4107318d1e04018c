// The command line as a whole: global options, one line for each command, and how a failure becomes an exit status.
import { Command, CommanderError, Option } from 'commander';
import { asCoffreError, CoffreError } from '../errors.ts';
import { registerBackup } from './backup.ts';
import { registerBilling } from './billing.ts';
import type { CliContext } from './context.ts';
import { registerDaemon } from './daemon.ts';
import { registerDoctor } from './doctor.ts';
import { registerErrors } from './errors.ts';
import { registerInit } from './init.ts';
import { registerKeys } from './keys.ts';
import { LOG_LEVELS } from './log.ts';
import { printError } from './output.ts';
import { registerPrune } from './prune.ts';
import { registerRestore } from './restore.ts';
import { registerShow, registerSnapshots } from './snapshots.ts';
import { registerStatus } from './status.ts';
import { registerVault } from './vault.ts';
import { registerVerify } from './verify.ts';

/** All commands, in the order of --help. Adding a command is one line here. */
function registerCommands(program: Command, context: CliContext): void {
  registerInit(program, context);
  registerDoctor(program, context);
  registerBackup(program, context);
  registerSnapshots(program, context);
  registerShow(program, context);
  registerRestore(program, context);
  registerVerify(program, context);
  registerPrune(program, context);
  registerStatus(program, context);
  registerBilling(program, context);
  registerVault(program, context);
  registerKeys(program, context);
  registerDaemon(program, context);
  registerErrors(program, context);
}

/** Runs one command line (without node and script) to its end. Never throws: sets the exit status instead. */
export async function runProgram(argv: readonly string[], version: string, context: CliContext): Promise<void> {
  const { io } = context;
  // Known before parsing, because a command line that does not parse must still answer in JSON.
  const json = argv.slice(0, argv.includes('--') ? argv.indexOf('--') : argv.length).includes('--json');
  let help = '';
  const program = new Command('coffre')
    .description('Backups for PrestaShop hosts: locked, metered, proven to come back.')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => {
        help += text;
      },
      writeErr: (text) => {
        if (!json) io.err(text);
      },
      outputError: () => {},
    })
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .option('-c, --config <file>', 'configuration file (else $COFFRE_CONFIG, else /etc/coffre/coffre.yaml)')
    .option('--json', 'print exactly one JSON document on stdout')
    .addOption(new Option('--log-level <level>', 'what is logged on stderr').choices([...LOG_LEVELS]).env('COFFRE_LOG'))
    .addHelpText('after', '\nExample:\n  coffre doctor\n  coffre backup dupont\n  coffre --json status dupont\n');
  registerCommands(program, context);
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) {
      const what = error.code === 'commander.version' ? 'version' : 'help';
      io.out(json ? `${JSON.stringify({ [what]: help.trimEnd() }, null, 2)}\n` : help);
      io.setExitStatus(0);
      return;
    }
    printError(io, json, error instanceof CommanderError ? usageError(error) : asCoffreError(error));
  }
}

/** Commander says `error: …` and, on a second line, `(Did you mean …?)`. */
function usageError(error: CommanderError): CoffreError {
  if (error.code === 'commander.help') return new CoffreError('E_USAGE', 'a command is missing', { hint: 'coffre --help lists them' });
  const [message = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const suggestion = rest.join(' ').replace(/[()]/g, '').trim();
  return new CoffreError('E_USAGE', message, suggestion ? { hint: suggestion } : {});
}

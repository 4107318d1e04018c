// The command line as a whole: global options, one line for each command, and how a failure becomes an exit status.
import { Command, CommanderError, Option } from 'commander';
import { asCoffreError, CoffreError } from '../errors.ts';
import { LOG_LEVELS } from '../events.ts';
import type { CliContext } from './context.ts';
import { printError } from './output.ts';

type Register = (program: Command, context: CliContext) => void;

/** All commands, in the order of --help. Adding a command is one line here. */
const COMMANDS: Readonly<Record<string, () => Promise<Register>>> = {
  init: async () => (await import('./init/init.ts')).registerInit,
  doctor: async () => (await import('./doctor/doctor.ts')).registerDoctor,
  backup: async () => (await import('./backup.ts')).registerBackup,
  snapshots: async () => (await import('./snapshots.ts')).registerSnapshots,
  show: async () => (await import('./snapshots.ts')).registerShow,
  restore: async () => (await import('./restore/restore.ts')).registerRestore,
  request: async () => (await import('./request/request.ts')).registerRequest,
  verify: async () => (await import('./verify.ts')).registerVerify,
  drill: async () => (await import('./drill.ts')).registerDrill,
  'catch-up': async () => (await import('./catch-up.ts')).registerCatchUp,
  prune: async () => (await import('./prune.ts')).registerPrune,
  reconcile: async () => (await import('./reconcile.ts')).registerReconcile,
  run: async () => (await import('./run.ts')).registerRun,
  incident: async () => (await import('./incident.ts')).registerIncident,
  breach: async () => (await import('./breach.ts')).registerBreach,
  shop: async () => (await import('./shop-life.ts')).registerShop,
  hold: async () => (await import('./hold.ts')).registerHold,
  export: async () => (await import('./export.ts')).registerExport,
  report: async () => (await import('./report.ts')).registerReport,
  estimate: async () => (await import('./restore/estimate.ts')).registerEstimate,
  status: async () => (await import('./status.ts')).registerStatus,
  billing: async () => (await import('./billing/billing.ts')).registerBilling,
  token: async () => (await import('./token.ts')).registerToken,
  vault: async () => (await import('./vault.ts')).registerVault,
  catalog: async () => (await import('./catalog.ts')).registerCatalog,
  keys: async () => (await import('./keys.ts')).registerKeys,
  daemon: async () => (await import('./daemon/daemon.ts')).registerDaemon,
  reload: async () => (await import('./reload.ts')).registerReload,
  'restore-unit': async () => (await import('./restore-unit/restore-unit.ts')).registerRestoreUnit,
  'log-level': async () => (await import('./log-level.ts')).registerLogLevel,
  notify: async () => (await import('./notify.ts')).registerNotify,
  errors: async () => (await import('./errors.ts')).registerErrors,
  events: async () => (await import('./events.ts')).registerEvents,
  completion: async () => (await import('./completion/completion.ts')).registerCompletion,
  'completion-words': async () => (await import('./completion/completion.ts')).registerCompletionWords,
};

/** What tells of all the others. */
const OF_ALL = ['help', 'completion'];

/**
 * Loads the commands that the command line may mean, all of them for what tells of them and for what is none: S3, age and SQL together take
 * longer to load than most commands take to run.
 */
async function registerCommands(program: Command, context: CliContext, argv: readonly string[]): Promise<void> {
  const named = Object.keys(COMMANDS).filter((name) => argv.includes(name));
  // the unit reads the same command line: what it loads need not be loaded here first
  if (named.join() === 'restore' && !argv.includes('help') && !context.restore.here) context.restore.become();
  const wanted = named.length === 0 || OF_ALL.some((name) => argv.includes(name)) ? Object.keys(COMMANDS) : named;
  for (const name of wanted) {
    const register = await COMMANDS[name]?.();
    register?.(program, context);
  }
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
    .option('--alone', 'work in this process even beside a daemon; a shop that the daemon is busy with is refused')
    .addOption(new Option('--url <url>', 'use the daemon of another machine, https://…, with a token').env('COFFRE_URL'))
    .addOption(new Option('--token-file <file>', 'file with the token for --url (else it is in $COFFRE_TOKEN)').env('COFFRE_TOKEN_FILE'))
    .addHelpText('after', '\nExample:\n  coffre doctor\n  coffre backup dupont\n  coffre --json status dupont\n');
  try {
    await registerCommands(program, context, argv);
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) {
      const what = error.code === 'commander.version' ? 'version' : 'help';
      io.out(json ? `${JSON.stringify({ [what]: help.trimEnd() }, null, 2)}\n` : help);
      io.setExitStatus(0);
      return;
    }
    printError(
      io,
      json,
      error instanceof CommanderError ? (unknownBesideDefault(program, argv, error) ?? usageError(error)) : asCoffreError(error),
    );
  }
}

/** `coffre keys init` is no `coffre keys show` with an argument too many: that command was not named; null: it is something else. */
function unknownBesideDefault(program: Command, argv: readonly string[], { code }: CommanderError): CoffreError | null {
  if (code !== 'commander.excessArguments') return null;
  for (const parent of program.commands) {
    const meant = parent.commands.find((one) => one.args.length > 0 && one.registeredArguments.length === 0 && !argv.includes(one.name()));
    if (!argv.includes(parent.name()) || meant === undefined) continue;
    const known = parent.commands.map((one) => one.name()).join(', ');
    return new CoffreError('E_USAGE', `unknown command ${JSON.stringify(meant.args[0])} of coffre ${parent.name()}`, {
      hint: `coffre ${parent.name()} has ${known}`,
    });
  }
  return null;
}

/** Commander says `error: …` and, on a second line, `(Did you mean …?)`. */
function usageError(error: CommanderError): CoffreError {
  if (error.code === 'commander.help') return new CoffreError('E_USAGE', 'a command is missing', { hint: 'coffre --help lists them' });
  const [message = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const suggestion = rest.join(' ').replace(/[()]/g, '').trim();
  return new CoffreError('E_USAGE', message, suggestion ? { hint: suggestion } : {});
}

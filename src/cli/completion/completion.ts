// `coffre completion`: scripts that teach a shell coffre's commands, and the hidden command that they ask for names.
import { Argument, type Command } from 'commander';
import { declaredNames } from '../../config/names.ts';
import { action, type CliContext } from '../context.ts';
import { bashCompletion } from './bash.ts';
import { type CommandNode, commandTree } from './command-tree.ts';
import { fishCompletion } from './fish.ts';
import { zshCompletion } from './zsh.ts';

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } satisfies Record<
  string,
  (program: CommandNode) => string
>;
type Shell = keyof typeof SHELLS;

/** Takes for granted that all other commands were registered too: program.ts sees to it. */
export function registerCompletion(program: Command, context: CliContext): void {
  program
    .command('completion')
    .description('print a script that completes commands, options, files, shops and vaults; with --json all commands as data too')
    .addArgument(new Argument('<shell>', 'who reads it').choices(Object.keys(SHELLS)))
    .addHelpText(
      'after',
      '\nExample:\n  coffre completion bash > /etc/bash_completion.d/coffre\n' +
        '  coffre completion zsh > /usr/local/share/zsh/site-functions/_coffre\n' +
        '  coffre completion fish > ~/.config/fish/completions/coffre.fish\n',
    )
    .action(
      action(context, async (_invocation, shell: Shell) => {
        const tree = commandTree(program);
        const script = SHELLS[shell](tree);
        return { document: { shell, script, program: tree }, text: script };
      }),
    );
}

/** What the scripts call at each press of the Tab key: names alone, of a configuration that need not be right otherwise. */
export function registerCompletionWords(program: Command, context: CliContext): void {
  program
    .command('completion-words', { hidden: true })
    .addArgument(new Argument('<kind>', 'names of what').choices(['shops', 'vaults']))
    .action(
      action(context, async ({ configFile }, kind: 'shops' | 'vaults') => {
        const names = declaredNames(configFile, kind);
        return { document: { names }, text: names.join('\n') };
      }),
    );
}

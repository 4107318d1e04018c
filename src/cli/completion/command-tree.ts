// The command line as plain data: what shells complete and what the man page is made of, read from the very commands that run.
import type { EventEmitter } from 'node:events';
import type { Argument, Command, Option } from 'commander';

/** What a word of the command line may be. */
export type Words =
  | { readonly kind: 'choices'; readonly choices: readonly string[] }
  | { readonly kind: 'files' | 'directories' | 'shops' | 'vaults' | 'any' };

export interface ArgumentNode {
  readonly name: string;
  readonly required: boolean;
  readonly variadic: boolean;
  readonly description: string;
  readonly words: Words;
}

export interface OptionNode {
  /** `-c`; null: none. */
  readonly short: string | null;
  /** `--config`. */
  readonly long: string;
  /** null: it takes none. */
  readonly value: { readonly name: string; readonly required: boolean; readonly variadic: boolean; readonly words: Words } | null;
  readonly description: string;
  /** As help shows it; null: none, or false. */
  readonly default: string | null;
  /** The environment variable that stands for it; null: none. */
  readonly env: string | null;
}

export interface CommandNode {
  readonly name: string;
  readonly description: string;
  readonly arguments: readonly ArgumentNode[];
  readonly options: readonly OptionNode[];
  readonly commands: readonly CommandNode[];
  /** What --help says after the options: examples. May be empty. */
  readonly after: string;
}

/** A command with all that stands below it, without what is hidden. `--help` and `--version` are options like any other. */
export function commandTree(command: Command, group = ''): CommandNode {
  const help = command.createHelp();
  const name = command.name();
  return {
    name,
    description: command.description(),
    arguments: command.registeredArguments.map((argument) => argumentNode(argument, group)),
    options: help.visibleOptions(command).map((option) => optionNode(option)),
    // the implied `help` does what --help does
    commands: help
      .visibleCommands(command)
      .filter((sub) => sub.name() !== 'help')
      .map((sub) => commandTree(sub, command.parent === null ? '' : name)),
    after: afterHelp(command),
  };
}

function argumentNode(argument: Argument, group: string): ArgumentNode {
  const name = argument.name();
  return {
    name,
    required: argument.required,
    variadic: argument.variadic,
    description: argument.description,
    // `vault prepare <name>` is about a vault
    words: argument.argChoices ? { kind: 'choices', choices: argument.argChoices } : wordsOf(name === 'name' ? group : name),
  };
}

/** Help's own option is not in the list of a command's options, and has no long name that could miss. */
function optionNode(option: Option): OptionNode {
  const long = option.long ?? option.flags;
  const name = /[<[]([^\]>.]+)/.exec(option.flags)?.[1];
  const words: Words = option.argChoices
    ? { kind: 'choices', choices: option.argChoices }
    : wordsOf(name === 'name' ? long.replace(/^--/, '') : (name ?? ''));
  return {
    short: option.short ?? null,
    long,
    value: name === undefined ? null : { name, required: option.required, variadic: option.variadic, words },
    description: option.description,
    default:
      option.defaultValue === undefined || option.defaultValue === false
        ? null
        : (option.defaultValueDescription ?? String(option.defaultValue)),
    env: option.envVar ?? null,
  };
}

/** Arguments and values are called by what they are: that is what can be offered for them. */
function wordsOf(name: string): Words {
  switch (name) {
    case 'file':
    case 'path':
      return { kind: 'files' };
    case 'dir':
      return { kind: 'directories' };
    case 'shop':
      return { kind: 'shops' };
    case 'vault':
      return { kind: 'vaults' };
    default:
      return { kind: 'any' };
  }
}

/** What addHelpText gave it; commander keeps it as listeners, and hands it out in this way alone. */
function afterHelp(command: Command): string {
  let text = '';
  const listeners = command as unknown as EventEmitter;
  listeners.emit('afterHelp', {
    error: false,
    command,
    write: (more: string) => {
      text += more;
    },
  });
  return text.trim();
}

/** A description that fits beside a word: up to the first semicolon, colon or bracket, and no longer than `limit` characters. */
export function summary(description: string, limit = 76): string {
  const [first = ''] = description.split(/[;:(]|\. /, 1);
  const short = first.trim();
  if (short.length <= limit) return short;
  return `${short.slice(0, short.lastIndexOf(' ', limit - 2))} …`;
}

/** Every command from the top down with its path (`[]`, `['shop', 'suspend']`). */
export function everyCommand(
  node: CommandNode,
  path: readonly string[] = [],
): { readonly path: readonly string[]; readonly node: CommandNode }[] {
  return [{ path, node }, ...node.commands.flatMap((sub) => everyCommand(sub, [...path, sub.name]))];
}

// Completion for zsh: one function for each command of the command tree, all of them calls of _arguments.
import { type CommandNode, everyCommand, type OptionNode, summary, type Words } from './command-tree.ts';

/** The text of the script, for a folder of $fpath or for `source`. It asks coffre itself for names of shops and vaults. */
export function zshCompletion(program: CommandNode): string {
  const functions = everyCommand(program).map(({ path, node }) => commandFunction(program, path, node));
  return `#compdef coffre
# zsh completion for coffre, made by: coffre completion zsh

_coffre_words() {
  local -a config=() found
  local at=\${_coffre_line[(I)--config]}
  (( at )) || at=\${_coffre_line[(I)-c]}
  (( at )) && config=(--config \${~_coffre_line[at+1]})
  found=(\${(f)"$(_call_program coffre-words \${(q)\${~_coffre_line[1]}} \${(q)config} completion-words $1 2>/dev/null)"})
  shift
  compadd "$@" -a found
}
_coffre_shops() { _coffre_words shops "$@" }
_coffre_vaults() { _coffre_words vaults "$@" }

${functions.join('\n\n')}

# the whole line: what _arguments hands to a subcommand begins with that one
_coffre_from_start() {
  local -a _coffre_line=("\${words[@]}")
  _coffre_top "$@"
}

# autoloaded, this file is the body of _coffre; sourced, it defines it
if [[ \${funcstack[1]} == _coffre ]]; then
  _coffre_from_start "$@"
else
  _coffre() { _coffre_from_start "$@" }
  compdef _coffre coffre
fi
`;
}

const functionName = (path: readonly string[]): string => `_coffre_${path.length === 0 ? 'top' : path.join('__').replaceAll('-', '_')}`;

function commandFunction(program: CommandNode, path: readonly string[], node: CommandNode): string {
  const own = new Set(node.options.map((option) => option.long));
  const options = [...node.options, ...program.options.filter((option) => !own.has(option.long))].map(optionSpec);
  if (node.commands.length === 0) {
    const places = node.arguments.map((argument, at) => {
      const place = argument.variadic ? '*' : `${at + 1}`;
      return quote(`${place}:${argument.required ? '' : ':'}${escapeColons(argument.name)}:${action(argument.words)}`);
    });
    return `${functionName(path)}() {
  _arguments -S ${[...options, ...places].join(' \\\n    ')}
}`;
  }
  const described = node.commands.map((sub) => `      ${quote(`${escapeColons(sub.name)}:${summary(sub.description)}`)}`);
  const cases = node.commands.map((sub) => `      ${sub.name}) ${functionName([...path, sub.name])} ;;`);
  return `${functionName(path)}() {
  local context curcontext=$curcontext state line
  local -A opt_args
  _arguments -C -S ${options.join(' \\\n    ')} \\
    '(-)1: :->command' '(-)*:: :->rest'
  case $state in
    command)
      local -a commands=(
${described.join('\n')}
      )
      _describe -t commands command commands ;;
    rest)
      case $line[1] in
${cases.join('\n')}
      esac ;;
  esac
}`;
}

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
const escapeColons = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll(':', '\\:');
const escapeBrackets = (text: string): string => escapeColons(text).replaceAll('[', '\\[').replaceAll(']', '\\]');

/** `'(-c --config)'{-c,--config}'[description]:file:_files'`. An option that collects values may stand again. */
function optionSpec(option: OptionNode): string {
  const described = `[${escapeBrackets(summary(option.description))}]`;
  const value = option.value ? `${option.value.required ? '' : ':'}:${escapeColons(option.value.name)}:${action(option.value.words)}` : '';
  const again = option.value?.variadic || option.default === 'all';
  const flags = [option.short, option.long].filter((flag) => flag !== null);
  const before = again ? '*' : flags.length > 1 ? `(${flags.join(' ')})` : '';
  const spelling = flags.length > 1 ? `{${flags.join(',')}}` : flags.join('');
  // braces must stand outside of quotes
  return flags.length > 1 ? `${quote(before)}${spelling}${quote(described + value)}` : quote(`${before}${spelling}${described}${value}`);
}

function action(words: Words): string {
  switch (words.kind) {
    case 'files':
      return '_files';
    case 'directories':
      return '_files -/';
    case 'shops':
      return '_coffre_shops';
    case 'vaults':
      return '_coffre_vaults';
    case 'choices':
      return `(${words.choices.join(' ')})`;
    default:
      return ' ';
  }
}

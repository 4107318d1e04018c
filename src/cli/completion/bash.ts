// Completion for bash: one script that needs nothing but bash 4, made from the command tree.
import { type CommandNode, everyCommand, type OptionNode, type Words } from './command-tree.ts';

/** The text of the script. It asks coffre itself for names of shops and vaults, and for nothing else. */
export function bashCompletion(program: CommandNode): string {
  const all = everyCommand(program);
  const globals = program.options;
  const subcommands = all.flatMap(({ path, node }) =>
    node.commands.length > 0 ? [`    ${key(path)}) echo ${quote(node.commands.map((sub) => sub.name).join(' '))} ;;`] : [],
  );
  const options = all
    .filter(({ path }) => path.length > 0)
    .map(({ path, node }) => `    ${key(path)}) echo ${quote(node.options.flatMap(spellings).join(' '))} ;;`);
  const values = all.flatMap(({ path, node }) =>
    node.options.flatMap((option) =>
      option.value
        ? [
            `    ${spellings(option)
              .map((flag) => quote(`${path.join(' ')} ${flag}`))
              .join('|')}) echo ${wordsFor(option.value.words)} ;;`,
          ]
        : [],
    ),
  );
  const places = all.flatMap(({ path, node }) =>
    node.arguments.map((argument, at) => {
      const place = argument.variadic ? `${quote(`${path.join(' ')} `)}*` : quote(`${path.join(' ')} ${at}`);
      return `    ${place}) echo ${wordsFor(argument.words)} ;;`;
    }),
  );
  return `# bash completion for coffre, made by: coffre completion bash
_coffre_subcommands() {
  case $1 in
${subcommands.join('\n')}
  esac
}

_coffre_options() {
  echo ${quote(globals.flatMap(spellings).join(' '))}
  case $1 in
${options.join('\n')}
  esac
}

# what the value of an option is; fails when it takes none
_coffre_value() {
  case "$1 $2" in
${values.join('\n')}
    *) case " $2" in
${globals
  .flatMap((option) =>
    option.value
      ? [
          `      ${spellings(option)
            .map((flag) => quote(` ${flag}`))
            .join('|')}) echo ${wordsFor(option.value.words)} ;;`,
        ]
      : [],
  )
  .join('\n')}
      *) return 1 ;;
    esac ;;
  esac
}

_coffre_argument() {
  case "$1 $2" in
${places.join('\n')}
  esac
}

_coffre_offer() {
  local cur=$1 kind=$2
  shift 2
  case $kind in
    files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    directories) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    shops|vaults) mapfile -t COMPREPLY < <(compgen -W "$("\${COMP_WORDS[0]/#\\~\\//$HOME/}" "\${config[@]}" completion-words "$kind" 2>/dev/null)" -- "$cur") ;;
    choices) mapfile -t COMPREPLY < <(compgen -W "$*" -- "$cur") ;;
  esac
}

_coffre() {
  local cur=\${COMP_WORDS[COMP_CWORD]} path='' flag='' place=0 word at what
  local -a config=()
  COMPREPLY=()
  for ((at = 1; at < COMP_CWORD; at++)); do
    word=\${COMP_WORDS[at]}
    # bash splits --flag=value into three words
    [[ $word == '=' ]] && continue
    if [[ -n $flag ]]; then
      [[ $flag == -c || $flag == --config ]] && config=(--config "\${word/#\\~\\//$HOME/}")
      [[ $word != -* ]] && flag='' && continue
      flag=''
    fi
    if [[ $word == -* ]]; then
      _coffre_value "$path" "$word" >/dev/null && flag=$word
    elif [[ " $(_coffre_subcommands "$path") " == *" $word "* ]]; then
      path="\${path:+$path }$word"
    else
      place=$((place + 1))
    fi
  done
  [[ $cur == '=' ]] && cur=''
  if [[ -n $flag && $cur != -* ]]; then
    what=$(_coffre_value "$path" "$flag")
    # shellcheck disable=SC2086 # a kind, and perhaps words
    _coffre_offer "$cur" $what
  elif [[ $cur == -* ]]; then
    # shellcheck disable=SC2046 # words
    _coffre_offer "$cur" choices $(_coffre_options "$path")
  else
    what=$(_coffre_subcommands "$path")
    if [[ -n $what ]]; then
      # shellcheck disable=SC2086 # words
      _coffre_offer "$cur" choices $what
    else
      # shellcheck disable=SC2046 # a kind, and perhaps words
      _coffre_offer "$cur" $(_coffre_argument "$path" "$place")
    fi
  fi
}

complete -F _coffre coffre
`;
}

const spellings = (option: OptionNode): string[] => (option.short ? [option.short, option.long] : [option.long]);

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
const key = (path: readonly string[]): string => quote(path.join(' '));

/** As _coffre_offer takes it. */
function wordsFor(words: Words): string {
  return quote(words.kind === 'choices' ? `choices ${words.choices.join(' ')}` : words.kind);
}

// Completion for fish: one `complete` line for each command, option and argument of the command tree.
import { type CommandNode, everyCommand, type OptionNode, summary, type Words } from './command-tree.ts';

/** The text of the script. It asks coffre itself for names of shops and vaults, and for nothing else. */
export function fishCompletion(program: CommandNode): string {
  const all = everyCommand(program);
  const groups = all.filter(({ node }) => node.commands.length > 0);
  const valued = [...new Set(all.flatMap(({ node }) => node.options.filter((option) => option.value).flatMap(spellings)))];
  const lines = all.flatMap(({ path, node }) => {
    const here = `-n ${quote(`__coffre_at ${quote(path.join(' '))}`)}`;
    return [
      ...node.commands.map((sub) => `complete -c coffre ${here} -a ${quote(sub.name)} -d ${quote(summary(sub.description))}`),
      ...node.arguments.map((argument, at) => {
        const place = quote(`__coffre_at ${quote(path.join(' '))}${argument.variadic ? '' : ` ${at}`}`);
        const described = argument.words.kind === 'any' ? '' : ` -d ${quote(argument.name)}`;
        return `complete -c coffre -n ${place} ${wordsFor(argument.words)}${described}`;
      }),
      ...node.options.map((option) => `complete -c coffre ${path.length === 0 ? '' : `${here} `}${flags(option)}`),
    ];
  });
  return `# fish completion for coffre, made by: coffre completion fish

# the command so far, and how many arguments it has got
function __coffre_state
    set -l groups ${groups.map(({ path }) => quote(path.join(' '))).join(' ')}
    set -l commands ${all.map(({ path }) => quote(path.join(' '))).join(' ')}
    set -l valued ${valued.map(quote).join(' ')}
    set -l words (commandline -opc)
    set -l path ''
    set -l place 0
    set -l skip no
    for word in $words[2..-1]
        if test $skip = yes; and not string match -q -- '-*' $word
            set skip no
            continue
        end
        set skip no
        if string match -q -- '-*' $word
            contains -- $word $valued; and set skip yes
        else if contains -- $path $groups; and contains -- (string trim -- "$path $word") $commands
            set path (string trim -- "$path $word")
        else
            set place (math $place + 1)
        end
    end
    echo $path
    echo $place
end

function __coffre_at
    set -l state (__coffre_state)
    test "$state[1]" = "$argv[1]"; or return 1
    set -q argv[2]; or return 0
    test "$state[2]" = "$argv[2]"
end

function __coffre_words
    set -l words (commandline -opc)
    set -l config
    if set -l at (contains -i -- --config $words; or contains -i -- -c $words)
        set config --config (string replace -r '^~/' "$HOME/" -- $words[(math $at + 1)])
    end
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    $program $config completion-words $argv[1] 2>/dev/null
end

complete -c coffre -f
${lines.join('\n')}
`;
}

const spellings = (option: OptionNode): string[] => (option.short ? [option.short, option.long] : [option.long]);

const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

function flags(option: OptionNode): string {
  const short = option.short ? ` -s ${option.short.replace(/^-/, '')}` : '';
  const value = option.value ? ` ${option.value.required ? '-r ' : ''}${wordsFor(option.value.words)}` : '';
  return `${`-l ${option.long.replace(/^--/, '')}`}${short}${value} -d ${quote(summary(option.description))}`;
}

function wordsFor(words: Words): string {
  switch (words.kind) {
    case 'files':
      return '-F';
    case 'directories':
      return `-f -a ${quote('(__fish_complete_directories)')}`;
    case 'shops':
    case 'vaults':
      return `-f -a ${quote(`(__coffre_words ${words.kind})`)}`;
    case 'choices':
      return `-f -a ${quote(words.choices.join(' '))}`;
    default:
      return '-f';
  }
}

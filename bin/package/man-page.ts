// coffre(1): the manual page of every command, made of the commands themselves.
import type { CommandNode, OptionNode } from '../../src/cli/completion/command-tree.ts';
import { bold, example, italic, running, tagged } from './roff.ts';

export interface Page {
  readonly version: string;
  /** YYYY-MM-DD. */
  readonly date: string;
}

/** Ragged right and no hyphens: names of options and files are looked for, and pasted. */
export const PLAIN = '.ad l\n.nh';

/** `exits`: what each exit status above 2 means. */
export function manPage(page: Page, program: CommandNode, exits: readonly (readonly [status: string, meaning: string])[]): string {
  const statuses: typeof exits = [
    ['0', 'It was done.'],
    ['1', 'It failed, or something is red.'],
    ['2', 'The command line or the configuration is wrong.'],
    ...exits,
  ];
  return `${[
    `.TH COFFRE 1 "${page.date}" "coffre ${page.version}" "User Commands"`,
    PLAIN,
    '.SH NAME',
    `coffre \\- ${running(program.description.replace(/^B/, 'b').replace(/\.$/, ''))}`,
    '.SH SYNOPSIS',
    `${bold('coffre')} [${italic('options')}] ${italic('command')} [${italic('arguments')}]`,
    '.SH DESCRIPTION',
    running(
      'coffre dumps the databases of shops, archives their files, encrypts both for that shop alone, stores them in vaults under locks that it reads back, removes them when their time has come, meters what they occupy, and brings a shop back. A daemon does it on schedule; each command does it now.',
    ),
    '.PP',
    running('With `--json` exactly one JSON document goes to standard output; logs and progress go to standard error.'),
    '.SH OPTIONS',
    ...program.options.map(option),
    '.SH COMMANDS',
    ...program.commands.flatMap((command) => commandSection(command, ['coffre'])),
    '.SH EXIT STATUS',
    ...statuses.map(([status, meaning]) => tagged(bold(status), running(meaning))),
    '.PP',
    running('`coffre errors` lists every error code with its exit status, whether trying again helps, and a hint.'),
    '.SH ENVIRONMENT',
    tagged(bold('COFFRE_CONFIG'), running('The configuration file, where `--config` does not say.')),
    tagged(bold('COFFRE_LOG'), running('What is logged on standard error, where `--log-level` does not say.')),
    tagged(bold('COFFRE_DB_PASSWORD'), running('The password for `--to-database`, where `--password-file` does not give one.')),
    tagged(bold('CREDENTIALS_DIRECTORY'), running('Where systemd puts the credentials that the configuration names.')),
    '.SH FILES',
    tagged(italic('/etc/coffre/coffre.yaml'), running('The configuration: see `coffre.yaml`(5).')),
    tagged(
      italic('/etc/coffre/keys'),
      running('The shops’ identities and the key that signs manifests. Back them up with the recovery kit.'),
    ),
    tagged(italic('/var/lib/coffre'), running('Catalog, ledger, local copies of the indexes.')),
    tagged(italic('/run/coffre/coffre.sock'), running('Where administrators reach the daemon.')),
    '.SH SEE ALSO',
    ['coffre.yaml(5)', 'age(1)', 'zstd(1)', 'tar(1)', 'mariadb(1)', 'systemd.exec(5)'].map(reference).join(',\n'),
  ].join('\n')}\n`;
}

const reference = (name: string): string =>
  name.replace(/^(.+)\((\d)\)$/, (_, page: string, section: string) => `${bold(page)}(${section})`);

function commandSection(command: CommandNode, above: readonly string[]): string[] {
  const path = [...above, command.name];
  const synopsis = [
    bold(path.join(' ')),
    ...(command.options.length > 1 ? [`[${italic('options')}]`] : []),
    ...command.arguments.map(({ name, required, variadic }) => {
      const shown = `${italic(name)}${variadic ? ' .\\|.\\|.' : ''}`;
      return required ? shown : `[${shown}]`;
    }),
    ...(command.commands.length > 0 ? [italic('command')] : []),
  ].join(' ');
  const options = command.options.filter((it) => it.long !== '--help');
  return [
    `.SS ${synopsis}`,
    running(sentence(command.description)),
    ...command.arguments.map(({ name, description }) => tagged(italic(name), running(sentence(description)))),
    ...options.map(option),
    ...(command.after === '' ? [] : ['.PP', ...examples(command.after)]),
    ...command.commands.flatMap((sub) => commandSection(sub, path)),
  ];
}

function option({ short, long, value, description, default: otherwise, env }: OptionNode): string {
  const flags = [short, long].filter((flag) => flag !== null).map(bold);
  const shown = value === null ? '' : value.required ? ` ${italic(value.name)}` : ` [${italic(value.name)}]`;
  const choices = value?.words.kind === 'choices' ? ` One of ${value.words.choices.map((choice) => `\`${choice}\``).join(', ')}.` : '';
  const fallback = otherwise === null ? '' : ` Default: ${otherwise}.`;
  const variable = env === null ? '' : ` Environment: ${env}.`;
  return tagged(
    `${flags.join(', ')}${shown}`,
    running(`${sentence(description, value?.words.kind === 'choices' ? value.words.choices : [])}${choices}${fallback}${variable}`),
  );
}

/** Descriptions are written for help: without a capital letter, without a full stop. A choice stays as it is typed. */
function sentence(description: string, choices: readonly string[] = []): string {
  const [word = ''] = /^[a-z]+\b/.exec(description) ?? [];
  const text = word === '' || choices.includes(word) ? description : description.charAt(0).toUpperCase() + description.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** Lines that are indented are commands; the others say what they are for. */
function examples(after: string): string[] {
  const blocks: { readonly code: boolean; readonly lines: string[] }[] = [];
  for (const line of after.split('\n')) {
    if (line.trim() === '') continue;
    const code = /^\s/.test(line);
    const last = blocks.at(-1);
    if (last?.code === code) last.lines.push(line);
    else blocks.push({ code, lines: [line] });
  }
  return blocks.flatMap(({ code, lines }) => (code ? ['.PP', example(lines.join('\n'))] : ['.PP', running(lines.join(' '))])).slice(1);
}

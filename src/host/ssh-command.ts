// A program and its arguments as the one line that a login shell of any kind takes, and the marks that it prints first.
import { CoffreError } from '../errors.ts';

/** What the line prints on both outputs before the program starts: what came earlier is the login shell's own talk. */
export const START_MARK = 'coffre-started-';

/** Linux takes no longer argument than 128 KiB, and sshd hands the whole line over as one. */
const LONGEST_LINE_BYTES = 120 * 1024;

/**
 * The line starts `argv` in the C locale, with nothing of the environment but PATH and SSH_CONNECTION (by which what a connection
 * started is found), as the leader of its process group. Arguments
 * are text, in UTF-8 as a local program gets them. Throws E_INTERNAL for what no line can hold.
 */
export function commandLine(argv: readonly string[]): string {
  if (argv.length === 0 || argv.some((word) => word.includes('\0'))) {
    throw new CoffreError('E_INTERNAL', 'a program without name, or a NUL among its arguments');
  }
  const script =
    `echo ${START_MARK}$$; echo ${START_MARK}$$ >&2; ` +
    `exec env -i PATH="$PATH" SSH_CONNECTION="$SSH_CONNECTION" LC_ALL=C ${argv.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')}`;
  // Login shells differ in what a quoted quote, backslash, `!` or newline means: those go as octal numbers, which sh turns back.
  const line = `exec sh -c 'eval "$(printf %b "$1")"' sh '${escapeOctal(script)}'`;
  if (line.length > LONGEST_LINE_BYTES) throw new CoffreError('E_INTERNAL', `the arguments of ${argv[0]} are too long for one line`);
  return line;
}

function escapeOctal(script: string): string {
  return script.replace(/[^A-Za-z0-9 _./,:=@%+$">&;-]/gu, (character) =>
    [...Buffer.from(character, 'utf8')].map((byte) => `\\0${byte.toString(8).padStart(3, '0')}`).join(''),
  );
}

/** What a host said instead of running a program, for a message: printable, short, and nothing when it was nothing. */
export function quoteWords(said: string): string {
  const words = said
    .replace(/[^\p{L}\p{N}\p{P}\p{S} ]+/gu, ' ')
    .trim()
    .slice(0, 200);
  return words === '' ? '' : `: it says “${words}”`;
}

// What the demo says: one short story on the terminal, or on standard error when standard output is for the JSON document.

export interface Narrator {
  /** A chapter: what is done now. Numbered. */
  chapter(title: string): void;
  /** One figure or fact. */
  say(text: string): void;
  /** What must be so: a tick, or a cross that the end remembers. */
  proof(holds: boolean, text: string): void;
  /** What could not be shown here, and why. */
  missing(text: string): void;
  /** A command line that a reader could have typed: said before it runs. */
  command(line: string): void;
  /** What it printed. */
  output(text: string): void;
  plain(text: string): void;
}

export interface Style {
  readonly write: (text: string) => void;
  readonly color: boolean;
  /** Milliseconds since the demo began. */
  readonly elapsedMs: () => number;
}

/** Lines of a command's output that a story can bear. */
const LONGEST_OUTPUT = 40;

export function createNarrator({ write, color, elapsedMs }: Style): Narrator {
  const paint = (code: number, text: string): string => (color ? `\u001b[${code}m${text}\u001b[0m` : text);
  let chapters = 0;
  return {
    chapter(title) {
      chapters += 1;
      const at = `${Math.round(elapsedMs() / 1000)} s`;
      write(`\n${paint(1, `${chapters}. ${title}`)}  ${paint(2, `[${at}]`)}\n`);
    },
    say: (text) => write(`   ${text}\n`),
    proof: (holds, text) => write(`   ${holds ? paint(32, '✓') : paint(31, '✗ NOT SO:')} ${text}\n`),
    missing: (text) => write(`   ${paint(33, '– not shown:')} ${text}\n`),
    command: (line) => write(`   ${paint(36, `$ ${line}`)}\n`),
    output(text) {
      const lines = text.trimEnd().split('\n');
      for (const one of lines.slice(0, LONGEST_OUTPUT)) write(`     ${one}\n`);
      if (lines.length > LONGEST_OUTPUT) write(`     … and ${lines.length - LONGEST_OUTPUT} more lines\n`);
    },
    plain: (text) => write(`${text}\n`),
  };
}

/** Bytes in decimal units, as contracts count them. */
export function megabytes(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

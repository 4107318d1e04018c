// Questions on a terminal: asked on stderr, so that stdout stays the result's.
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { CoffreError } from '../errors.ts';
import type { Io } from './io.ts';

/** An empty answer gives the default. */
export type Ask = <D extends string | null>(question: string, byDefault: D) => Promise<string | D>;

export interface Questions extends Disposable {
  readonly ask: Ask;
  /** As `ask`, and what is typed is not shown; null for an empty answer. */
  readonly askHidden: (question: string) => Promise<string | null>;
}

/** The terminal, which shows nothing of what is typed while it is hidden. */
class Screen extends Writable {
  isHidden = false;
  readonly #terminal: NodeJS.WriteStream;

  constructor(terminal: NodeJS.WriteStream) {
    super();
    this.#terminal = terminal;
  }

  /** By which readline breaks its lines. */
  get columns(): number {
    return this.#terminal.columns ?? 80;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (!this.isHidden) this.#terminal.write(chunk);
    done();
  }
}

export function openQuestions(io: Io): Questions {
  const screen = new Screen(io.stderr);
  // terminal: the screen is none by itself; no history: it would keep what is not to be shown
  const lines = createInterface({ input: io.stdin, output: screen, terminal: io.stdin.isTTY === true, historySize: 0 });
  // A question that is left open by Ctrl-C or Ctrl-D would never settle by itself.
  const left = new Promise<never>((_, reject) => {
    lines.once('close', () => reject(new CoffreError('E_INTERRUPTED', 'left before the last question', { hint: 'nothing was written' })));
  });
  left.catch(() => {});
  async function answerTo(question: string): Promise<string> {
    const asked = lines.question(`${question}: `, { signal: io.signal });
    asked.catch(() => {});
    const stopped = io.signal.aborted ? Promise.reject(io.signal.reason) : left;
    return (await Promise.race([asked, stopped])).trim();
  }
  return {
    async ask(question, byDefault) {
      const answer = await answerTo(`${question}${byDefault === null ? '' : ` [${byDefault}]`}`);
      return answer === '' ? byDefault : answer;
    },
    async askHidden(question) {
      const answered = answerTo(question);
      screen.isHidden = true;
      try {
        return (await answered) || null;
      } finally {
        screen.isHidden = false;
        io.err('\n');
      }
    },
    [Symbol.dispose]: () => lines.close(),
  };
}

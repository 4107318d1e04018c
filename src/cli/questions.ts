// Questions on a terminal: asked on stderr, so that stdout stays the result's.
import { createInterface } from 'node:readline/promises';
import { CoffreError } from '../errors.ts';
import type { Io } from './io.ts';

/** An empty answer gives the default. */
export type Ask = <D extends string | null>(question: string, byDefault: D) => Promise<string | D>;

export interface Questions extends Disposable {
  readonly ask: Ask;
}

export function openQuestions(io: Io): Questions {
  const lines = createInterface({ input: io.stdin, output: io.stderr });
  // A question that is left open by Ctrl-C or Ctrl-D would never settle by itself.
  const left = new Promise<never>((_, reject) => {
    lines.once('close', () => reject(new CoffreError('E_INTERRUPTED', 'left before the last question', { hint: 'nothing was written' })));
  });
  left.catch(() => {});
  return {
    async ask(question, byDefault) {
      const asked = lines.question(`${question}${byDefault === null ? '' : ` [${byDefault}]`}: `, { signal: io.signal });
      asked.catch(() => {});
      const stopped = io.signal.aborted ? Promise.reject(io.signal.reason) : left;
      const answer = await Promise.race([asked, stopped]);
      return answer.trim() === '' ? byDefault : answer.trim();
    },
    [Symbol.dispose]: () => lines.close(),
  };
}

// A walk on the thread of whoever asks, for few steps.
import { nextTurn } from '../../clock.ts';
import type { PathMatch } from '../path-pattern.ts';
import type { Warning } from '../source.ts';
import { type Found, type FoundDirectory, type FoundFiles, type WalkOptions, walkSync } from './walk.ts';

/** `walkSync`, others on the thread being heard after each step. Throws the signal's reason when it aborts. */
export async function* walk(
  root: string,
  rootFound: Found,
  excluded: PathMatch,
  warn: (warning: Warning) => void,
  signal: AbortSignal,
  options: WalkOptions = {},
): AsyncGenerator<FoundFiles | FoundDirectory> {
  for (const step of walkSync(root, rootFound, excluded, warn, options)) {
    await nextTurn();
    signal.throwIfAborted();
    yield step;
  }
}

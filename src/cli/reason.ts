// Why somebody gives an order, and who somebody was: words that are kept for good, and printed on documents.
import { InvalidArgumentError } from 'commander';

const MOST_CHARACTERS = 500;

/** Of an option, without the space around it. Blank, longer than 500 characters, or with control characters: exit status of a usage error. */
export function keptWords(text: string): string {
  const words = text.trim();
  if (words === '') throw new InvalidArgumentError('some words are needed');
  if ([...words].length > MOST_CHARACTERS) throw new InvalidArgumentError(`at most ${MOST_CHARACTERS} characters are kept`);
  // also those that turn the direction of what is printed after them
  if (/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u.test(words)) {
    throw new InvalidArgumentError('one line without control characters is needed');
  }
  return words;
}

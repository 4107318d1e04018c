// What the configuration says to a text that it must not accept.
import { parseConfig } from '../../src/config/load.ts';
import { CoffreError } from '../../src/errors.ts';

export const FILE = '/etc/coffre/coffre.yaml';

/** The error of a text, its file's name shortened. */
export function refusal(text: string): { readonly code: string; readonly message: string } {
  try {
    parseConfig(text, FILE, {});
  } catch (error) {
    if (error instanceof CoffreError) return { code: error.code, message: error.message.replaceAll(FILE, 'coffre.yaml') };
    throw error;
  }
  throw new Error('the configuration was accepted');
}

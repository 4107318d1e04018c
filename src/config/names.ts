// The names of shops and vaults in a configuration that nobody has checked yet: for a shell that completes a command line.
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

/** In the order of the file; none when it cannot be read or is no configuration: a shell shows no errors. */
export function declaredNames(file: string, section: 'shops' | 'vaults'): string[] {
  try {
    const input: unknown = parse(readFileSync(file, 'utf8'), { logLevel: 'silent' });
    const declared = (input as Record<string, unknown> | null)?.[section];
    // other names are refused by the schema, and would be more than one word to a shell
    return Object.keys(declared ?? {}).filter((name) => /^[\w.-]+$/.test(name));
  } catch {
    return [];
  }
}

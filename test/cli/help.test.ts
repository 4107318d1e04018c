// Every command and subcommand has --help with an example that uses nothing the help does not list.
import { describe, expect, it } from 'vitest';
import { helpOf } from './help-of.ts';

/** Commands listed in a help text, without `help` itself. */
function listed(help: string): string[] {
  const list = /\nCommands:\n([\s\S]*?)\n(?:\n|$)/.exec(help)?.[1] ?? '';
  return [...list.matchAll(/^ {2}([a-z][a-z-]*)\b/gm)].map((match) => match[1] as string).filter((name) => name !== 'help');
}

async function everyCommand(path: readonly string[] = []): Promise<{ readonly path: readonly string[]; readonly help: string }[]> {
  const help = await helpOf(path);
  const all = [{ path, help }];
  for (const name of listed(help)) all.push(...(await everyCommand([...path, name])));
  return all;
}

describe('--help', () => {
  it('of every command - says how it is used, and gives an example', async () => {
    const commands = await everyCommand();
    expect(commands.map(({ path }) => path.join(' '))).toEqual(
      expect.arrayContaining([
        '',
        'init',
        'backup',
        'restore',
        'billing',
        'billing level',
        'billing peaks',
        'keys recovery-kit',
        'vault prepare',
      ]),
    );
    for (const { path, help } of commands) {
      const name = ['coffre', ...path].join(' ');
      expect(help, name).toContain(`Usage: ${name}`);
      const example = help.split('\nExample:\n')[1];
      // a group's examples stand with its subcommands
      if (listed(help).length > 0 && path.length > 0) continue;
      expect(example, `${name}: no example`).toMatch(/^ {2}coffre /m);
      const known = new Set(help.split('\nExample:\n')[0]?.match(/--[a-z][a-z0-9-]*/g));
      for (const flag of example?.match(/--[a-z][a-z0-9-]*/g) ?? []) {
        if (path.length > 0 && !['--json', '--config', '--url'].includes(flag))
          expect(known, `${name}: ${flag} in its example`).toContain(flag);
      }
    }
  });
});

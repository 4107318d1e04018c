// What README.md says of the project is so: its configuration loads, its commands, links and paths exist, its tables are complete.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../src/config/load.ts';
import { ERRORS } from '../src/errors.ts';
import { LOAD_SESSION } from '../src/target/mariadb/load-statement.ts';
import { README, step } from './by-hand.ts';
import { helpOf } from './cli/help-of.ts';
import { ORDER } from './imports.ts';

const text = readFileSync(README, 'utf8');
const top = dirname(README);
/** The first block below a comment. */
const block = (comment: string): string => new RegExp(`^<!-- ${comment} -->\n\`\`\`\\w+\n([\\s\\S]*?)^\`\`\``, 'm').exec(text)?.[1] ?? '';

describe('the configuration', () => {
  it('loads without a warning, and nothing in it is left at a default unsaid', () => {
    const config = parseConfig(block('example configuration'), '/etc/coffre/coffre.yaml', {});
    expect(config.warnings).toEqual([]);
    expect([...config.shops.keys(), ...config.vaults.keys(), ...config.contracts.keys()]).toEqual(['dupont', 'nas', 'offsite', 'csi-001']);
    expect(config.shops.get('dupont')?.vaults).toEqual(['nas', 'offsite']);
  });

  it('has only keys that the example file documents', () => {
    const documented = readFileSync(join(top, 'config/coffre.example.yaml'), 'utf8');
    const keys = new Set([...block('example configuration').matchAll(/(\w+):/g)].map((match) => match[1] as string));
    // names of vaults, plans, contracts and shops, and what stands in a comment or an address
    const names = ['nas', 'offsite', 'standard', 'dupont', 'https', 'none', 'COMPLIANCE', 'accessKeyId', 'secretAccessKey'];
    for (const key of keys) if (!names.includes(key) && !/^\d/.test(key)) expect(documented).toMatch(new RegExp(`\\b${key}:`));
  });
});

describe('commands', () => {
  it('each one named exists, with its subcommand and its flags', async () => {
    const lines = [...text.matchAll(/^```\n([\s\S]*?)^```/gm)].map((match) => (match[1] as string).replaceAll('\\\n', ' ')).join('\n');
    const inline = [...text.matchAll(/`(coffre [^`]+|billing [^`]+)`/g)].map((match) => match[1] as string);
    const said = [...lines.split('\n').filter((line) => line.startsWith('coffre ')), ...inline].map((line) =>
      line.replace(/^coffre (--url \S+ )?/, ''),
    );
    const help = new Map<string, string>();
    const told = async (own: string): Promise<string> => {
      if (!help.has(own)) help.set(own, await helpOf(own.split(' ')));
      return help.get(own) ?? '';
    };
    for (const line of said) {
      const [name = '', second = ''] = line.split(' ');
      const own = /^[a-z]/.test(second) && new RegExp(`^ {2}${second} `, 'm').test(await told(name)) ? `${name} ${second}` : name;
      const ownHelp = await told(own);
      expect(ownHelp, line).toContain(`Usage: coffre ${own}`);
      for (const [flag] of line.matchAll(/--[a-z][a-z0-9-]*/g)) expect(ownHelp, `${line}: ${flag}`).toContain(flag);
    }
    expect(help.size).toBeGreaterThan(12);
  }, 240_000);

  it('npm scripts - they are in package.json', () => {
    const { scripts } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
    for (const [, name = ''] of text.matchAll(/npm (?:run )?(demo|test|bench|check)\b/g)) expect(scripts).toHaveProperty(name);
  });

  it('exit statuses - the table has every one that an error can have', () => {
    const table = [...text.matchAll(/^\| (\d+) \| /gm)].map((match) => Number(match[1]));
    const statuses = new Set(Object.values(ERRORS).map((kind) => kind.exit as number));
    expect(table).toEqual([...statuses].filter((status) => status > 2).sort((a, b) => a - b));
  });
});

describe('links and paths', () => {
  const anchors = new Set(
    [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    ),
  );

  it.each([...text.matchAll(/\]\(([^)]+)\)/g)].map((match) => match[1] as string))('%s - exists', (link) => {
    if (link.startsWith('#')) expect(anchors).toContain(link.slice(1));
    else expect(existsSync(join(top, link))).toBe(true);
  });

  it.each([...text.matchAll(/`((?:src|test|config|bin)\/(?!console|\w+\.inc\.php)[\w./-]+)`/g)].map((match) => match[1] as string))(
    '%s - exists',
    (path) => {
      expect(existsSync(join(top, path))).toBe(true);
    },
  );

  it('folders of src - each one that is told of is there, and each one there is told of', () => {
    const told = [...text.matchAll(/^ {2}([a-z]+)\/ /gm)].map((match) => match[1] as string);
    expect(told.filter((name) => !existsSync(join(top, 'src', name)))).toEqual([]);
    expect(told).toEqual(ORDER.filter((name) => !name.endsWith('.ts')));
  });

  it('no path of the machine it was written on', () => {
    expect(text).not.toMatch(/\/work\/|\/root\/|\/home\/|registry\.npmjs/);
  });
});

it('restoring by hand - the session is the one that coffre itself loads rows in', () => {
  expect(/^session="(.*)"$/m.exec(step('database'))?.[1]).toBe(LOAD_SESSION);
});

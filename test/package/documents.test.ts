// The manual pages: real troff without a warning, known to apropos, and nothing of the program or of the configuration missing.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseDocument, visit } from 'yaml';
import { configPage } from '../../bin/package/config-page.ts';
import { manPage } from '../../bin/package/man-page.ts';
import { example, running } from '../../bin/package/roff.ts';
import { type CommandNode, everyCommand } from '../../src/cli/completion/command-tree.ts';
import { coffreJson } from '../cli/run-coffre.ts';

const run = promisify(execFile);
const reference = readFileSync(resolve(import.meta.dirname, '../../config/coffre.example.yaml'), 'utf8');
const about = { version: '1.2.3', date: '2026-11-23' };
let dir: string;
let program: CommandNode;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-documents-'));
  program = (await coffreJson(['completion', 'bash'])).json.program;
  writeFileSync(join(dir, 'coffre.1'), manPage(about, program, [['3', 'the shop cannot be read']]));
  writeFileSync(join(dir, 'coffre.yaml.5'), configPage(about, reference, 'timezone: Europe/Paris\n'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** As people read it. */
async function shown(page: string): Promise<string> {
  const { stdout } = await run('man', ['-l', page], {
    cwd: dir,
    env: { ...process.env, MANWIDTH: '2000', LC_ALL: 'C.UTF-8', MAN_KEEP_FORMATTING: '' },
  });
  return stdout;
}

describe.each(['coffre.1', 'coffre.yaml.5'])('%s', (page) => {
  it('troff and man - without a warning', async () => {
    const troff = await run('groff', ['-ww', '-wall', '-man', '-Tutf8', '-Kutf8', page], { cwd: dir });
    expect(troff.stderr).toBe('');
    const man = await run('man', ['--warnings', '-l', '-E', 'UTF-8', page], { cwd: dir, env: { ...process.env, LC_ALL: 'C.UTF-8' } });
    expect(man.stderr).toBe('');
  });

  it('lexgrog - finds its name and what it is', async () => {
    const { stdout } = await run('lexgrog', [page], { cwd: dir });
    expect(stdout).toMatch(page === 'coffre.1' ? /: "coffre - backups for PrestaShop hosts/ : /: "coffre\.yaml - configuration/);
  });
});

it('coffre(1) - every command with its arguments, options and examples', async () => {
  const text = await shown('coffre.1');
  for (const { path, node } of everyCommand(program)) {
    if (path.length > 0) expect(text).toMatch(new RegExp(`^ *coffre ${path.join(' ')}\\b`, 'm'));
    for (const option of node.options) expect(text, option.long).toContain(option.long);
    for (const line of node.after.split('\n')) if (/^ {2}\S/.test(line)) expect(text).toContain(line.trim());
  }
  expect(text).toContain('the shop cannot be read');
});

it('coffre.yaml(5) - every key, and what is said of it', async () => {
  const text = (await shown('coffre.yaml.5')).replaceAll(/\s+/g, ' ');
  visit(parseDocument(reference), {
    Pair(_, { key }) {
      expect(text.includes(`${key}:`), String(key)).toBe(true);
    },
  });
  // the first line says what the file is
  for (const [, comment = ''] of [...reference.matchAll(/^ *# (\S.*)$/gm)].slice(1)) {
    expect(text.includes(comment.replaceAll('`', '').replaceAll('…', '...').replaceAll(/\s+/g, ' ')), comment).toBe(true);
  }
});

it('characters that troff would take for its own - come out as they went in', async () => {
  const text = `.dot 'quote' \\back -dash ^ ~ \`tick é ${'long'.repeat(20)}`;
  writeFileSync(join(dir, 'characters.1'), `.TH X 1\n.SH NAME\nx \\- y\n.SH A\n${running(text)}\n${example(`${text}\n'second`)}\n`);
  const { stdout, stderr } = await run('groff', ['-ww', '-man', '-Tutf8', '-rLL=500n', 'characters.1'], { cwd: dir });
  expect(stderr).toBe('');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences of a terminal
  const plain = stdout.replaceAll(/\u001b\[[0-9;]*m/g, '');
  expect(plain.split(text).length - 1).toBe(2);
  expect(plain).toContain("'second");
});

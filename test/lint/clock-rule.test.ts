// The lint rule that keeps clocks and timers in src/clock.ts is itself tested: a rule that catches nothing looks like clean code.
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const run = promisify(execFile);
const top = path.resolve(import.meta.dirname, '../..');

/** One forbidden thing a line; the rule must name each of these lines. */
const FORBIDDEN = [
  `import { setTimeout as later } from 'node:timers/promises';`,
  `import { setImmediate as soon } from 'timers';`,
  `import timers from 'node:timers';`,
  `export const a = Date.now();`,
  `export const b = new Date();`,
  `export const c = Date();`,
  `export const d = new Date(5);`,
  `export const e = globalThis.setTimeout(later, 1);`,
  `export const f = global.Date.now();`,
  `export const g = setTimeout(soon, 1);`,
  `export const h = setInterval(timers.clearTimeout, 1);`,
  `export const i = setImmediate(soon);`,
  `export const j = await import('node:timers/promises');`,
  `export const { now } = Date;`,
  `export const k = AbortSignal.timeout(1);`,
  `export const l = Temporal.Now.instant();`,
];
const ALLOWED = [
  `import { Temporal } from 'temporal-polyfill';`,
  `import { systemClock, toDate } from '../clock.ts';`,
  `export const m = toDate(systemClock.now());`,
  `export const n = Temporal.Instant.fromEpochMilliseconds(5);`,
];

let dir: string;

beforeAll(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'coffre-lint-'));
  for (const name of ['biome.json', 'test/lint/clock.grit']) cpSync(path.join(top, name), path.join(dir, name));
  symlinkSync(path.join(top, 'node_modules'), path.join(dir, 'node_modules'));
  mkdirSync(path.join(dir, 'src/backup'), { recursive: true });
  const text = `${[...ALLOWED, ...FORBIDDEN].join('\n')}\n`;
  writeFileSync(path.join(dir, 'src/backup/planted.ts'), text);
  writeFileSync(path.join(dir, 'src/clock.ts'), text);
  writeFileSync(path.join(dir, 'test/planted.test.ts'), text);
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface Report {
  readonly diagnostics: readonly {
    readonly category: string;
    readonly location: { readonly path: string; readonly start: { readonly line: number } };
  }[];
}

/** Lines of `file` (counted from 1) at which the clock rules complain. */
async function complaints(file: string): Promise<number[]> {
  const biome = path.join(top, 'node_modules/.bin/biome');
  const args = ['lint', '--vcs-enabled=false', '--reporter=json', '--max-diagnostics=none', file];
  // it exits with 1 when it has found something: that is what the output says, too
  const { stdout } = await run(biome, args, { cwd: dir }).catch((error: { stdout: string }) => error);
  const report = JSON.parse(stdout) as Report;
  const clockRules = new Set(['lint/style/noRestrictedGlobals', 'lint/style/noRestrictedImports', 'plugin']);
  const lines = report.diagnostics.filter((it) => clockRules.has(it.category)).map((it) => it.location.start.line);
  return [...new Set(lines)].sort((a, b) => a - b);
}

test('in src every clock and timer is refused, and nothing else', async () => {
  expect(await complaints('src/backup/planted.ts')).toEqual(FORBIDDEN.map((_, at) => ALLOWED.length + at + 1));
});

test('in src/clock.ts and in tests they are allowed', async () => {
  expect(await complaints('src/clock.ts')).toEqual([]);
  expect(await complaints('test/planted.test.ts')).toEqual([]);
});

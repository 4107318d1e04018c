import { execFile } from 'node:child_process';
import { fstatSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { writesToJournal } from '../../src/cli/log.ts';
import { tempDir } from '../temp-dir.ts';

const LOG = new URL('../../src/cli/log.ts', import.meta.url).href;

/** What a process logs that does `code` with a logger `log`. */
async function logged(code: string, options = '{}'): Promise<string> {
  const script = `const { createLogger } = await import(${JSON.stringify(LOG)}); const log = createLogger('info', ${options}); ${code}`;
  return (await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])).stderr;
}

it('lines for the journal - each begins with the priority of its level', async () => {
  const text = await logged(
    `log.error({ event: 'checkpoint.failed', code: 'E_X' }, 'e'); log.warn({ event: 'config.warning' }, 'w');
     log.info({ event: 'daemon.stopped', clean: true }, 'i'); log.level = 'debug'; log.debug({ event: 'lock.done', run: 'r', shop: 's', source: 'files' }, 'd');`,
    '{ journal: true }',
  );
  const lines = text.trimEnd().split('\n');
  expect(lines.map((line) => line.slice(0, 3))).toEqual(['<3>', '<4>', '<6>', '<7>']);
  expect(lines.map((line) => JSON.parse(line.slice(3)).level)).toEqual(['error', 'warn', 'info', 'debug']);
});

it('lines for a file or terminal - JSON alone', async () => {
  const text = await logged(`log.info({ event: 'daemon.stopped', clean: true }, 'daemon stopped');`);
  expect(JSON.parse(text)).toMatchObject({ level: 'info', event: 'daemon.stopped', clean: true, msg: 'daemon stopped' });
});

it('the level is changed - from the next line on', async () => {
  const debug = `log.debug({ event: 'lock.done', run: 'r', shop: 's', source: 'files' }, 'd');`;
  expect(await logged(debug)).toBe('');
  expect(JSON.parse(await logged(`${debug} log.level = 'debug'; ${debug} log.level = 'info'; ${debug}`))).toMatchObject({ level: 'debug' });
});

it('a line with what is not declared, or an error with a request in it - neither reaches the log', async () => {
  const text = await logged(
    `const error = Object.assign(new Error('refused'), { request: { headers: { authorization: 'hunter2' } } });
     log.info({ event: 'daemon.stopped', clean: true, request: { body: 'hunter2' }, err: error }, 'm');`,
  );
  expect(text).not.toContain('hunter2');
  expect(JSON.parse(text)).toMatchObject({ undeclared: ['request'], err: { message: 'refused' } });
});

it('JOURNAL_STREAM - believed only when it is what standard error is', async () => {
  const file = join(await tempDir(), 'log');
  const fd = openSync(file, 'w');
  const { dev, ino } = fstatSync(fd, { bigint: true });
  expect(writesToJournal({ JOURNAL_STREAM: `${dev}:${ino}` }, fd)).toBe(true);
  expect(writesToJournal({ JOURNAL_STREAM: `${dev}:${ino + 1n}` }, fd)).toBe(false);
  expect(writesToJournal({ JOURNAL_STREAM: '' }, fd)).toBe(false);
  expect(writesToJournal({}, fd)).toBe(false);
});

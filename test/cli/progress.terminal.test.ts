// The progress bar on a terminal (a real one, made by script(1)): one line of the terminal's width, redrawn, whatever files are called.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { textWidth } from '../../src/cli/shorten.ts';
import { COFFRE, makeWorld, type World } from '../world/world.ts';
import { runDaemon } from './running-daemon.ts';

/** A name that would clear the screen, ring, and go to the next line. */
const NASTY = 'img/\u001b[2J\u0007été\n.jpg';

let world: World;
let root: string;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'coffre-terminal-'));
  mkdirSync(join(root, 'img'));
  for (let i = 0; i < 3; i++) writeFileSync(join(root, `img/${i}.jpg`), randomBytes(1_000_000));
  // large enough to be a part of its own, which has its name
  writeFileSync(join(root, NASTY), randomBytes(57_000_000));
  world = await makeWorld({ files: { root }, limits: { bandwidth: '20MB/s' }, listen: true });
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  rmSync(root, { recursive: true, force: true });
});

/** Runs a command on a terminal of so many columns; what was drawn, frame by frame, without what moves the cursor. */
async function drawn(columns: number, command: string): Promise<{ readonly status: number | null; readonly frames: string[] }> {
  const child = spawn('script', ['-qec', `stty cols ${columns}; ${COFFRE} --config ${world.configFile} ${command}`, '/dev/null'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH ?? '', TERM: 'xterm', TZ: 'UTC' },
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const shown = await text(child.stdout);
  return {
    status: await ended,
    frames: shown
      // a line is drawn from the first column on, and what was there before is cleared behind it
      .split('\u001b[1G')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: the terminal's own language
      .map((frame) => frame.replace(/\u001b([78]|\[(\?25[lh]|\?7[lh]|0?K|\dG|[012]?J))/g, '').split(/\r?\n/)[0] ?? '')
      .filter((frame) => frame.startsWith('dupont files')),
  };
}

test('a backup on 150 columns - bytes, files, what is stored, rate, time left and the path, on one line', async () => {
  const { status, frames } = await drawn(150, 'backup dupont');
  expect(status).toBe(0);
  expect(frames.length).toBeGreaterThan(5);
  for (const frame of frames) {
    expect(textWidth(frame)).toBeLessThan(150);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
    expect(frame).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
  }
  const all = frames.join('\n');
  expect(all).toMatch(/dupont files {2}\d+\.\d MB {2}\d+ files {2}.* stored {2}.*B\/s/);
  expect(all).toContain('img/\\033[2J\\007été\\012.jpg');

  // again: nothing is read, so there is no rate to speak of, and everything is done
  const again = await drawn(150, 'backup dupont');
  expect(again.status).toBe(0);
  for (const frame of again.frames) expect(frame).not.toMatch(/ left/);
  expect(again.frames.at(-1)).toContain('60.0 MB of about 60.0 MB  4 files  0 B stored');
});

test('on 60 columns - what there is room for; to a file - no bar', async () => {
  const { status, frames } = await drawn(60, 'backup dupont --full');
  expect(status).toBe(0);
  expect(frames.length).toBeGreaterThan(5);
  for (const frame of frames) expect(textWidth(frame)).toBeLessThan(60);
  const quiet = await drawn(60, 'backup dupont 2>/dev/null');
  expect(quiet.frames).toEqual([]);
});

test('a run of the daemon - the same bar, of what it tells; without a terminal none', async () => {
  await runDaemon(world);
  const { status, frames } = await drawn(150, 'backup dupont --full');
  expect(status).toBe(0);
  expect(frames.length).toBeGreaterThan(5);
  for (const frame of frames) expect(textWidth(frame)).toBeLessThan(150);
  expect(frames.join('\n')).toMatch(/dupont files {2}.*\d+\.\d MB of about 60\.0 MB {2}\d+ files {2}.* stored {2}.*B\/s/);
  const { runs } = (await world.ok(['run', 'list', '--limit', '1'])).json;
  expect(runs[0]).toMatchObject({ kind: 'backup', state: 'done' });
  expect((await drawn(60, 'backup dupont 2>/dev/null')).frames).toEqual([]);
});

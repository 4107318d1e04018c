// Hearing a restore unit: what it says, and what becomes of whoever waits when it says nothing any more.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CoffreError } from '../../src/errors.ts';
import { askRestoreUnit } from '../../src/restore/ask-unit.ts';
import { ALIVE_EVERY_MS, type UnitRequest } from '../../src/restore/unit-protocol.ts';
import { FakeClock } from '../fake-clock.ts';

const REQUEST: UnitRequest = { kind: 'export', request: '0'.repeat(26), shop: 'dupont', snapshots: [], keep: [] };
const MINUTE = 60_000;

let dir: string;
let socket: string;
let server: Server;
let connected: Promise<Socket>;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-unit-'));
  socket = join(dir, 'restore.sock');
  server = createServer({ allowHalfOpen: true });
  connected = new Promise((resolve) => {
    server.once('connection', (unit) => {
      unit.on('error', () => {});
      // the request has come
      unit.once('data', () => resolve(unit));
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
});
afterEach(() => {
  server.close();
  rmSync(dir, { recursive: true, force: true });
});

/** Asked, and heard by a unit that the test plays. */
async function ask() {
  const clock = new FakeClock();
  const stop = new AbortController();
  const steps: string[] = [];
  const answer = askRestoreUnit<{ size: number }>(REQUEST, {
    ...{ clock, socket, signal: stop.signal, onStep: (step: string) => void steps.push(step) },
    ...{ onProgress: () => {}, onDamaged: () => {} },
  });
  const ended = answer.then(
    (result) => ({ result }),
    (error: CoffreError) => ({ code: error.code, message: error.message }),
  );
  const unit = await connected;
  const say = (text: string): Promise<void> => new Promise((resolve) => void unit.write(text, () => resolve()));
  /** Until what was said is heard. */
  const heard = async (step: string): Promise<void> => {
    await say(`${JSON.stringify({ event: 'step', step })}\n`);
    await expect.poll(() => steps.at(-1), { timeout: 30_000, interval: 2 }).toBe(step);
  };
  return { clock, ended, heard, say, stop, unit };
}

describe('a restore unit that is asked', () => {
  test('its answer in pieces, cut inside a letter - heard as it was said', async () => {
    const { ended, unit } = await ask();
    const line = Buffer.from(`${JSON.stringify({ event: 'failed', code: 'E_TARGET_SPACE', message: 'plus d’espace', hint: '' })}\n`);
    const cut = line.indexOf('’') + 1;
    unit.write(line.subarray(0, cut));
    await new Promise((resolve) => setImmediate(resolve));
    unit.write(line.subarray(cut));
    expect(await ended).toEqual({ code: 'E_TARGET_SPACE', message: 'plus d’espace' });
  });

  test('its process is gone and somebody keeps the connection open - given up after two minutes of silence', async () => {
    const { clock, ended, heard } = await ask();
    await heard('export');
    clock.advance(2 * MINUTE);
    expect(await ended).toEqual({ code: 'E_RESTORE_UNIT', message: 'the restore unit has said nothing for 2 minutes' });
  });

  test('it works for hours and only says that it lives - waited for', async () => {
    const { clock, ended, heard, say } = await ask();
    for (let beat = 0; beat < 30; beat++) {
      await say('{"event":"alive"}\n');
      await heard(`beat ${beat}`);
      clock.advance(ALIVE_EVERY_MS * 6);
    }
    await say('{"event":"done","result":{"size":7}}\n');
    expect(await ended).toEqual({ result: { size: 7 } });
  });

  test('its connection ends before an answer - said at once', async () => {
    const { ended, unit } = await ask();
    unit.end();
    expect(await ended).toEqual({ code: 'E_RESTORE_UNIT', message: 'the restore unit ended without an answer' });
  });

  test('cancelled, and the unit leaves - its end is heard, the reason is the canceller’s', async () => {
    const { ended, stop, unit } = await ask();
    const told = new Promise((resolve) => unit.once('end', resolve));
    stop.abort(new CoffreError('E_CANCELLED', 'cancelled by marie'));
    await told;
    unit.end('{"event":"failed","code":"E_INTERRUPTED","message":"whoever asked is gone","hint":""}\n');
    expect(await ended).toEqual({ code: 'E_CANCELLED', message: 'cancelled by marie' });
  });

  test('cancelled, and nobody is there to leave - waited for some seconds, and no longer', async () => {
    const { clock, ended, heard, stop } = await ask();
    await heard('export');
    stop.abort(new CoffreError('E_INTERRUPTED', 'the daemon stops'));
    clock.advance(5_000);
    expect(await ended).toEqual({ code: 'E_INTERRUPTED', message: 'the daemon stops' });
  });
});

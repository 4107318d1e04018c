import { expect, test } from 'vitest';
import { StoredRooms } from '../../src/restore/stored-rooms.ts';

const MIB = 1024 * 1024;
const NEVER = new AbortController().signal;

test('more is asked for than the limit - it comes in order, once others were given back', async () => {
  const rooms = new StoredRooms(64 * MIB);
  const first = await rooms.take(30 * MIB, NEVER);
  const second = await rooms.take(32 * MIB, NEVER);
  const came: number[] = [];
  const third = rooms.take(40 * MIB, NEVER).then((room) => {
    came.push(3);
    return room;
  });
  const fourth = rooms.take(1 * MIB, NEVER).then((room) => {
    came.push(4);
    return room;
  });
  await new Promise(setImmediate);
  expect(came).toEqual([]);
  rooms.give(first);
  await new Promise(setImmediate);
  expect(came).toEqual([]);
  rooms.give(second);
  expect((await third).byteLength).toBe(40 * MIB);
  expect((await fourth).byteLength).toBeGreaterThanOrEqual(1 * MIB);
  expect(came).toEqual([3, 4]);
});

test('one larger than the limit - comes when nothing else is out', async () => {
  const rooms = new StoredRooms(8 * MIB);
  const small = await rooms.take(MIB, NEVER);
  const large = rooms.take(20 * MIB, NEVER);
  rooms.give(small);
  expect((await large).byteLength).toBe(20 * MIB);
});

test('memory given back - serves the next of its size', async () => {
  const rooms = new StoredRooms(64 * MIB);
  const room = await rooms.take(10 * MIB, NEVER);
  rooms.give(room);
  expect(await rooms.take(11 * MIB, NEVER)).toBe(room);
});

test('whoever waits when it is stopped - gets the reason, and holds up nobody behind', async () => {
  const rooms = new StoredRooms(8 * MIB);
  const held = await rooms.take(8 * MIB, NEVER);
  const stop = new AbortController();
  const stopped = rooms.take(8 * MIB, stop.signal);
  const next = rooms.take(8 * MIB, NEVER);
  stop.abort(new Error('enough'));
  await expect(stopped).rejects.toThrow('enough');
  rooms.give(held);
  expect((await next).byteLength).toBe(8 * MIB);
});

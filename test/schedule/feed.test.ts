import { expect, test } from 'vitest';
import { type NewRunEvent, type RunEvent, RunHub, type RunProgress } from '../../src/schedule/feed.ts';
import { FakeClock } from '../fake-clock.ts';

const told = (run: string, type: NewRunEvent['type'], rest: Partial<NewRunEvent> = {}): NewRunEvent => ({
  ...{ run, kind: 'backup', shop: 'dupont', source: 'files', who: 'anna', type, state: type === 'ended' ? 'done' : 'running' },
  ...{ step: null, progress: null, error: null },
  ...rest,
});
const progress = (doneBytes: number): RunProgress => ({
  ...{ doneBytes, carriedBytes: 0, totalBytes: null, totalIsGuess: false, storedBytes: 0, segments: 0, reusedSegments: 0, files: 0 },
  ...{ bytesPerSecond: null, leftMs: null },
});

async function all(subscription: AsyncIterable<RunEvent>): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  for await (const event of subscription) events.push(event);
  return events;
}

test('a subscription to one run hears that run alone, and ends with it', async () => {
  const hub = new RunHub(new FakeClock());
  const heard = all(hub.subscribe({ run: 'a' }));
  for (const run of ['a', 'b']) hub.publish(told(run, 'started'));
  hub.publish(told('b', 'ended'));
  hub.publish(told('a', 'ended'));
  hub.publish(told('a', 'started'));
  expect((await heard).map(({ run, type }) => `${run} ${type}`)).toEqual(['a started', 'a ended']);
});

test('a filter keeps what a token may not see', async () => {
  const hub = new RunHub(new FakeClock());
  const heard = all(hub.subscribe({ filter: ({ shop }) => shop === 'martin' }));
  hub.publish(told('a', 'started'));
  hub.publish(told('b', 'started', { shop: 'martin' }));
  hub.close();
  expect((await heard).map(({ run }) => run)).toEqual(['b']);
});

test('whoever comes back with the last number that it saw hears what came since', async () => {
  const hub = new RunHub(new FakeClock());
  for (const type of ['queued', 'started', 'ended'] as const) hub.publish(told('a', type));
  const heard = all(hub.subscribe({ run: 'a', after: 1 }));
  expect((await heard).map(({ seq, type }) => `${seq} ${type}`)).toEqual(['2 started', '3 ended']);
});

test('progress comes four times a second at most, what ends a run always', async () => {
  const clock = new FakeClock();
  const hub = new RunHub(clock);
  const heard = all(hub.subscribe({ run: 'a' }));
  for (let ms = 0; ms < 1000; ms += 10) {
    hub.publish(told('a', 'progress', { progress: progress(ms) }));
    clock.advance(10);
  }
  hub.publish(told('a', 'ended'));
  const events = await heard;
  expect(events.map(({ progress: figures }) => figures?.doneBytes ?? null)).toEqual([0, 250, 500, 750, null]);
});

test('whoever does not listen loses progress first and then the oldest, knows how much, and holds nobody up', async () => {
  const clock = new FakeClock();
  const hub = new RunHub(clock);
  const slow = hub.subscribe();
  hub.publish(told('a', 'started'));
  for (let i = 0; i < 5000; i++) {
    hub.publish(told('a', 'progress', { progress: progress(i) }));
    clock.advance(1000);
  }
  hub.publish(told('a', 'ended'));
  hub.close();
  const events = await all(slow);
  expect(events).toHaveLength(256);
  expect(slow.dropped).toBe(5002 - 256);
  expect(events.at(0)?.type).toBe('started');
  expect(events.at(-2)?.progress?.doneBytes).toBe(4999);
  expect(events.at(-1)?.type).toBe('ended');
});

test('what is under way is known, what has ended for a while', () => {
  const hub = new RunHub(new FakeClock());
  hub.publish(told('a', 'started'));
  hub.publish(told('a', 'step', { step: 'read' }));
  hub.publish(told('b', 'queued', { state: 'queued' }));
  expect(hub.current().map(({ run, step }) => `${run} ${step}`)).toEqual(['a read', 'b null']);
  hub.publish(told('a', 'ended'));
  expect(hub.current().map(({ run }) => run)).toEqual(['b']);
  expect(hub.latest('a')?.state).toBe('done');
  for (let i = 0; i < 300; i++) hub.publish(told(`c${i}`, 'ended'));
  expect(hub.latest('a')).toBeNull();
});

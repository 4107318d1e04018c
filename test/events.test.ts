import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { declaredFields, EVENTS, type EventLog, FIELDS } from '../src/events.ts';
import { sourceFiles } from './imports.ts';

const SRC = fileURLToPath(new URL('../src/', import.meta.url));
const CALL = /\.(trace|debug|info|warn|error|fatal)\(\s*\{/g;

/** Every call that logs, with the literal name of its event: [file, level, event]. */
function loggedEvents(): (readonly [file: string, level: string, event: string | null])[] {
  return sourceFiles(SRC).flatMap((file) => {
    const text = readFileSync(`${SRC}${file}`, 'utf8');
    return [...text.matchAll(CALL)].map((call) => {
      const statement = text.slice(call.index, text.indexOf(';', call.index));
      return [file, call[1] ?? '', /\bevent: '([^']+)'/.exec(statement)?.[1] ?? null] as const;
    });
  });
}

/** Compiles: the lines marked are what the compiler refuses, and fail `npm run check` as soon as it does not. */
function refused(log: EventLog): void {
  log.info({ event: 'run.done', run: 'r', shop: 's', source: 'files', snapshot: 'x' }, 'declared');
  // @ts-expect-error an event that is not declared
  log.info({ event: 'run.vanished', run: 'r' }, '');
  // @ts-expect-error a field that this event has not
  log.info({ event: 'run.done', run: 'r', shop: 's', source: 'files', snapshot: 'x', password: 'p' }, '');
  // @ts-expect-error a field of another type
  log.info({ event: 'daemon.stopped', clean: 'yes' }, '');
  // @ts-expect-error a field that lacks
  log.info({ event: 'run.done', run: 'r', shop: 's', source: 'files' }, '');
  // @ts-expect-error another level than the declared one
  log.warn({ event: 'daemon.stopped', clean: true }, '');
  // @ts-expect-error no event at all
  log.info({ clean: true }, '');
}

describe('events', () => {
  it('what the compiler refuses - would run', () => {
    const lines: object[] = [];
    const write = (fields: object): void => void lines.push(fields);
    refused({ debug: write, info: write, warn: write, error: write });
    expect(lines.map((line) => 'undeclared' in declaredFields({ ...line }))).toEqual([false, true, true, true, true, false, true]);
  });

  it('code logs - each event is declared, at its level', () => {
    const logged = loggedEvents();
    expect(logged.length).toBeGreaterThan(30);
    for (const [file, level, event] of logged) {
      expect(event, `${file} logs something without a literal event`).not.toBeNull();
      expect(Object.keys(EVENTS), `${file} logs ${event}`).toContain(event);
      expect({ file, event, level }).toEqual({ file, event, level: EVENTS[event as keyof typeof EVENTS].level });
    }
  });

  it('an event is declared - some code logs it', () => {
    const code = sourceFiles(SRC)
      .filter((file) => file !== 'events.ts')
      .map((file) => readFileSync(`${SRC}${file}`, 'utf8'))
      .join('\n');
    expect(Object.keys(EVENTS).filter((event) => !code.includes(`event: '${event}'`))).toEqual([]);
  });

  it('a field is declared - some event has it', () => {
    const used = new Set<string>(Object.values(EVENTS).flatMap((kind) => [...kind.fields, ...kind.optional]));
    expect(Object.keys(FIELDS).filter((name) => !used.has(name))).toEqual([]);
  });
});

describe('declaredFields', () => {
  it('a line as declared - kept as it is', () => {
    const line = { event: 'run.done', run: 'r', shop: 's', source: 'files', snapshot: 'x' };
    expect(declaredFields(line)).toEqual(line);
  });

  it.each([
    ['a field that the event has not', { event: 'daemon.stopped', clean: true, token: 'hunter2' }, ['token']],
    ['a field of another type', { event: 'daemon.stopped', clean: { secret: 'hunter2' } }, ['clean']],
    ['an event that is not declared', { event: 'x.y', shop: 's', hunter2: 'hunter2' }, ['event', 'hunter2']],
    ['a field that lacks', { event: 'daemon.stopped' }, ['no clean']],
    ['no event', { shop: 's' }, ['event']],
    ['the name of something that every object has', { event: 'toString', shop: 's' }, ['event']],
  ])('%s - left out and named', (_condition, line, undeclared) => {
    const kept = declaredFields(line);
    expect(kept.undeclared).toEqual(undeclared);
    expect(JSON.stringify({ ...kept, undeclared: null })).not.toContain('hunter2');
  });
});

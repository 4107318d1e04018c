import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { backupSource } from '../../src/backup/run.ts';
import { snapshotSegments } from '../../src/catalog/snapshots.ts';
import { systemClock } from '../../src/clock.ts';
import { CoffreError } from '../../src/errors.ts';
import type { FileEntry, IndexEntry, Part, Reading, Source } from '../../src/source/source.ts';
import { sha256 } from '../segment/bytes.ts';
import { startFaultProxy } from '../servers/fault-proxy.ts';
import { inventory } from '../servers/s3.ts';
import { makeWorld } from '../world/world.ts';
import { database, MB, never, noise, type Piece, setting } from './setting.ts';

const PARALLEL = 3;

/** What a reading in the making does and has seen. */
interface Watch {
  reading: number;
  most: number;
  asked: number;
  stopped: string[];
}

interface Script {
  readonly pieces: readonly Piece[];
  /** Called in each part after its first chunk. */
  readonly during?: (piece: Piece, watch: Watch, signal: AbortSignal) => Promise<void>;
  /** Called before an item is handed out. */
  readonly before?: (piece: Piece, watch: Watch) => Promise<void>;
}

/** A source whose parts are read at the same time, as a database's over several connections. */
function parallelSource(watch: Watch, scriptOf: (attempt: number) => Script): Source {
  let attempt = 0;
  const open = async (): Promise<Reading> => {
    const script = scriptOf(++attempt);
    const part = (piece: Piece): Part => ({
      type: 'part',
      kind: 'sql',
      phase: piece.phase ?? 'data',
      name: piece.name,
      estimatedBytes: piece.estimatedBytes,
      async *read(signal) {
        watch.reading++;
        watch.most = Math.max(watch.most, watch.reading);
        try {
          let first = true;
          for (const chunk of noise(piece.name, piece.bytes)) {
            signal.throwIfAborted();
            yield chunk;
            if (first) await script.during?.(piece, watch, signal);
            first = false;
          }
        } finally {
          if (signal.aborted) watch.stopped.push(piece.name);
          watch.reading--;
        }
      },
      outcome: () => ({ entries: [{ type: 'sql', name: piece.name, rows: {} }], warnings: [] }),
    });
    return {
      asOf: systemClock.now(),
      expectedBytes: null,
      parallel: PARALLEL,
      async *items() {
        for (const piece of script.pieces) {
          watch.asked = Math.max(watch.asked, watch.reading);
          await script.before?.(piece, watch);
          yield part(piece);
        }
      },
      summary: () => ({ complete: true, warnings: [], counts: { tables: script.pieces.length } }),
      close: async () => {},
    };
  };
  return { kind: 'database', open, check: async () => [] };
}

const newWatch = (): Watch => ({ reading: 0, most: 0, asked: 0, stopped: [] });

/** Resolves when `condition` holds, looking once a turn of the event loop; rejects after ten seconds. */
async function when(condition: () => boolean): Promise<void> {
  const deadline = systemClock.monotonicMs() + 10_000;
  while (!condition()) {
    if (systemClock.monotonicMs() > deadline) throw new Error('waited ten seconds');
    await systemClock.sleep(1);
  }
}

const request = { source: 'database', full: false, signal: never } as const;

describe('several parts at a time', () => {
  it('as many as the reading says, never more - journal in the order of hand-out, snapshot in the order of restore', async () => {
    await using world = await makeWorld({ vaults: ['nas'], database });
    const { deps, shop, close } = await setting(world, []);
    const watch = newWatch();
    const piece = (name: string, phase: NonNullable<Piece['phase']>, bytes = 2 * MB): Piece => ({
      name,
      phase,
      bytes,
      estimatedBytes: bytes,
    });
    const pieces = [
      piece('a pre', 'pre', 1000),
      // the first to begin is the last to end
      piece('slow', 'data', 12 * MB),
      piece('b', 'data'),
      piece('post of a small one', 'post', 1000),
      piece('c', 'data'),
      piece('keys', 'keys', 1000),
      piece('d', 'data'),
    ];
    const begun = new Set<string>();
    const during: Script['during'] = async (it) => {
      begun.add(it.name);
      if (it.name === 'slow') await when(() => begun.has('c'));
      // none of them ends before all have begun: they must be read together
      if (it.name === 'b') await when(() => begun.has('slow'));
    };
    const source = parallelSource(watch, () => ({
      pieces,
      during,
      // what comes last is only known when the others were read
      before: async (it) => (it.name === 'd' ? await when(() => watch.reading === 0) : undefined),
    }));
    let journal: string[] = [];
    const debug = (fields: object): void => {
      if (!('event' in fields) || fields.event !== 'lock.started' || !('run' in fields)) return;
      const lines = readFileSync(join(deps.config.stateDir, 'runs', String(fields.run), 'index.ndjson'), 'utf8');
      journal = lines
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).n);
    };
    try {
      const { id } = await backupSource({ ...deps, openSource: async () => source, log: { ...deps.log, debug } }, { shop, ...request });
      expect(watch.most).toBeGreaterThanOrEqual(2);
      expect(watch.most).toBeLessThanOrEqual(PARALLEL);
      expect(watch.asked).toBeLessThan(PARALLEL);
      expect(journal).toEqual(pieces.map((it) => it.name));
      expect((await snapshotSegments(deps.catalog, id)).map((segment) => segment.name)).toEqual([
        'a pre',
        'slow',
        'b',
        'c',
        'd',
        'keys',
        'post of a small one',
      ]);
      expect((await world.okHere(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
    } finally {
      await close();
    }
  });

  it('one of them fails - its code, and the others were stopped and waited for', async () => {
    await using world = await makeWorld({ vaults: ['nas'], database });
    const { deps, shop, close } = await setting(world, []);
    const watch = newWatch();
    const source = parallelSource(watch, () => ({
      pieces: [1, 2, 3].map((n) => ({ name: `part ${n}`, bytes: 32 * MB, estimatedBytes: 32 * MB })),
      during: async (it, _watch, signal) => {
        await when(() => watch.most === 3);
        if (it.name === 'part 2') throw new CoffreError('E_DB_READ', 'the connection broke');
        await when(() => signal.aborted);
      },
    }));
    try {
      const run = backupSource({ ...deps, openSource: async () => source }, { shop, ...request });
      await expect(run).rejects.toMatchObject({ code: 'E_DB_READ', message: 'the connection broke' });
      expect(watch.reading).toBe(0);
      expect(watch.stopped).toEqual(expect.arrayContaining(['part 1', 'part 3']));
    } finally {
      await close();
    }
  });
});

describe('a part of a tree that is stored while one before it is not', () => {
  it('the run is cut off then - what the next one finds on the disk names it, and nothing that is not stored', async () => {
    await using world = await makeWorld({ vaults: ['nas'], files: { root: '/nowhere' } });
    const { deps, shop, close } = await setting(world, []);
    const entryOf = (path: string): FileEntry => ({
      ...{
        type: 'file',
        path,
        sizeBytes: MB,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtimeNs: 1n,
        ctimeNs: 1n,
        inode: 1n,
        sha256: sha256(Buffer.from(path)),
      },
    });
    let stored = '';
    let ahead: string[] = [];
    let run = '';
    const part = (name: string): Part => ({
      ...{ type: 'part', kind: 'tar', phase: 'files', name, estimatedBytes: 2 * MB },
      async *read() {
        yield* noise(name, MB);
        if (name !== 'first') return;
        if (ahead.length === 0)
          await when(() => {
            ahead =
              stored === ''
                ? []
                : readFileSync(join(deps.config.stateDir, 'runs', run, 'ahead.ndjson'), 'utf8')
                    .trim()
                    .split('\n');
            return ahead.some((line) => line.includes(stored));
          });
        throw new CoffreError('E_FILES_ROOT', 'cut off');
      },
      outcome: () => ({ entries: [entryOf(name)], warnings: [] }),
    });
    const previous: IndexEntry[] = [];
    const source: Source = {
      kind: 'files',
      async open(options) {
        for (const index of await options.previous) for await (const entries of index) previous.push(...entries);
        return {
          asOf: systemClock.now(),
          expectedBytes: null,
          parallel: PARALLEL,
          async *items() {
            yield part('first');
            yield part('second');
          },
          summary: () => ({ complete: true, warnings: [], counts: { files: 2 } }),
          close: async () => {},
        };
      },
      check: async () => [],
    };
    const debug = (fields: object): void => {
      if (!('event' in fields) || fields.event !== 'segment.stored' || !('run' in fields) || !('segment' in fields)) return;
      run = String(fields.run);
      stored = String(fields.segment);
    };
    try {
      const once = (): Promise<unknown> =>
        backupSource({ ...deps, openSource: async () => source, log: { ...deps.log, debug } }, { shop, ...request, source: 'files' });
      await expect(once()).rejects.toMatchObject({ code: 'E_FILES_ROOT' });
      expect(ahead).toHaveLength(1);
      expect(previous).toEqual([]);
      const segment = stored;
      stored = '';
      await expect(once()).rejects.toMatchObject({ code: 'E_FILES_ROOT' });
      expect(previous).toMatchObject([{ path: 'second', segment }]);
    } finally {
      await close();
    }
  });
});

describe('a thread that hangs in the kernel over the files of a shop', () => {
  it('at the deadline - the run fails with E_FILES_STUCK, says so in the log, and lets go of the shop', async () => {
    await using world = await makeWorld({ vaults: ['nas'], database, limits: { runDeadline: '3s' } });
    const { deps, shop, close } = await setting(world, []);
    // open(2) of a fifo that nobody writes to: nothing that Node can do ends it
    const fifo = join(world.dir, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const module = join(world.dir, 'stuck.mjs');
    writeFileSync(
      module,
      `import { openSync } from 'node:fs'; export function* pack(fifo) { openSync(fifo, 'r'); yield Buffer.alloc(1); }`,
    );
    const calm = parallelSource(newWatch(), () => ({ pieces: [{ name: 'part', bytes: 2 * MB, estimatedBytes: 2 * MB }] }));
    const stuck: Source = {
      ...calm,
      async open(options) {
        const reading = await calm.open(options);
        const threadWork = async () => ({ module: pathToFileURL(module).href, input: fifo, done: () => {} });
        return {
          ...reading,
          async *items() {
            for await (const part of reading.items()) yield { ...(part as Part), threadWork };
          },
        };
      },
    };
    const logged: object[] = [];
    try {
      const log = { ...deps.log, error: (fields: object) => logged.push(fields) };
      const run = backupSource({ ...deps, log, openSource: async () => stuck }, { shop, ...request });
      await expect(run).rejects.toMatchObject({ code: 'E_FILES_STUCK', cause: { code: 'E_DEADLINE' } });
      expect(logged).toContainEqual(expect.objectContaining({ event: 'run.failed', code: 'E_FILES_STUCK' }));
      // it hangs still
      const result = await backupSource({ ...deps, openSource: async () => calm }, { shop, ...request });
      expect(result).toMatchObject({ segments: 1, missing: [] });
    } finally {
      // lets the thread go
      closeSync(openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK));
      await close();
    }
  }, 60_000);
});

describe('a table altered while it is read', () => {
  const pieces = [1, 2, 3, 4].map((n) => ({ name: `part ${n}`, bytes: 2 * MB, estimatedBytes: 2 * MB }));
  const altered = (): never => {
    throw new CoffreError('E_DB_CHANGED', 'the table ps_orders was altered during the dump', { where: 'ps_orders' });
  };

  it('once, and again - everything is read anew, nothing is stored twice, what is not needed goes, and the snapshot says so', async () => {
    await using world = await makeWorld({ database });
    const { deps, shop, close } = await setting(world, []);
    const watch = newWatch();
    const stored: string[] = [];
    const debug = (fields: object, message: string): void => {
      if ('event' in fields && fields.event === 'segment.stored') stored.push(message);
    };
    const source = parallelSource(watch, (attempt) => ({
      // the first reading has a part that no later one has
      pieces: attempt === 1 ? [{ name: 'only once', bytes: MB, estimatedBytes: 2 * MB }, ...pieces] : pieces,
      during: async (it) => {
        if (attempt > 2 || it.name !== 'part 4') return;
        await when(() => stored.length >= 2);
        altered();
      },
    }));
    try {
      const result = await backupSource({ ...deps, openSource: async () => source, log: { ...deps.log, debug } }, { shop, ...request });
      expect(result).toMatchObject({ segments: 4, reusedSegments: 0, full: true, complete: true, missing: [] });
      expect(result.warnings).toMatchObject([
        { kind: 'changed', where: 'ps_orders', message: expect.stringContaining('reading 2 of at most 3') },
        { kind: 'changed', where: 'ps_orders', message: expect.stringContaining('reading 3 of at most 3') },
      ]);
      // all of them once, what the stopped readings left included
      expect([...stored].sort()).toEqual(['only once', ...pieces.map((it) => it.name)]);
      expect((await snapshotSegments(deps.catalog, result.id)).map((it) => it.name)).toEqual(pieces.map((it) => it.name));
      expect(result.newBytes).toBeGreaterThan(4 * MB);
      expect((await world.okHere(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
      expect((await world.okHere(['billing', 'level'])).json.levelBytes).toBe((await inventory(world.bucket)).totalBytes);
    } finally {
      await close();
    }
  });

  it('three times - the run fails and says why, and the next one takes up what was stored', async () => {
    await using world = await makeWorld({ vaults: ['nas'], database });
    const { deps, shop, close } = await setting(world, []);
    let attempts = 0;
    const failing = parallelSource(newWatch(), (attempt) => {
      attempts = attempt;
      return { pieces, during: async (it) => (it.name === 'part 4' ? altered() : undefined) };
    });
    try {
      const run = backupSource({ ...deps, openSource: async () => failing }, { shop, ...request });
      await expect(run).rejects.toMatchObject({ code: 'E_DB_CHANGED', message: expect.stringContaining('ps_orders') });
      expect(attempts).toBe(3);
      const calm = parallelSource(newWatch(), () => ({ pieces }));
      const result = await backupSource({ ...deps, openSource: async () => calm }, { shop, ...request });
      expect(result).toMatchObject({ segments: 4, warnings: [] });
      expect(result.reusedSegments).toBeGreaterThanOrEqual(3);
    } finally {
      await close();
    }
  });
});

describe('a vault that takes nothing more while the shop is being read', () => {
  const small = [1, 2, 3, 4].map((n) => ({ name: `part ${n}`, bytes: 3 * MB, estimatedBytes: 3 * MB }));
  const large = [{ name: 'large', bytes: 60 * MB, estimatedBytes: 60 * MB }];

  it.each([
    ['nothing passes', { mode: 'blackHole' } as const, small],
    ['hardly anything passes', { mode: 'throttle', bytesPerSecond: 50_000 } as const, small],
    ['hardly anything passes of a segment too large for memory', { mode: 'throttle', bytesPerSecond: 50_000 } as const, large],
  ])('%s - it leaves at its deadline, and the snapshot is in the other one', async (_title, fault, pieces) => {
    await using world = await makeWorld({ vaults: ['nas', 'offsite'], database });
    const proxy = await startFaultProxy(Number(new URL(world.bucket.store.endpoint).port));
    world.writeConfig({ vaults: ['nas', 'offsite'], database, endpoint: proxy.endpoint, limits: { vaultDeadline: '3s' } });
    const { deps, shop, close } = await setting(world, []);
    try {
      await world.coffre(['doctor']);
      const source = parallelSource(newWatch(), () => ({ pieces, before: async () => proxy.set(fault) }));
      const result = await backupSource({ ...deps, openSource: async () => source }, { shop, ...request });
      expect(result.vaults).toEqual(['nas']);
      expect(result.missing).toMatchObject([{ vault: 'offsite', code: 'E_VAULT_TIMEOUT', message: expect.stringContaining('3 s') }]);
      expect(result.segments).toBe(pieces.length);
    } finally {
      await close();
      await proxy.stop();
    }
  });

  it('it is the only one - the run fails, and lets go of the shop', async () => {
    await using world = await makeWorld({ database });
    const proxy = await startFaultProxy(Number(new URL(world.bucket.store.endpoint).port));
    world.writeConfig({ database, endpoint: proxy.endpoint, limits: { vaultDeadline: '2s' } });
    const { deps, shop, close } = await setting(world, []);
    try {
      await world.coffre(['doctor']);
      const watch = newWatch();
      const source = parallelSource(watch, () => ({ pieces: small, before: async () => proxy.set({ mode: 'blackHole' }) }));
      const run = backupSource({ ...deps, openSource: async () => source }, { shop, ...request });
      await expect(run).rejects.toMatchObject({ code: 'E_VAULT_TIMEOUT' });
      expect(watch.reading).toBe(0);
    } finally {
      await close();
      await proxy.stop();
    }
  });
});

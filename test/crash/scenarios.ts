// What is killed: for each operation what came before it, its command, and what has to be run again after a kill.
import { readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Temporal } from 'temporal-polyfill';
import { systemClock } from '../../src/clock.ts';
import type { Mariadb } from '../servers/mariadb.ts';
import type { Children } from './children.ts';
import type { Outcome } from './composition.ts';
import { coffreAt, DAY_MS, okAt, type Place } from './place.ts';

export const OPERATIONS = ['backup', 'prune', 'catch-up', 'rebuild', 'erase', 'close', 'verify'] as const;
export type Operation = (typeof OPERATIONS)[number];

interface Step {
  readonly argv: readonly string[];
  /** Default: status 0. */
  readonly isRight?: (outcome: Outcome) => boolean;
}

export interface Scenario {
  readonly name: string;
  readonly operation: Operation;
  /** Days from now. */
  readonly day: number;
  /** What it begins with: nothing, or `firstDays`. */
  readonly from: 'empty' | 'days';
  /** Everything from there to the operation. Files of the trees that are there already must stay as they are. */
  build(place: Place, children: Children, mariadb: Mariadb | null): Promise<void>;
  /** Then damages objects, and gives their keys: until the operation has come to its end nobody vouches for them. */
  damage?(place: Place): Promise<ReadonlySet<string>>;
  argv(place: Place): readonly string[];
  /** After the kill: the operation again, and what belongs to it. Must succeed. */
  again(place: Place): readonly Step[];
  readonly erased?: readonly string[];
  /** As `erased`, from the end of all windows on. */
  readonly ends?: readonly string[];
  /** By shop that has a database and nothing else: what its newest rows say. Needs a server. */
  readonly rows?: ReadonlyMap<string, string>;
  /** There is no snapshot yet. */
  readonly isFirst?: boolean;
}

const NEWEST_ROW = 'came on the second day';

function write(place: Place, name: string, content: string | Buffer): void {
  writeFileSync(join(place.tree('dupont'), name), content);
}

/** A full snapshot of both shops, an increment of one. */
export async function firstDays(place: Place): Promise<void> {
  await okAt(place, 0, ['backup', 'martin']);
  await okAt(place, 0, ['backup', 'dupont']);
  write(place, 'first.txt', 'came on the first day');
  await okAt(place, 1, ['backup', 'dupont']);
}

function change(place: Place, day: number): void {
  for (let i = 0; i < 3; i++) write(place, `day-${day}-${i}.txt`, `came on day ${day} `.repeat(20 + i));
}

/** Kills a backup in the middle and leaves it so. */
async function killedBackup(place: Place, children: Children, day: number): Promise<void> {
  write(place, 'killed.txt', 'of a run that was killed');
  const doom = { number: null, match: 'far: put index', side: 'after' } as const;
  const argv = ['--config', place.configFile, 'backup', 'dupont'];
  const ended = await children.run({ argv, shiftMs: day * DAY_MS, root: place.root, doom });
  if (!ended.died) throw new Error('crash matrix: the backup that was to be left half done came to its end');
}

const rebuild = (place: Place, vault: string): string[] => [
  ...['catalog', 'rebuild', '--from', vault, '--path', place.vaultPath(vault)],
  ...['--identity-file', place.identityFile, '--fingerprint', place.fingerprint],
];

/** `shop close` of dupont, on a day so many days from now. */
const close = (days: number): string[] => {
  const on = Temporal.Instant.fromEpochMilliseconds(systemClock.nowMs() + days * DAY_MS);
  return ['shop', 'close', 'dupont', '--on', on.toString(), '--reason', 'contract ends'];
};

/** Done already: the kill came after its last step. */
const orThere = ({ status, json }: Outcome): boolean => status === 0 || json?.error?.code === 'E_STATE_NOT_EMPTY';

/** Puts something else in the place of a segment of dupont; gives its key. */
function rot(place: Place, vault: string): ReadonlySet<string> {
  const [name] = readdirSync(join(place.vaultPath(vault), 'dupont/segments')).sort();
  const key = `dupont/segments/${name}`;
  const path = join(place.vaultPath(vault), key);
  rmSync(path);
  writeFileSync(path, 'rotten');
  return new Set([key]);
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'backup',
    operation: 'backup',
    day: 2,
    from: 'days',
    build: async (place) => change(place, 2),
    argv: () => ['backup', 'dupont'],
    again: () => [{ argv: ['backup', 'dupont'] }],
  },
  {
    name: 'backup, first of all, with a file that is streamed',
    operation: 'backup',
    day: 0,
    from: 'empty',
    async build(place) {
      write(place, 'large.bin', Buffer.alloc(34 << 20, 'large '));
    },
    argv: () => ['backup', 'dupont'],
    // the other shop's second makes its first one go in the end: what killed processes left of locks goes with a deletion
    again: () => [{ argv: ['backup', 'dupont'] }, { argv: ['backup', 'martin'] }, { argv: ['backup', 'martin', '--full'] }],
    isFirst: true,
  },
  {
    name: 'backup of a database',
    operation: 'backup',
    day: 2,
    from: 'empty',
    async build(place, _children, mariadb) {
      if (mariadb === null) throw new Error('crash matrix: a database needs a server');
      const name = place.useDatabase('dupont', mariadb.socketPath);
      await mariadb.sql(
        `drop database if exists ${name}; create database ${name} character set utf8mb4; use ${name};
         create table config (id int primary key, value varchar(100)); insert into config values (1, 'of the first day');
         create table orders (id int primary key, text varchar(700), key (text(20)));
         insert into orders select seq, repeat(md5(seq), 20) from seq_1_to_3000;
         create view totals as select count(*) from orders;`,
      );
      await okAt(place, 0, ['backup', 'martin']);
      await okAt(place, 0, ['backup', 'dupont']);
      await mariadb.sql(`insert into config values (2, '${NEWEST_ROW}'); delete from orders where id = 7`, { database: name });
    },
    argv: () => ['backup', 'dupont'],
    again: () => [{ argv: ['backup', 'dupont'] }],
    rows: new Map([['dupont', NEWEST_ROW]]),
  },
  {
    name: 'backup after a killed one',
    operation: 'backup',
    day: 2,
    from: 'days',
    async build(place, children) {
      change(place, 2);
      await killedBackup(place, children, 2);
    },
    argv: () => ['backup', 'dupont', '--full'],
    again: () => [{ argv: ['backup', 'dupont', '--full'] }],
  },
  {
    name: 'prune',
    operation: 'prune',
    day: 25,
    from: 'days',
    async build(place, children) {
      write(place, 'story.txt', 'begins');
      await okAt(place, 1.5, ['backup', 'dupont']);
      change(place, 2);
      await killedBackup(place, children, 2);
      write(place, 'story.txt', 'goes on');
      await okAt(place, 22, ['backup', 'dupont', '--full']);
      write(place, 'story.txt', 'ends');
      await okAt(place, 23, ['backup', 'dupont']);
      // as any day: the other shop's newest snapshot is locked ahead
      await okAt(place, 24, ['prune', 'martin']);
    },
    argv: () => ['prune'],
    again: () => [{ argv: ['prune'] }],
  },
  {
    name: 'catch-up',
    operation: 'catch-up',
    day: 3,
    from: 'days',
    async build(place) {
      change(place, 2);
      const far = place.vaultPath('far');
      renameSync(far, `${far}.away`);
      for (const day of [2, 2.5]) {
        write(place, 'more.txt', `on day ${day}`);
        const { json } = await coffreAt(place, day, ['backup', 'dupont']);
        if (json?.snapshots?.[0]?.missing?.length !== 1) throw new Error(`crash matrix: not degraded: ${JSON.stringify(json)}`);
      }
      rmSync(far, { recursive: true, force: true });
      renameSync(`${far}.away`, far);
    },
    argv: () => ['catch-up', 'dupont'],
    again: () => [{ argv: ['catch-up', 'dupont'] }],
  },
  {
    name: 'catch-up that mends',
    operation: 'catch-up',
    day: 3,
    from: 'days',
    build: async () => {},
    async damage(place) {
      const rotten = rot(place, 'far');
      const { status } = await coffreAt(place, 2, ['verify', 'dupont', '--read-data']);
      if (status === 0) throw new Error('crash matrix: a rotten segment was not found');
      return rotten;
    },
    argv: () => ['catch-up', 'dupont'],
    again: () => [{ argv: ['catch-up', 'dupont'] }],
  },
  {
    name: 'rebuild',
    operation: 'rebuild',
    day: 3,
    from: 'days',
    async build(place) {
      change(place, 2);
      await okAt(place, 2, ['backup', 'dupont']);
      for (const path of [place.stateDir, place.keyDir, place.configFile]) rmSync(path, { recursive: true, force: true });
    },
    argv: (place) => rebuild(place, 'nas'),
    again: (place) => [{ argv: rebuild(place, 'nas'), isRight: orThere }, { argv: rebuild(place, 'far') }],
  },
  {
    name: 'rebuild, the second vault',
    operation: 'rebuild',
    day: 3,
    from: 'days',
    async build(place) {
      change(place, 2);
      await okAt(place, 2, ['backup', 'dupont']);
      for (const path of [place.stateDir, place.keyDir, place.configFile]) rmSync(path, { recursive: true, force: true });
      await okAt(place, 3, rebuild(place, 'nas'));
    },
    argv: (place) => rebuild(place, 'far'),
    again: (place) => [{ argv: rebuild(place, 'far'), isRight: orThere }],
  },
  {
    name: 'erase, everything locked',
    operation: 'erase',
    day: 3,
    from: 'days',
    async build(place) {
      await okAt(place, 3, ['backup', 'martin', '--full']);
    },
    argv: () => ['shop', 'erase', 'dupont', '--reason', 'asked for', '--yes'],
    again: () => [{ argv: ['shop', 'erase', 'dupont', '--reason', 'asked for', '--yes'] }],
    erased: ['dupont'],
  },
  {
    name: 'erase, nothing locked',
    operation: 'erase',
    day: 50,
    from: 'days',
    async build(place) {
      await okAt(place, 50, ['backup', 'martin', '--full']);
    },
    argv: () => ['shop', 'erase', 'dupont', '--reason', 'asked for', '--yes'],
    again: () => [{ argv: ['shop', 'erase', 'dupont', '--reason', 'asked for', '--yes'] }],
    erased: ['dupont'],
  },
  {
    name: 'erase after a killed backup',
    operation: 'erase',
    day: 50,
    from: 'days',
    async build(place, children) {
      await okAt(place, 50, ['backup', 'martin', '--full']);
      await killedBackup(place, children, 50);
    },
    argv: () => ['shop', 'erase', 'dupont', '--reason', 'asked for', '--yes'],
    again: () => [{ argv: ['shop', 'erase', 'dupont', '--reason', 'asked for', '--yes'] }],
    erased: ['dupont'],
  },
  {
    name: 'close',
    operation: 'close',
    day: 3,
    from: 'days',
    build: async (place) => void (await okAt(place, 3, ['backup', 'martin', '--full'])),
    argv: () => close(5),
    again: () => [{ argv: close(5) }],
    ends: ['dupont'],
  },
  {
    name: 'close, past its end',
    operation: 'close',
    day: 50,
    from: 'days',
    async build(place) {
      await okAt(place, 3, close(5));
      write(place, 'last.txt', 'came before the end');
      await okAt(place, 4, ['backup', 'dupont']);
      await okAt(place, 50, ['backup', 'martin', '--full']);
    },
    argv: () => ['prune'],
    again: () => [{ argv: ['prune'] }],
    erased: ['dupont'],
  },
  {
    name: 'verify',
    operation: 'verify',
    day: 2,
    from: 'days',
    build: async () => {},
    damage: async (place) => rot(place, 'far'),
    argv: () => ['verify', 'dupont', '--read-data'],
    again: () => [
      { argv: ['verify', 'dupont', '--read-data'], isRight: ({ status }) => status !== 0 },
      { argv: ['catch-up', 'dupont'] },
      { argv: ['verify', 'dupont', '--read-data'] },
    ],
  },
];

// The same against a real store: one shop, one bucket with Object Lock and one folder, windows of a minute. What a store keeps cannot be
// put back, so the kills follow each other, and what they left must be gone when all locks have ended.
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { GetObjectCommand, GetObjectRetentionCommand } from '@aws-sdk/client-s3';
import { systemClock } from '../../src/clock.ts';
import { type Bucket, inventory } from '../servers/s3.ts';
import { makeWorld, type World } from '../world/world.ts';
import type { FoundViolation } from './bench.ts';
import { Children } from './children.ts';
import { runHere } from './composition.ts';
import { type Looked, listFolder, type Stored } from './place.ts';
import type { Random } from './random.ts';
import { checkTruths, type Moment } from './truths.ts';

const run = promisify(execFile);
const RETENTION = '60s';
const RUN_DEADLINE = '120s';
/** Locks end with the window, provisional ones with run deadline and window; a busy machine gets as much again. */
const OVER_WITHIN_MS = 400_000;
const LOOK_EVERY_MS = 5_000;
const DIRECTORIES = 3;
const NAME = 'backup and prune in a real store';

export interface StoreOutcome {
  readonly name: string;
  readonly names: readonly string[];
  readonly kills: number;
  readonly died: ReadonlySet<string>;
  readonly restores: number;
  readonly found: readonly FoundViolation[];
}

/** Kills backups and prunes in turn, until the signal. `onKill` is told of each. */
export async function runInStore(
  bucket: Bucket,
  kills: number,
  random: Random,
  signal: AbortSignal | null,
  onKill: (found: readonly FoundViolation[]) => void,
): Promise<StoreOutcome> {
  await using world = await makeWorld({ bucket, vaults: ['nas', 'offsite'] });
  await using children = new Children(world.dir);
  const root = join(world.dir, 'shop');
  world.writeConfig({ vaults: ['nas', 'offsite'], files: { root }, retention: RETENTION, limits: { runDeadline: RUN_DEADLINE } });
  const looked = lookedOf(world, bucket, root);
  const found: FoundViolation[] = [];
  const died = new Set<string>();
  const count = { kills: 0 };
  const look = async (killed: readonly string[], when: FoundViolation['when']): Promise<FoundViolation[]> => {
    const moment: Moment = {
      nowMs: systemClock.nowMs(),
      settled: when !== 'killed',
      over: when === 'over',
      lapsed: when !== 'over',
      // a probe under way in another process still needs them
      kept: '_coffre/probe/',
    };
    return (await checkTruths(looked, moment)).map((violation) => ({ scenario: NAME, killed, when, ...violation }));
  };
  const here = async (argv: readonly string[], killed: readonly string[], when: FoundViolation['when']): Promise<FoundViolation[]> => {
    const { status, json, stderr } = await runHere(['--config', world.configFile, ...argv], systemClock);
    if (status === 0) return [];
    const detail = `coffre ${argv[0]} ended with ${status}: ${JSON.stringify(json?.error ?? json ?? stderr).slice(0, 1500)}`;
    return [{ scenario: NAME, killed, when, truth: 'what was killed comes to its end', detail }];
  };
  const commands = { backup: ['backup', 'dupont', '--full'], prune: ['prune', 'dupont'] } as const;
  const job = (argv: readonly string[]) => ({ argv: ['--config', world.configFile, ...argv], shiftMs: 0, root: world.dir });

  change(root, 'first');
  found.push(...(await here(commands.backup, [], 'settled')));
  const names: Record<keyof typeof commands, readonly string[]> = { backup: [], prune: [] };
  for (const operation of ['backup', 'prune'] as const) {
    change(root, 'counted');
    const ended = await children.run({ ...job(commands[operation]), doom: null });
    if (ended.died) throw new Error(`crash matrix: ${NAME}: a run that was not killed died`);
    names[operation] = ended.names;
  }
  for (let i = 0; i < kills && !signal?.aborted; i++) {
    const operation = i % 2 === 0 ? 'backup' : 'prune';
    if (operation === 'backup') change(root, String(i));
    // what goes to the store is what this is for
    const inStore = names[operation].flatMap((name, at) => (name.startsWith('store:') ? [at + 1] : []));
    const number = random(3) > 0 && inStore.length > 0 ? (inStore[random(inStore.length)] as number) : random(names[operation].length) + 1;
    const side = random(2) === 0 ? 'before' : 'after';
    const ended = await children.run({ ...job(commands[operation]), doom: { number, match: null, side } });
    const killed = ended.died ? [`${ended.side} ${ended.number}: ${ended.name}`] : [`not at all (${number} ${side})`];
    if (ended.died) {
      count.kills++;
      died.add(`${ended.side}: ${ended.name}`);
    }
    const now = await look(killed, 'killed');
    now.push(...(await here(commands[operation], killed, 'settled')), ...(await look(killed, 'settled')));
    found.push(...now);
    onKill(now);
  }
  const outcome = (restores: number): StoreOutcome => ({
    ...{ name: NAME, names: [...names.backup, ...names.prune], kills: count.kills, died, restores, found },
  });
  if (signal?.aborted) return outcome(0);
  // All locks end; then a prune leaves nothing but what the newest snapshot needs.
  const giveUpAtMs = systemClock.monotonicMs() + OVER_WITHIN_MS;
  let left: readonly FoundViolation[];
  for (;;) {
    left = [...(await here(['prune'], [], 'over')), ...(await look([], 'over'))];
    if (left.length === 0 || systemClock.monotonicMs() > giveUpAtMs) break;
    await systemClock.sleep(LOOK_EVERY_MS);
  }
  found.push(...left);
  const back = join(world.dir, 'back');
  found.push(...(await here(['restore', 'dupont', '--to-dir', back], [], 'over')), ...(await here(['verify', '--read-data'], [], 'over')));
  await run('diff', ['-r', root, back]).catch((error: { stdout?: string }) => {
    found.push({
      scenario: NAME,
      killed: [],
      when: 'over',
      truth: 'the newest snapshot restores',
      detail: String(error.stdout ?? error).slice(0, 500),
    });
  });
  onKill([]);
  return outcome(1);
}

/** New contents in small directories, and in a file that is streamed (multipart). */
function change(root: string, content: string): void {
  for (let i = 0; i < DIRECTORIES; i++) {
    mkdirSync(join(root, `d${i}`), { recursive: true });
    for (let file = 0; file < 4; file++) writeFileSync(join(root, `d${i}`, `f${file}`), `${content} ${i} ${file} `.repeat(1000));
  }
  rmSync(join(root, 'large.bin'), { force: true });
  writeFileSync(join(root, 'large.bin'), Buffer.alloc(34 << 20, `${content} large `));
}

/** The bucket with the SDK alone, the folder with node:fs. */
function lookedOf(world: World, bucket: Bucket, root: string): Looked {
  const { client, name: Bucket } = bucket;
  const bodies = new Map<string, Buffer>();
  const keyOf = (key: string): string => key.slice('prod/'.length);
  return {
    ...{
      shops: ['dupont'],
      sources: ['files'],
      tree: () => root,
      vaults: ['nas', 'offsite'],
      stateDir: world.stateDir,
      keyDir: world.keyDir,
    },
    async list(vault) {
      // time is the real one here: what is left of locks goes a day later
      if (vault === 'nas') return { ...listFolder(world.nasPath), litter: [] };
      const { versions, uploads } = await inventory(bucket, 'prod/');
      const objects: Stored[] = [];
      for (const { key, versionId, sizeBytes, isDeleteMarker } of versions) {
        if (isDeleteMarker) continue;
        const { Retention } = await client
          .send(new GetObjectRetentionCommand({ Bucket, Key: key, VersionId: versionId }))
          .catch(() => ({ Retention: undefined }));
        objects.push({ key: keyOf(key), versionId, bytes: sizeBytes, lockedUntil: Retention?.RetainUntilDate?.getTime() ?? null });
      }
      return {
        objects,
        uploads: uploads.map(({ key, sizeBytes }) => ({ key: keyOf(key), bytes: sizeBytes })),
        litter: versions.filter(({ isDeleteMarker }) => isDeleteMarker).map(({ key }) => `delete marker on ${key}`),
      };
    },
    async read(vault, { key, versionId }) {
      if (vault === 'nas') return readFileSync(join(world.nasPath, key));
      // what a version holds cannot change
      const known = bodies.get(versionId);
      if (known) return known;
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: `prod/${key}`, VersionId: versionId }));
      const body = await buffer(Body as Readable);
      bodies.set(versionId, body);
      return body;
    },
  };
}

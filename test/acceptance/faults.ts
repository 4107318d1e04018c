// What every fault has to show: its own code and hint while it lasts, and nothing left over once it is gone.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { ERRORS, type ErrorCode } from '../../src/errors.ts';
import { inventory } from '../servers/s3.ts';
import type { Outcome, World } from '../world/world.ts';

export interface Expected {
  readonly code: ErrorCode;
  /** What the message must say. */
  readonly says?: RegExp;
  /** What the hint must say. */
  readonly hint?: RegExp;
}

/** Runs a command (`here`: in this process) that must fail in this way: exit status by the table, one JSON document, code, message and hint in it. */
export async function fails(
  world: World,
  args: readonly string[],
  { code, says = /./, hint = /./ }: Expected,
  { here = false, ...options }: Parameters<World['coffre']>[1] & { readonly here?: boolean } = {},
): Promise<Outcome> {
  const outcome = here ? await world.here(args) : await world.coffre(args, options);
  const said = `coffre ${args.join(' ')}: ${outcome.status} ${outcome.stdout} ${outcome.stderr}`;
  expect(outcome.json?.error, said).toEqual({
    code,
    message: expect.stringMatching(says),
    hint: expect.stringMatching(hint),
  });
  expect(outcome.status, said).toBe(ERRORS[code].exit);
  expect(outcome.status, said).not.toBe(0);
  return outcome;
}

/** Changes the configuration's text for as long as `work` lasts. `from` must be there. */
export async function withConfig<T>(world: World, from: string | RegExp, to: string, work: () => Promise<T>): Promise<T> {
  const before = readFileSync(world.configFile, 'utf8');
  const after = before.replace(from, to);
  expect(after, `${from} in the configuration`).not.toBe(before);
  writeFileSync(world.configFile, after);
  try {
    return await work();
  } finally {
    writeFileSync(world.configFile, before);
  }
}

/** Bytes of the objects in the filesystem vault, counted by find. */
export function heldBytes(folder: string): number {
  if (!existsSync(folder)) return 0;
  const sizes = execFileSync('find', [folder, '-path', join(folder, '.locks'), '-prune', '-o', '-type', 'f', '-printf', '%f\t%s\n']);
  return sizes
    .toString()
    .split('\n')
    .map((line) => line.split('\t'))
    .filter(([name, size]) => name !== '.coffre-vault' && size !== undefined)
    .reduce((sum, [, size]) => sum + Number(size), 0);
}

/** `billing level` of each vault equals what find and the store's own listing say, to the byte. */
export async function meteredExactly(world: World): Promise<void> {
  const { json } = await world.okHere(['billing', 'level']);
  const levels = Object.fromEntries(json.vaults.map((one: { vault: string; levelBytes: number }) => [one.vault, one.levelBytes]));
  expect(levels.offsite ?? 0, 'level of offsite').toBe((await inventory(world.bucket)).totalBytes);
  expect(levels.nas ?? 0, 'level of nas').toBe(heldBytes(world.nasPath));
}

/** The cause is gone: a backup succeeds everywhere, metered to the byte, and gives the tree back. */
export async function recovers(world: World, root: string | null): Promise<Outcome> {
  const backup = await world.ok(['backup', 'dupont']);
  for (const snapshot of backup.json.snapshots) expect(snapshot.missing).toEqual([]);
  await meteredExactly(world);
  if (root !== null) {
    const directory = join(world.dir, `back-${randomBytes(4).toString('hex')}`);
    await world.okHere(['restore', 'dupont', '--source', 'files', '--to-dir', directory]);
    expect(execFileSync('diff', ['-r', root, directory]).toString()).toBe('');
    rmSync(directory, { recursive: true });
  }
  return backup;
}

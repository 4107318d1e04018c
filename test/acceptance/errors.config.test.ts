import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/errors.ts';
import { makeWorld, type World } from '../world/world.ts';
import { fails, recovers, withConfig } from './faults.ts';
import { writeTree } from './tree.ts';

let world: World;
let root: string;
beforeAll(async () => {
  world = await makeWorld();
  root = join(world.dir, 'shop');
  writeTree(root);
  world.writeConfig({ files: { root } });
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

const backup = ['backup', 'dupont'];

describe('a mistake in the configuration', () => {
  const MISTAKES: readonly { name: string; from: string | RegExp; to: string; code?: ErrorCode; says: RegExp }[] = [
    { name: 'an unknown key', from: 'retention:', to: 'retension:', says: /coffre\.yaml.*:\d+.*retension.*retention/s },
    { name: 'a wrong unit', from: 'retention: 14d', to: 'retention: 14x', says: /:\d+.*14x/s },
    { name: 'no unit', from: 'retention: 14d', to: 'retention: 14', says: /:\d+.*14/s },
    { name: 'broken YAML', from: 'plans:', to: 'plans: [', says: /:\d+/ },
    { name: 'a plan that does not exist', from: 'plan: plan', to: 'plan: plam', says: /:\d+.*plam.*plan/s },
    { name: 'a vault that does not exist', from: 'vaults: [offsite]', to: 'vaults: [ofsite]', says: /:\d+.*ofsite.*offsite/s },
    {
      name: 'a password written into it',
      from: 'host: { type: local }',
      to: 'host: { type: local, password: hunter2hunter2 }',
      says: /:\d+/,
    },
    { name: 'a time zone that does not exist', from: 'Europe/Paris', to: 'Europe/Pariss', says: /:\d+.*Pariss/s },
    { name: 'a lock beyond the ceiling', from: 'retention: 14d', to: 'retention: 140d', code: 'E_LOCK_CEILING', says: /140|ceiling/ },
  ];
  for (const [i, { name, from, to, code = 'E_CONFIG', says }] of MISTAKES.entries()) {
    it(`${name} - ${code} naming line and value, for every command, before anything is done`, async () => {
      await withConfig(world, from, to, async () => {
        for (const args of [backup, ['status'], ['restore', 'dupont', '--to-dir', join(world.dir, 'never')]]) {
          // bin/coffre itself for each mistake once, and for each command
          const outcome = await fails(world, args, { code, says }, { here: i > 0 && args !== backup });
          expect(outcome.stdout + outcome.stderr).not.toContain('hunter2');
        }
      });
    });
  }

  it('no configuration at all - E_CONFIG_MISSING', async () => {
    renameSync(world.configFile, `${world.configFile}.aside`);
    try {
      await fails(world, backup, { code: 'E_CONFIG_MISSING', says: /coffre\.yaml/, hint: /init/ });
    } finally {
      renameSync(`${world.configFile}.aside`, world.configFile);
    }
  });
});

describe('a shop, snapshot or vault that does not exist', () => {
  for (const args of [
    ['backup', 'dupond'],
    ['restore', 'dupond', '--to-dir', '/nowhere'],
    ['verify', 'dupond'],
    ['prune', 'dupond'],
    ['snapshots', 'dupond'],
    ['status', 'dupond'],
    ['doctor', 'dupond'],
  ]) {
    it(`${args[0]} of an unknown shop - E_UNKNOWN_SHOP names it`, async () => {
      await fails(
        world,
        args,
        { code: 'E_UNKNOWN_SHOP', says: /dupond/ },
        { here: !['backup', 'restore', 'doctor'].includes(args[0] ?? '') },
      );
    });
  }

  it('restore of an unknown snapshot, of a shop without one, from an unknown vault - each says so', async () => {
    const to = ['--to-dir', join(world.dir, 'never')];
    await fails(world, ['restore', 'dupont', ...to], { code: 'E_UNKNOWN_SNAPSHOT', says: /dupont/ });
    await fails(world, ['restore', 'dupont', '--snapshot', '0'.repeat(26), ...to], { code: 'E_UNKNOWN_SNAPSHOT', says: /000/ });
    await fails(world, ['restore', 'dupont', '--from', 'nas', ...to], { code: 'E_UNKNOWN_VAULT', says: /nas/, hint: /offsite/ });
    await fails(world, ['restore', 'dupont'], { code: 'E_USAGE', says: /--to-dir/ });
    await fails(world, ['bakcup', 'dupont'], { code: 'E_USAGE', says: /bakcup/, hint: /backup/ });
  });
});

describe('keys that are not right', () => {
  for (const file of ['signing.key', 'identities/dupont.key'] as const) {
    it(`${file} that others can read - E_SECRET_MODE`, async () => {
      const path = join(world.keyDir, file);
      chmodSync(path, 0o640);
      try {
        if (file === 'signing.key') {
          await fails(world, backup, { code: 'E_SECRET_MODE', says: /signing\.key.*0640/, hint: /chmod 600/ });
        } else {
          // the daemon has no business with the identity: a backup goes on
          await world.ok(backup);
          const to = join(world.dir, 'never');
          await fails(world, ['restore', 'dupont', '--to-dir', to], {
            code: 'E_SECRET_MODE',
            says: /dupont\.key.*0640/,
            hint: /chmod 600/,
          });
        }
      } finally {
        chmodSync(path, 0o600);
      }
    });
  }

  for (const file of ['signing.key', 'dupont.pub'] as const) {
    it(`${file} missing - E_KEY names it`, async () => {
      const path = join(world.keyDir, file);
      renameSync(path, `${path}.aside`);
      try {
        await fails(world, backup, { code: 'E_KEY', says: new RegExp(file), hint: /doctor|keys/ });
      } finally {
        renameSync(`${path}.aside`, path);
      }
    });
  }
});

describe('a tree that is not right', () => {
  it('missing - E_FILES_ROOT; a file in its place - E_FILES_ROOT', async () => {
    renameSync(root, `${root}.aside`);
    try {
      await fails(world, backup, { code: 'E_FILES_ROOT', says: /shop/ });
      writeFileSync(root, 'not a directory');
      await fails(world, backup, { code: 'E_FILES_ROOT', says: /shop/ });
    } finally {
      rmSync(root, { force: true });
      renameSync(`${root}.aside`, root);
    }
  });
});

describe('a target that is not right', () => {
  it('not empty - E_TARGET_NOT_EMPTY, and what is there stays; not a directory - E_TARGET_WRITE', async () => {
    await world.ok(backup);
    const target = join(world.dir, 'target');
    mkdirSync(target);
    writeFileSync(join(target, 'mine'), 'keep');
    await fails(world, ['restore', 'dupont', '--to-dir', target], { code: 'E_TARGET_NOT_EMPTY', says: /mine/ });
    await fails(world, ['restore', 'dupont', '--to-dir', join(target, 'mine')], { code: 'E_TARGET_WRITE', says: /mine/ });
  });
});

it('after all that - the next backup succeeds and gives the shop back', async () => {
  await recovers(world, root);
});

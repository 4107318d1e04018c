// A world whose vault is proven and whose keys are known, as for any daemon that has run before; and the secrets of its peers in files.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { recipientOf } from '../../../src/segment/age.ts';
import { makeBucket } from '../../servers/s3.ts';
import { makeWorld, type World, type WorldOptions } from '../../world/world.ts';
import { coffre } from './commands.ts';
import type { Meter } from './meter.ts';
import type { Setting } from './setting.ts';

export interface PreparedWorld {
  readonly world: World;
  /**
   * Goes with the whole setting, at its very end: ext4 passes over inodes that were deleted within the last minutes, one by one, so whoever made
   * thousands of files soon after others were deleted would pay for those.
   */
  readonly dir: string;
  /** Writes a file that only its owner reads, and gives its path. */
  secret(name: string, content: string): string;
  /** The key that peers encrypt to, and the file of the one that opens it. */
  readonly recipient: string;
  readonly identityFile: string;
  /** What the shop is from now on. */
  configure(options: WorldOptions): void;
}

/** A bucket of its own, which is given to `stack`. */
export async function prepareWorld(setting: Setting, meter: Meter, name: string, stack: AsyncDisposableStack): Promise<PreparedWorld> {
  const dir = join(setting.dir, name);
  const tiny = join(dir, 'tiny');
  mkdirSync(tiny, { recursive: true });
  writeFileSync(join(tiny, 'index.php'), '<?php\n');
  const bucket = await makeBucket(setting.store);
  stack.defer(() => bucket.release());
  // a store that outlives us must be able to forget this
  const lockMode = setting.store.kind === 'external' ? 'GOVERNANCE' : 'COMPLIANCE';
  const world = stack.use(await makeWorld({ bucket, lockMode, files: { root: tiny } }));
  await meter.run(coffre(world, 'backup', world.shop));
  const secret = (file: string, content: string): string => {
    writeFileSync(join(dir, file), content, { mode: 0o600 });
    return join(dir, file);
  };
  return {
    world,
    dir,
    secret,
    recipient: await recipientOf(world.recovery),
    identityFile: secret('identity', `${world.recovery}\n`),
    configure: (options) => world.writeConfig({ lockMode, ...options }),
  };
}

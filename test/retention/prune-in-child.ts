// Child process: prunes a shop in two folders at a given instant and kills itself after a given step.
import { join } from 'node:path';
import { openCatalog } from '../../src/catalog/open.ts';
import { pruneShop } from '../../src/retention/prune.ts';
import { FilesystemVault } from '../../src/vault/filesystem.ts';
import { FakeClock } from '../fake-clock.ts';
import { agreeing } from '../vault/agreeing-folder.ts';

const [dir = '', now = '', dieAfter = '0', retention = '0'] = process.argv.slice(2);
const clock = new FakeClock(Number(now));
const catalog = await openCatalog(join(dir, 'state'));
let steps = 0;
await pruneShop(
  {
    catalog,
    clock,
    openVault: async (name) => {
      const config = { name, type: 'filesystem', path: join(dir, name), media: 'disk', site: null, offsite: false } as const;
      return agreeing(new FilesystemVault(config, clock), clock);
    },
    forgetSnapshot: async () => {
      step('forget');
    },
    steps: ({ step: name }) => step(name),
  },
  {
    shop: 'dupont',
    vaults: ['nas', 'offsite'],
    retentionMs: Number(retention),
    ceilingMs: 90 * 86_400_000,
    clockSkewMs: 60_000,
    who: 'test',
  },
);
await catalog.close();
process.stdout.write('finished\n');

function step(name: string): void {
  steps++;
  if (steps !== Number(dieAfter)) return;
  process.stdout.write(`${name}\n`);
  // after a pipe's write returned its bytes are with the parent; nothing below this line runs
  process.kill(process.pid, 'SIGKILL');
}

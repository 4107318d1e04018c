// A process to be killed: writes a stream that never ends into a filesystem vault, and says when the first part is stored.
import { systemClock } from '../../src/clock.ts';
import { FilesystemVault } from '../../src/vault/filesystem.ts';

const [path = '', key = ''] = process.argv.slice(2);
const vault = new FilesystemVault({ name: 'nas', type: 'filesystem', path, media: 'disk', site: null, offsite: false }, systemClock);

async function* forEver(): AsyncGenerator<Buffer> {
  for (;;) {
    yield Buffer.alloc(1_000_000, 7);
    await systemClock.sleep(1);
  }
}

await vault.putStream({
  key,
  body: forEver(),
  estimatedBytes: 0,
  retainUntil: null,
  onParts: async (sum) => {
    process.stdout.write(`${sum}\n`);
  },
});

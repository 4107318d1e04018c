// Root's commands on a state that is another user's, as a package installs it: what they leave there is that user's.
import { chmodSync, chownSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tempDir } from '../temp-dir.ts';
import { coffreJson } from './run-coffre.ts';

const OWNER = 54_321;

test.skipIf(process.geteuid?.() !== 0)(
  'root backs up what only root may read into a vault and a state of somebody else - everything there is theirs, the audit names root',
  async () => {
    const dir = await tempDir();
    chmodSync(dir, 0o711);
    const shop = join(dir, 'shop');
    mkdirSync(shop, { mode: 0o700 });
    writeFileSync(join(shop, 'secret.php'), 'x', { mode: 0o600 });
    for (const name of ['state', 'nas']) {
      mkdirSync(join(dir, name), { mode: 0o700 });
      chownSync(join(dir, name), OWNER, OWNER);
    }
    const config = join(dir, 'coffre.yaml');
    writeFileSync(
      config,
      [
        `stateDir: ${dir}/state`,
        'listen: { socket: null }',
        'encryption: none',
        `signing: { keyFile: ${dir}/signing.key }`,
        `vaults: { nas: { type: filesystem, path: ${dir}/nas } }`,
        'plans: { plan: { retention: 14d } }',
        `shops: { dupont: { plan: plan, vaults: [nas], files: { root: ${shop}, profile: generic } } }`,
      ].join('\n'),
      { mode: 0o600 },
    );
    expect((await coffreJson(['--config', config, 'keys', 'make'])).status).toBe(0);
    const backup = await coffreJson(['--config', config, 'backup', 'dupont']);
    expect(backup.json.snapshots[0]).toMatchObject({ files: 1, complete: true });
    expect((await coffreJson(['--config', config, 'prune'])).status).toBe(0);
    for (const name of ['state', 'nas']) {
      const made = readdirSync(join(dir, name), { recursive: true, encoding: 'utf8' });
      expect(made.length).toBeGreaterThan(3);
      expect(made.filter((path) => statSync(join(dir, name, path)).uid !== OWNER)).toEqual([]);
    }
    const { runs } = (await coffreJson(['--config', config, 'run', 'list'])).json;
    expect(runs.map((run: { who: string }) => run.who)).toEqual(['root', 'root', 'root']);
  },
  60_000,
);

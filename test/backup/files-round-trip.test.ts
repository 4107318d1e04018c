import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { inventory } from '../servers/s3.ts';
import { makeWorld } from '../world/world.ts';

describe('a shop of files, two vaults', () => {
  it('is backed up under lock, listed, verified, metered, and comes back identical', async () => {
    await using world = await makeWorld({ vaults: ['nas', 'offsite'] });
    const root = join(world.dir, 'shop');
    mkdirSync(join(root, 'img/p/1'), { recursive: true });
    for (let i = 0; i < 50; i++) writeFileSync(join(root, 'img/p/1', `${i}.jpg`), Buffer.alloc(10_000 + i, i));
    writeFileSync(join(root, '.htaccess'), 'deny from all');
    world.writeConfig({ vaults: ['nas', 'offsite'], files: { root } });

    const { json } = await world.ok(['backup', 'dupont']);
    const [snapshot] = json.snapshots;
    expect(snapshot.vaults).toEqual(['nas', 'offsite']);
    expect(snapshot.lock).toMatchObject({ mode: 'COMPLIANCE', verified: true });

    const target = join(world.dir, 'back');
    const restored = await world.ok(['restore', 'dupont', '--to-dir', target]);
    expect(restored.json.verified).toBe(true);
    expect(execFileSync('diff', ['-r', root, target]).toString()).toBe('');
    expect(readdirSync(target)).toContain('.htaccess');

    expect((await world.ok(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
    const level = await world.ok(['billing', 'level']);
    const store = await inventory(world.bucket);
    expect(JSON.stringify(level.json)).toContain(String(store.totalBytes));

    const again = await world.ok(['backup', 'dupont']);
    expect(again.json.snapshots[0].reusedSegments).toBe(2);
  });
});

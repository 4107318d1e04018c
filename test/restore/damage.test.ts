import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { flipped, objectsOf, StoredFile, type StoredRow } from '../acceptance/attack.ts';
import { makeWorld } from '../world/world.ts';

describe('a restore that meets a damaged copy', () => {
  it('takes the other vault’s, and the damaged one is not called good from then on', async () => {
    await using world = await makeWorld({ vaults: ['nas', 'offsite'] });
    const root = join(world.dir, 'shop');
    mkdirSync(root);
    writeFileSync(join(root, 'index.php'), '<?php echo 1;');
    world.writeConfig({ vaults: ['nas', 'offsite'], files: { root } });
    const { id } = (await world.okHere(['backup', 'dupont'])).json.snapshots[0];
    const segment = objectsOf(world, id, 'nas').find((row) => row.kind === 'segment') as StoredRow;
    const file = new StoredFile(world, segment);
    file.replace(flipped(file.content));
    const { json } = await world.okHere(['restore', 'dupont', '--to-dir', join(world.dir, 'back')]);
    expect(json.restored[0].problems).toMatchObject([{ vault: 'nas', code: 'E_OBJECT_ALTERED' }]);
    const status = await world.here(['status', 'dupont']);
    expect(status.status).toBe(1);
    expect(status.json.shops[0].red.join('\n')).toContain('failed verification');
    const [next] = (await world.okHere(['backup', 'dupont'])).json.snapshots;
    expect(next).toMatchObject({ reusedSegments: 0, notes: [expect.stringContaining(`${id} is damaged in vault nas (E_OBJECT_ALTERED)`)] });
    expect((await world.okHere(['backup', 'dupont'])).json.snapshots[0].notes).toEqual([]);
    file.undo();
    await world.okHere(['verify', 'dupont', '--read-data']);
    expect((await world.here(['status', 'dupont'])).json.shops[0].red.join('\n')).not.toContain('failed verification');
  }, 180_000);
});

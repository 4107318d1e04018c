import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { makeWorld } from '../world/world.ts';

describe('what a machine forgets', () => {
  it('a backup killed without a word - status is red and says so, at once', async () => {
    await using world = await makeWorld();
    const root = join(world.dir, 'shop');
    mkdirSync(root);
    writeFileSync(join(root, 'index.php'), '<?php');
    world.writeConfig({ files: { root } });
    await world.ok(['backup', 'dupont']);
    const child = world.start(['--log-level', 'debug', 'backup', 'dupont', '--full']);
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    for await (const line of createInterface({ input: child.stderr as NodeJS.ReadableStream })) {
      if (line.includes('"event":"run.started"')) child.kill('SIGKILL');
    }
    await exited;
    const { status, json } = await world.coffre(['status', 'dupont']);
    expect(status).toBe(1);
    expect(json.shops[0].red.join('\n')).toContain('files: the last backup was cut off');
  });

  it('the state directory lost, the vaults whole - the next backup goes to all of them, and doctor and status are red at once', async () => {
    await using world = await makeWorld({ vaults: ['nas', 'offsite'] });
    const root = join(world.dir, 'shop');
    mkdirSync(root);
    writeFileSync(join(root, 'index.php'), '<?php');
    world.writeConfig({ vaults: ['nas', 'offsite'], files: { root } });
    await world.ok(['backup', 'dupont']);
    renameSync(world.stateDir, `${world.stateDir}.lost`);
    // doctor tries nothing there before somebody has said whose it is
    const check = async (ofVault: string) =>
      (await world.coffre(['doctor'])).json.checks.filter(({ name, code }: { name: string; code?: string }) => {
        return name.startsWith(`vault ${ofVault}`) && code === 'E_VERSION_FOREIGN';
      });
    const hint = expect.stringContaining('coffre catalog rebuild --from nas');
    expect(await check('nas')).toEqual([expect.objectContaining({ name: 'vault nas', ok: false, hint })]);
    const { json } = await world.ok(['backup', 'dupont']);
    expect(json.snapshots[0]).toMatchObject({ vaults: ['nas', 'offsite'], missing: [] });
    // and whether it was lost or another machine writes there, somebody hears of it at once
    const { incidents } = (await world.ok(['incident', 'list', 'dupont'])).json;
    expect(incidents.map(({ vault, kind }: { vault: string; kind: string }) => [vault, kind]).sort()).toEqual([
      ['nas', 'foreign version'],
      ['offsite', 'foreign version'],
    ]);
    expect((await world.coffre(['status', 'dupont'])).json.shops[0].red.join('\n')).toContain('coffre catalog rebuild --from offsite');
    // what another daemon keeps there is seen later too
    expect(await check('offsite')).toEqual([expect.objectContaining({ name: 'vault offsite: who writes', ok: false })]);
  });
});

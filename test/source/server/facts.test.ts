// Facts about a machine: the same bytes from the same machine, and a program that is not there is said, not fatal.
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import type { Host } from '../../../src/host/host.ts';
import { localHost } from '../../../src/host/local.ts';
import { gatherFacts } from '../../../src/source/server/facts.ts';
import { FactsPart } from '../../../src/source/server/facts-part.ts';

const NEVER = new AbortController().signal;

/** This machine without some of its programs. */
const without = (...programs: readonly string[]): Host => ({
  ...localHost,
  start: (argv, signal) =>
    localHost.start(
      argv.map((word, index) => (index === 2 && programs.includes(word) ? '/nowhere' : word)),
      signal,
    ),
});

async function archive(part: FactsPart): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(part.read(NEVER)));
}

describe('facts about a machine', () => {
  it('asked twice - the same archive to the byte, and its entries name what is in it', async () => {
    const first = new FactsPart(await gatherFacts(localHost, systemClock, NEVER));
    const second = new FactsPart(await gatherFacts(localHost, systemClock, NEVER));
    const bytes = await archive(first);
    expect(bytes.equals(await archive(second))).toBe(true);
    expect(bytes.length).toBeLessThanOrEqual(first.estimatedBytes + 512 * first.outcome().entries.length);
    const paths = first.outcome().entries.map((entry) => ('path' in entry ? entry.path : ''));
    expect(paths[0]).toBe('.coffre-server');
    expect(paths).toContain('.coffre-server/packages.txt');
  });

  it('without some programs - each missing fact is a warning, what a machine need not have is none', async () => {
    const { files, warnings } = await gatherFacts(without('systemctl', 'rc-update', 'lsblk', 'mdadm', 'lvs', 'ls'), systemClock, NEVER);
    const names = files.map(({ name }) => name);
    expect(names).not.toContain('disks.json');
    expect(names).not.toContain('services.txt');
    expect(names).toContain('users.txt');
    expect(warnings).toContainEqual({ kind: 'other', where: '.coffre-server/disks.json', message: 'lsblk is not there' });
    expect(warnings.map(({ where }) => where)).toContain('.coffre-server/services.txt');
    expect(warnings.map(({ where }) => where).filter((where) => /raid|volumes/.test(where))).toEqual([]);
  });

  it('stopped meanwhile - throws the reason', async () => {
    const stop = new AbortController();
    stop.abort(new Error('enough'));
    await expect(gatherFacts(localHost, systemClock, stop.signal)).rejects.toThrow('enough');
  });
});

// Disks under a path: the right mount is found, and this machine's answers agree with each other.
import { describe, expect, it } from 'vitest';
import { disksUnder, mountSource } from '../../src/host/block-device.ts';
import { tempDir } from '../temp-dir.ts';

const MOUNTS = `22 1 8:1 / / rw - ext4 /dev/sda1 rw
23 22 8:17 / /srv rw - ext4 /dev/sdb1 rw
24 22 0:50 / /srv/nas\\040one rw - nfs4 nas:/export rw
25 22 0:51 / /srv2 rw - tmpfs tmpfs rw
26 23 8:33 / /srv rw - ext4 /dev/sdc1 rw
`;

describe('mounts', () => {
  it.each([
    ['/var/www', '/dev/sda1'],
    ['/srv/coffre', '/dev/sdc1'],
    ['/srv', '/dev/sdc1'],
    ['/srv/nas one/coffre', 'nas:/export'],
    ['/srv2/x', 'tmpfs'],
    ['/srv3', '/dev/sda1'],
  ])('%s - lies on %s', (path, source) => {
    expect(mountSource(MOUNTS, path)).toBe(source);
  });
});

describe('this machine', () => {
  it('a folder and one that does not exist yet below it - the same disks', async () => {
    const folder = await tempDir();
    const disks = await disksUnder(folder);
    expect(disks.size).toBeGreaterThan(0);
    expect(await disksUnder(`${folder}/not/there/yet`)).toEqual(disks);
  });

  it('a file system in memory - not on the disk of /', async () => {
    const [memory, root] = [await disksUnder('/dev/shm'), await disksUnder('/')];
    expect([...memory].some((disk) => root.has(disk))).toBe(false);
  });
});

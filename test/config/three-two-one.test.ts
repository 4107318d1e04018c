// 3-2-1 and the immutable copy: what counts, what does not, and the words for it.
import { describe, expect, it } from 'vitest';
import type { VaultConfig } from '../../src/config/config.ts';
import { parseConfig } from '../../src/config/load.ts';
import { threeTwoOne, type VaultFacts } from '../../src/config/three-two-one.ts';

const { vaults } = parseConfig(
  `encryption: none
vaults:
  nas: { type: filesystem, path: /a }
  tape: { type: filesystem, path: /b, media: tape, offsite: true }
  near: { type: s3, endpoint: https://near.example, bucket: b, credentialsFile: c }
  far: { type: s3, endpoint: https://far.example, bucket: b, credentialsFile: c, offsite: true }
`,
  '/etc/coffre/coffre.yaml',
  {},
);

const proven: VaultFacts = { sharesDisk: false, lockProven: true };
const plain: VaultFacts = { sharesDisk: false, lockProven: false };
const rule = (names: string[], facts: Record<string, VaultFacts>, all: ReadonlyMap<string, VaultConfig> = vaults) =>
  threeTwoOne({ vaults: names }, all, new Map(Object.entries(facts)));

describe('3-2-1', () => {
  it('a NAS and a locked bucket off site - holds, and one copy is immutable', () => {
    expect(rule(['nas', 'far'], { nas: plain, far: proven })).toEqual({
      copies: 3,
      media: ['disk', 'object'],
      offsite: ['far'],
      immutable: ['far'],
      holds: true,
      reasons: [],
    });
  });

  it("a folder on the shop's own disk - does not count, and is said", () => {
    const result = rule(['nas', 'far'], { nas: { sharesDisk: true, lockProven: false }, far: proven });
    expect(result).toMatchObject({ copies: 2, holds: false });
    expect(result.reasons).toEqual(["nas is on the shop's own disk and does not count", '1 more copy is needed']);
  });

  it('a folder whose disk is unknown - does not count either', () => {
    expect(rule(['nas', 'far'], { nas: { sharesDisk: null, lockProven: false }, far: proven }).holds).toBe(false);
    expect(rule(['nas', 'far'], { far: proven }).holds).toBe(false);
  });

  it('two buckets on site - nothing off site', () => {
    const result = rule(['near', 'nas'], { near: proven, nas: plain });
    expect(result).toMatchObject({ copies: 3, holds: false, reasons: ['no copy is off site'] });
  });

  it('only disks - one kind of medium', () => {
    const disk = new Map([...vaults].map(([name, vault]) => [name, { ...vault, media: 'disk' }]));
    expect(rule(['nas', 'tape'], { nas: plain, tape: plain }, disk).reasons).toEqual(['a second kind of medium is needed']);
  });

  it('locks not proven, or advisory - no immutable copy', () => {
    expect(rule(['nas', 'far'], { nas: proven, far: plain }).immutable).toEqual([]);
  });

  it('no vault - production is the only copy', () => {
    expect(rule([], {}).reasons).toEqual(['production is the only copy', 'a second kind of medium is needed', 'no copy is off site']);
  });
});

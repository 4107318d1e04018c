// What is decided of a drill without doing it: whose turn it is, whether it fits, which images were lost, what its evidence says.
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Config, DrillConfig, ShopConfig } from '../../../src/config/config.ts';
import {
  type DrillCheck,
  type DrillFacts,
  digestLines,
  evidenceText,
  makeEvidence,
  signEvidence,
  verifyEvidence,
} from '../../../src/restore/drill/evidence.ts';
import { formerImages } from '../../../src/restore/drill/former-images.ts';
import { nothingThere, vaultInTurn } from '../../../src/restore/drill/order.ts';
import { spaceNeeded } from '../../../src/restore/drill/place.ts';
import { fingerprint, makeSigningKey } from '../../../src/segment/signing-key.ts';
import type { IndexEntry } from '../../../src/source/source.ts';

describe('whose turn it is', () => {
  const config = { file: 'coffre.yaml', vaults: new Map(['a', 'b', 'c'].map((name) => [name, {}])) } as unknown as Config;
  const shop = (vaults: DrillConfig['vaults'] = null): ShopConfig =>
    ({
      name: 'dupont',
      vaults: ['a', 'b', 'c'],
      plan: { name: 'p', drill: { vaults, missingImagesPercent: 1, newestOrderMs: null } },
    }) as unknown as ShopConfig;
  const last = (...vaults: string[]) => vaults.map((vault, at) => ({ id: at + 1, vault }));

  test.each([
    ['none was drilled - the first', null, last(), 'a'],
    ['one was never drilled - that one', null, last('a', 'c'), 'b'],
    ['all were - the one of longest ago', null, last('b', 'c', 'a'), 'b'],
    ['the plan names some - of these', ['b', 'c'], last('b'), 'c'],
    ['a vault that the shop has no more says nothing', null, last('gone', 'a', 'b'), 'c'],
  ] as const)('%s', (_, vaults, drilled, expected) => {
    expect(vaultInTurn(config, shop(vaults), null, drilled)).toBe(expected);
  });

  test('asked for by name - that one, if the shop has it; none of those in the plan - an error that says so', () => {
    expect(vaultInTurn(config, shop(), 'c', last())).toBe('c');
    expect(() => vaultInTurn(config, shop(), 'd', last())).toThrow(expect.objectContaining({ code: 'E_UNKNOWN_VAULT' }));
    expect(() => vaultInTurn(config, shop(['d']), null, last())).toThrow(expect.objectContaining({ code: 'E_CONFIG' }));
  });
});

test('a vault that is new to the shop - the catch-up comes first; without any snapshot a backup', () => {
  expect(nothingThere('dupont', 'database', 'offsite', ['nas'])).toMatchObject({
    code: 'E_UNKNOWN_SNAPSHOT',
    hint: 'coffre catch-up dupont copies there what nas has (the daemon does when it can); until then: coffre drill dupont --from nas',
  });
  expect(nothingThere('dupont', 'files', 'nas', []).hint).toBe('coffre backup dupont --source files takes one');
});

test('the space it takes - files with their blocks; a database with a server of its own, with keys and log', () => {
  const MiB = 1024 * 1024;
  expect(spaceNeeded({ fileBytes: 0, files: 0, databaseBytes: null })).toBe(64 * MiB);
  expect(spaceNeeded({ fileBytes: 1000 * MiB, files: 256, databaseBytes: null })).toBe(1065 * MiB);
  expect(spaceNeeded({ fileBytes: 0, files: 0, databaseBytes: 100 * MiB })).toBe((64 + 320 + 250) * MiB);
});

test('images that were lost - originals of either layout that an older index has; not what is made of them, and not what is empty', async () => {
  async function* index(...paths: (string | readonly [path: string, bytes: number])[]): AsyncGenerator<IndexEntry> {
    for (const one of paths) {
      const [path, sizeBytes] = typeof one === 'string' ? [one, 10] : one;
      yield { type: 'file', path, sizeBytes } as unknown as IndexEntry;
    }
  }
  const older = index('img/p/1/2/12.jpg', 'img/p/1/2/12-home_default.jpg', 'img/p/7-13.png', 'img/p/3/3.webp', 'img/c/4.jpg', [
    'img/p/5/5.jpg',
    0,
  ]);
  const newer = index('img/p/3/3.webp', ['img/p/1/2/12.jpg', 0], 'img/p/1/2/12-home_default.jpg');
  expect([...(await formerImages(older, newer))]).toEqual([12, 13]);
});

describe('evidence', () => {
  const check = (ok: boolean | null, code: string | null): DrillCheck => ({
    check: 'x',
    source: null,
    ok,
    code,
    detail: 'é “x” \u2028',
    figures: {},
  });
  const facts = (...checks: DrillCheck[]) =>
    ({ checks, objects: [{ key: 'k', versionId: 'v', bytes: 1, sha256: 'aa', state: 'read' }] }) as unknown as DrillFacts;
  const of = { id: 'i', shop: 's', plan: 'p', askedBy: 'w', signedBy: 'daemon', version: '1' } as const;

  test('failed - by what was not passed, each code once; what could not be looked at does not count', () => {
    expect(makeEvidence(facts(check(true, null), check(null, null)), of)).toMatchObject({ outcome: 'passed', codes: [] });
    const broken = makeEvidence(facts(check(false, 'E_B'), check(false, 'E_A'), check(false, 'E_B')), of);
    expect(broken).toMatchObject({ outcome: 'failed', codes: ['E_B', 'E_A'] });
  });

  test('objects - counted and hashed are those that were read, the others are named with what became of them', () => {
    const object = (key: string, state: string) => ({ key, versionId: 'v', bytes: 2, sha256: 'aa', state });
    const { objects } = makeEvidence(
      {
        checks: [],
        objects: [object('a', 'read'), object('b', 'missing'), object('c', 'read'), object('d', 'altered')],
      } as unknown as DrillFacts,
      of,
    );
    expect(objects).toMatchObject({ count: 2, bytes: 4, named: { count: 4, bytes: 8 } });
    expect([objects.list, objects.lacking].map((list) => list?.map(({ key }) => key))).toEqual([
      ['a', 'c'],
      ['b', 'd'],
    ]);
    expect(objects.digest).toBe(createHash('sha256').update(digestLines(objects.list)).digest('hex'));
  });

  test('signed - holds however the JSON is written, and no more when anything in it is another', () => {
    const key = makeSigningKey();
    const text = evidenceText(signEvidence(makeEvidence(facts(check(true, null)), of), key));
    const own = [fingerprint(key)];
    const verify = (handed: string) => () => verifyEvidence(handed, own, 'it');
    expect(verify(text)).not.toThrow();
    expect(verify(JSON.stringify(JSON.parse(text), null, 4))).not.toThrow();
    for (const [from, to] of [
      ['"bytes":1', '"bytes":2'],
      ['"codes":[]', '"codes":["E_A"]'],
      ['"shop":"s"', '"shop":"t"'],
      ['"signedBy":"daemon"', '"signedBy":"daemon","more":1'],
    ] as const) {
      expect(text).toContain(from);
      expect(verify(text.replace(from, to))).toThrow(expect.objectContaining({ code: 'E_SIGNATURE' }));
    }
    expect(verify(text.slice(1))).toThrow(expect.objectContaining({ code: 'E_FORMAT' }));
  });
});

import { Temporal } from 'temporal-polyfill';
import { describe, expect, it } from 'vitest';
import {
  identityKey,
  indexKey,
  isShopName,
  manifestKey,
  PROBE_PREFIX,
  parseKey,
  segmentKey,
  shopPrefix,
  stateKey,
} from '../../src/segment/layout.ts';

const ID = '01aryz6s41tsv4rrffq69g5fav';

describe('layout', () => {
  it('keys are those of the format', () => {
    expect(segmentKey('dupont', ID, 'tar', true)).toBe(`dupont/segments/${ID}.tar.zst.age`);
    expect(segmentKey('dupont', ID, 'sql', false)).toBe(`dupont/segments/${ID}.sql.zst`);
    expect(indexKey('dupont', ID, true)).toBe(`dupont/index/${ID}.ndjson.zst.age`);
    expect(manifestKey('dupont', ID, true)).toBe(`dupont/snapshots/${ID}.json.zst.age`);
    expect(identityKey('dupont', ID)).toBe(`dupont/keys/${ID}.age`);
    expect(stateKey(Temporal.Instant.from('2026-11-22T16:31:02.9Z'), true)).toBe('_coffre/state/20261122T163102Z.json.zst.age');
    expect(shopPrefix('dupont')).toBe('dupont/');
  });

  it('every key that can be made is parsed back', () => {
    for (const encrypted of [true, false]) {
      for (const kind of ['tar', 'sql', 'tsv'] as const) {
        expect(parseKey(segmentKey('a.b-c_d', ID, kind, encrypted))).toEqual({ type: 'segment', shop: 'a.b-c_d', id: ID, kind, encrypted });
      }
      expect(parseKey(indexKey('s', ID, encrypted))).toEqual({ type: 'index', shop: 's', snapshot: ID, encrypted });
      expect(parseKey(manifestKey('s', ID, encrypted))).toEqual({ type: 'manifest', shop: 's', snapshot: ID, encrypted });
    }
    expect(parseKey(identityKey('s', ID))).toEqual({ type: 'identity', shop: 's', keyId: ID });
    expect(parseKey(`${PROBE_PREFIX}x1`)).toEqual({ type: 'probe', name: 'x1' });
    expect(parseKey('_coffre/state/20261122T163102Z.json.zst.age')).toEqual({ type: 'state', time: '20261122T163102Z', encrypted: true });
  });

  it('keys that coffre never writes are null', () => {
    for (const key of [
      '',
      'dupont',
      `../segments/${ID}.tar.zst`,
      `_coffre/segments/${ID}.tar.zst`,
      `dupont/segments/${ID}.tar`,
      `dupont/segments/${ID}.zip.zst`,
      `dupont/segments/../${ID}.tar.zst`,
      `dupont/segments/${ID.toUpperCase()}.tar.zst`,
      `dupont/segments/8${ID.slice(1)}.tar.zst`,
      `dupont/segments/${ID}.tar.zst.age.age`,
      `dupont/segments/${ID}.tar.zst\n`,
      `dupont/other/${ID}.tar.zst`,
      `x/dupont/segments/${ID}.tar.zst`,
      '_coffre/probe/',
      '_coffre/probe/a/b',
      '_coffre/state/now.json.zst.age',
    ]) {
      expect(parseKey(key), key).toBeNull();
    }
  });

  it('shop names are safe as path components', () => {
    for (const name of ['dupont', 'shop-1', 'www.example.fr', 'A_b']) expect(isShopName(name), name).toBe(true);
    for (const name of ['', '.', '..', '.x', '_coffre', 'a/b', 'a b', 'é', 'a\n', 'x'.repeat(64)])
      expect(isShopName(name), name).toBe(false);
  });
});

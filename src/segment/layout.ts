// Where each object lies in a vault: key names, relative to the vault's prefix, and what a key found there is.
import type { Temporal } from 'temporal-polyfill';
import type { SegmentKind } from '../source/source.ts';
import { isId } from './id.ts';

/** In a shop's place where the daemon's own objects and work are meant; no shop can have this name. */
export const DAEMON_SHOP = '_coffre';
/** Its objects. */
export const DAEMON_PREFIX = '_coffre/';
/** Objects of the lock probe. */
export const PROBE_PREFIX = '_coffre/probe/';
/** Daily checkpoints. */
export const STATE_PREFIX = '_coffre/state/';

/** Shop names are path components, file names and key components. */
const SHOP_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const SEGMENT_NAME = /^([0-9a-z]{26})\.(tar|sql|tsv)\.zst(\.age)?$/;
const INDEX_NAME = /^([0-9a-z]{26})\.ndjson\.zst(\.age)?$/;
const MANIFEST_NAME = /^([0-9a-z]{26})\.json\.zst(\.age)?$/;
const IDENTITY_NAME = /^([0-9a-z]{26})\.age$/;
const STATE_NAME = /^(\d{8}T\d{6}Z)\.json\.zst(\.age)?$/;

export type ParsedKey =
  | { readonly type: 'segment'; readonly shop: string; readonly id: string; readonly kind: SegmentKind; readonly encrypted: boolean }
  | { readonly type: 'index'; readonly shop: string; readonly snapshot: string; readonly encrypted: boolean }
  | { readonly type: 'manifest'; readonly shop: string; readonly snapshot: string; readonly encrypted: boolean }
  | { readonly type: 'identity'; readonly shop: string; readonly keyId: string }
  | { readonly type: 'probe'; readonly name: string }
  | { readonly type: 'state'; readonly time: string; readonly encrypted: boolean };

/** Whether `name` may be a shop's name: what the layout can carry. */
export function isShopName(name: string): boolean {
  return SHOP_PATTERN.test(name);
}

/** Everything of one shop lies under it. */
export function shopPrefix(shop: string): string {
  return `${shop}/`;
}

export function segmentKey(shop: string, id: string, kind: SegmentKind, encrypted: boolean): string {
  return `${shop}/segments/${id}.${kind}.zst${suffix(encrypted)}`;
}

export function indexKey(shop: string, snapshot: string, encrypted: boolean): string {
  return `${shop}/index/${snapshot}.ndjson.zst${suffix(encrypted)}`;
}

export function manifestKey(shop: string, snapshot: string, encrypted: boolean): string {
  return `${shop}/snapshots/${snapshot}.json.zst${suffix(encrypted)}`;
}

/** The shop's identity, sealed to the recovery recipients. */
export function identityKey(shop: string, keyId: string): string {
  return `${shop}/keys/${keyId}.age`;
}

/** A checkpoint of the daemon's state. Whole seconds of UTC. */
export function stateKey(time: Temporal.Instant, encrypted: boolean): string {
  const text = time.round({ smallestUnit: 'second', roundingMode: 'floor' }).toString();
  return `${STATE_PREFIX}${text.replaceAll(/[-:]/g, '')}.json.zst${suffix(encrypted)}`;
}

/** What the object under `key` is, or null when coffre never writes such a key. */
export function parseKey(key: string): ParsedKey | null {
  if (key.startsWith(PROBE_PREFIX)) {
    const name = key.slice(PROBE_PREFIX.length);
    return name === '' || name.includes('/') ? null : { type: 'probe', name };
  }
  if (key.startsWith(STATE_PREFIX)) {
    const match = STATE_NAME.exec(key.slice(STATE_PREFIX.length));
    return match?.[1] === undefined ? null : { type: 'state', time: match[1], encrypted: match[2] !== undefined };
  }
  const [shop, folder, name, ...more] = key.split('/');
  if (shop === undefined || folder === undefined || name === undefined || more.length > 0 || !isShopName(shop)) return null;
  switch (folder) {
    case 'segments': {
      const match = SEGMENT_NAME.exec(name);
      if (match?.[1] === undefined || !isId(match[1])) return null;
      return { type: 'segment', shop, id: match[1], kind: match[2] as SegmentKind, encrypted: match[3] !== undefined };
    }
    case 'index':
    case 'snapshots': {
      const match = (folder === 'index' ? INDEX_NAME : MANIFEST_NAME).exec(name);
      if (match?.[1] === undefined || !isId(match[1])) return null;
      return { type: folder === 'index' ? 'index' : 'manifest', shop, snapshot: match[1], encrypted: match[2] !== undefined };
    }
    case 'keys': {
      const keyId = IDENTITY_NAME.exec(name)?.[1];
      return keyId === undefined || !isId(keyId) ? null : { type: 'identity', shop, keyId };
    }
    default:
      return null;
  }
}

function suffix(encrypted: boolean): string {
  return encrypted ? '.age' : '';
}

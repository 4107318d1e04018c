// Child of the prune benchmark: fills a catalog. Arguments: state folder, shops, segments a shop, snapshots a shop.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { catalogPath, openCatalog } from '../../../src/catalog/open.ts';
import { indexKey, manifestKey, segmentKey } from '../../../src/segment/layout.ts';

const [dir = '', ...numbers] = process.argv.slice(2);
const [shops = 0, segments = 0, snapshots = 0] = numbers.map(Number);
const DAY = 86_400_000;
const NOW = 1_800_000_000_000;
/** One of twenty snapshots is past its window: what a prune finds that comes two days late. */
const OVER = Math.max(1, Math.round(snapshots / 20));
const RETENTION_MS = 38 * DAY;
const FRESH = Math.floor(segments / snapshots);
/** Every snapshot uses as much of those before it as it stores. */
const REUSED = FRESH;

await (await openCatalog(dir)).close();
const database = new DatabaseSync(catalogPath(dir));
database.exec('pragma synchronous = off; begin');
const object = database.prepare(
  `insert into objects (vault, shop, key, versionId, kind, refId, runId, state, expectedBytes, sizeBytes, sha256, lockMode, retainUntil, lockReadAt, createdAt, resolvedAt)
   values ('offsite', ?, ?, ?, ?, ?, ?, 'stored', ?, ?, ?, 'COMPLIANCE', ?, ?, ?, ?)`,
);
const segment = database.prepare(
  `insert into segments (id, shop, source, kind, phase, name, key, plainBytes, plainSha256, storedBytes, storedSha256, load, runId, createdAt)
   values (?, ?, 'files', 'tar', 'files', 'part', ?, 33554432, ?, 30000000, ?, null, ?, ?)`,
);
const snapshot = database.prepare(
  `insert into snapshots (id, shop, source, runId, startedAt, asOf, completedAt, full, complete, state, keepUntil, plainBytes, storedBytes, freshBytes, segments, reusedSegments, counts, warnings, requiredVaults, durationMs)
   values (?, ?, 'files', ?, ?, ?, ?, 0, 1, 'committed', ?, 1, 1, 1, ?, ?, '{}', '[]', '["offsite"]', 1)`,
);
const use = database.prepare('insert into snapshotSegments (snapshotId, seq, segmentId, partial) values (?, ?, ?, 0)');
const copy = database.prepare(
  `insert into snapshotVaults (snapshotId, vault, committedAt, manifestObject, indexObject) values (?, 'offsite', ?, ?, ?)`,
);
const HASH = 'a'.repeat(64);
let count = 0;
const newId = (): string => `01K${(count++).toString(36).toUpperCase().padStart(23, '0')}`;
const put = (shop: string, key: string, kind: string, ref: string, run: string, bytes: number, until: number, at: number): number => {
  const versionId = `${kind[0]}${count.toString(36).padStart(31, '0')}`;
  return Number(object.run(shop, key, versionId, kind, ref, run, bytes, bytes, HASH, until, at, at, at).lastInsertRowid);
};

let goes = 0;
for (let s = 0; s < shops; s++) {
  const shop = `shop${String(s).padStart(4, '0')}`;
  let before: string[] = [];
  for (let n = 0; n < snapshots; n++) {
    const id = newId();
    // the oldest are past their window; the others lie in it, however many they are
    const isOver = n < OVER;
    const at = isOver
      ? NOW - RETENTION_MS - (OVER - n) * 60_000 - DAY
      : NOW - RETENTION_MS + Math.floor(((n - OVER + 1) / (snapshots - OVER + 1)) * RETENTION_MS);
    const until = at + RETENTION_MS + 600_000;
    const own: string[] = [];
    for (let k = 0; k < FRESH; k++) {
      const ref = newId();
      own.push(ref);
      const key = segmentKey(shop, ref, 'tar', true);
      segment.run(ref, shop, key, HASH, HASH, id, at);
      put(shop, key, 'segment', ref, id, 30_000_000, until, at);
    }
    snapshot.run(id, shop, id, at, at, at, at + RETENTION_MS, FRESH + before.length, before.length);
    let seq = 0;
    for (const ref of [...before, ...own]) use.run(id, seq++, ref);
    const index = put(shop, indexKey(shop, id, true), 'index', id, id, 1_000, until, at);
    copy.run(id, at, put(shop, manifestKey(shop, id, true), 'manifest', id, id, 1_000, until, at), index);
    if (isOver) goes += FRESH + 2;
    // the first that stays uses what the last that goes has stored
    if (n === OVER) goes -= before.length;
    before = own.slice(0, REUSED);
  }
}
database.exec('commit');
database.close();
writeFileSync(
  join(dir, 'expected.json'),
  JSON.stringify({
    now: NOW,
    retentionMs: RETENTION_MS,
    shops,
    segments: shops * snapshots * FRESH,
    snapshots: shops * snapshots,
    goes,
    kept: shops * (snapshots - OVER),
  }),
);

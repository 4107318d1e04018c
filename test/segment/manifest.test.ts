import { spawnSync } from 'node:child_process';
import { createPublicKey, type KeyObject } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/segment/canonical-json.ts';
import { decodeManifest, encodeManifest, signManifest, verifyManifest } from '../../src/segment/manifest.ts';
import type { Manifest, SignedManifest } from '../../src/segment/manifest-types.ts';
import { fingerprint, makeSigningKey } from '../../src/segment/signing-key.ts';
import { run } from './bytes.ts';

const HASH = 'ab'.repeat(32);
const SNAPSHOT = '01aryz6s41tsv4rrffq69g5fav';
const [ONE, TWO, THREE, FOUR] = ['1', '2', '3', '4'].map((digit) => `01aryz6s41tsv4rrffq69g5fa${digit}`) as [
  string,
  string,
  string,
  string,
];
const facts = { plainBytes: 10, plainSha256: HASH, storedBytes: 20, storedSha256: HASH };
const lock = { mode: 'COMPLIANCE', retainUntil: '2026-12-06T02:30:00Z' } as const;
const stored = { versionId: 'v1', lock };

const manifest: Manifest = {
  format: 1,
  snapshot: SNAPSHOT,
  shop: 'dupont',
  source: 'database',
  vault: 'offsite',
  startedAt: '2026-11-22T02:30:00Z',
  asOf: '2026-11-22T02:30:01.123456789Z',
  completedAt: '2026-11-22T02:31:00Z',
  full: true,
  complete: true,
  tools: { coffre: '0.1.0', node: '24.21.0' },
  server: { version: '10.11.6-MariaDB' },
  consistency: { method: 'backup-stage', acrossTables: true, notCovered: [], blockedMs: 12, binlog: { file: 'b.000001', position: 4 } },
  counts: { tables: 3, rows: 42 },
  warnings: [{ kind: 'other', where: 'ps_café', message: 'line one\nline "two" \u0001 日本' }],
  encryption: { recipient: 'age1qqqq' },
  lock,
  index: { ...facts, ...stored, key: `dupont/index/${SNAPSHOT}.ndjson.zst.age`, entries: 4 },
  segments: [
    { ...facts, ...stored, id: ONE, key: `dupont/segments/${ONE}.sql.zst.age`, kind: 'sql', phase: 'pre', name: 'pre', fresh: true },
    { ...facts, ...stored, id: TWO, key: `dupont/segments/${TWO}.sql.zst.age`, kind: 'sql', phase: 'data', name: 'small', fresh: false },
    {
      ...facts,
      ...stored,
      id: THREE,
      key: `dupont/segments/${THREE}.tsv.zst.age`,
      kind: 'tsv',
      phase: 'rows',
      name: 'ps_orders',
      fresh: true,
      load: { table: 'ps_orders', statement: "LOAD DATA LOCAL INFILE '/dev/stdin' INTO TABLE `ps_orders`", rows: 39 },
    },
    { ...facts, ...stored, id: FOUR, key: `dupont/segments/${FOUR}.sql.zst.age`, kind: 'sql', phase: 'post', name: 'post', fresh: true },
  ],
};

const privateKey = makeSigningKey();

// biome-ignore lint/suspicious/noExplicitAny: a manifest about to be made wrong in every way
type Loose = any;

/** The signed document with something changed, as plaintext. */
function plaintextWith(change: (document: { manifest: Loose }) => void): Buffer {
  const document = JSON.parse(encodeManifest(signManifest(manifest, privateKey)).toString());
  change(document);
  return Buffer.from(JSON.stringify(document));
}

const changed = (change: (manifest: Loose) => void): Buffer => plaintextWith((document) => change(document.manifest));

describe('manifest', () => {
  it('signed, encoded, decoded, verified: the same', () => {
    const signed = decodeManifest(encodeManifest(signManifest(manifest, privateKey)));
    expect(signed.manifest).toEqual(manifest);
    for (const trusted of [privateKey, createPublicKey(privateKey), fingerprint(privateKey)]) verifyManifest(signed, [trusted]);
    verifyManifest(signed, [fingerprint(makeSigningKey()), privateKey]);
  });

  it('another key, or no known one, is E_SIGNATURE and names both fingerprints', () => {
    const signed = signManifest(manifest, privateKey);
    const other = makeSigningKey();
    expect(() => verifyManifest(signed, [other], 'the-key')).toThrow(
      expect.objectContaining({
        code: 'E_SIGNATURE',
        message: `the-key: signed by ${fingerprint(privateKey)}, expected ${fingerprint(other)}`,
      }),
    );
    expect(() => verifyManifest(signed, [])).toThrow(expect.objectContaining({ code: 'E_SIGNATURE' }));
  });

  it('any change to the content is E_SIGNATURE', () => {
    for (const change of [
      (m: Loose) => (m.vault = 'nas'),
      (m: Loose) => (m.segments[0].storedSha256 = 'cd'.repeat(32)),
      (m: Loose) => m.segments.pop(),
      (m: Loose) => (m.complete = false),
      (m: Loose) => delete m.server,
    ]) {
      const signed = decodeManifest(changed(change));
      expect(() => verifyManifest(signed, [privateKey])).toThrow(expect.objectContaining({ code: 'E_SIGNATURE' }));
    }
  });

  it("another's signature under our key's name is E_SIGNATURE", () => {
    const forged = signManifest(manifest, makeSigningKey());
    const ours = signManifest(manifest, privateKey);
    const mixed: SignedManifest = { manifest, signature: { ...ours.signature, value: forged.signature.value } };
    expect(() => verifyManifest(mixed, [privateKey])).toThrow(expect.objectContaining({ code: 'E_SIGNATURE' }));
  });

  it('order of keys and white space do not matter to the signature', () => {
    const signed = signManifest(manifest, privateKey);
    const shuffled = Object.fromEntries(Object.entries(signed.manifest).reverse());
    const again = decodeManifest(Buffer.from(JSON.stringify({ signature: signed.signature, manifest: shuffled }, null, 2)));
    verifyManifest(again, [privateKey]);
  });

  it('jq and openssl alone check the signature', async () => {
    if (spawnSync('jq', ['--version']).status !== 0 || spawnSync('openssl', ['version']).status !== 0) return;
    const folder = await mkdtemp(join(tmpdir(), 'coffre-manifest-'));
    try {
      const file = encodeManifest(signManifest(manifest, privateKey));
      const content = await run('jq', ['-cSj', '.manifest'], file);
      expect(content.toString()).toBe(canonicalJson(manifest));
      await writeFile(join(folder, 'content'), content);
      await writeFile(join(folder, 'sig'), Buffer.from((await run('jq', ['-rj', '.signature.value'], file)).toString(), 'base64'));
      const raw = Buffer.from((await run('jq', ['-rj', '.signature.key'], file)).toString(), 'base64');
      await writeFile(join(folder, 'key.der'), Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]));
      const check = ['pkeyutl', '-verify', '-rawin', '-pubin', '-keyform', 'DER', '-inkey', join(folder, 'key.der')];
      const answer = await run('openssl', [...check, '-in', join(folder, 'content'), '-sigfile', join(folder, 'sig')]);
      expect(answer.toString()).toContain('Verified Successfully');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('a newer format is E_FORMAT with the hint to upgrade, whatever else it holds', () => {
    expect(() => decodeManifest(Buffer.from('{"manifest":{"format":2,"new":[]},"signature":{}}'))).toThrow(
      expect.objectContaining({
        code: 'E_FORMAT',
        message: expect.stringContaining('format version 2'),
        hint: expect.stringContaining('upgrade'),
      }),
    );
  });

  it('what is not a manifest is E_FORMAT and never quoted', () => {
    for (const text of [
      '',
      'secret',
      '[]',
      'null',
      '{}',
      '{"manifest":null,"signature":null}',
      '\xff\xfe',
      '{"manifest":{"format":"1"}}',
    ]) {
      expect(() => decodeManifest(Buffer.from(text, 'latin1'), 'k'), text).toThrow(
        expect.objectContaining({ code: 'E_FORMAT', message: expect.not.stringContaining('secret') }),
      );
    }
  });

  const hostile: [string, (m: Loose) => void][] = [
    ['a segment key that leaves the shop', (m) => (m.segments[0].key = `../other/segments/${ONE}.sql.zst.age`)],
    ["another shop's segment", (m) => (m.segments[0].key = `other/segments/${ONE}.sql.zst.age`)],
    ['a key of another id', (m) => (m.segments[0].key = m.segments[1].key)],
    ['an id with a slash', (m) => (m.segments[0].id = '../../../../../../etc/passwd')],
    ['an index key of another snapshot', (m) => (m.index.key = `dupont/index/${ONE}.ndjson.zst.age`)],
    ['an unencrypted key in an encrypted snapshot', (m) => (m.segments[0].key = `dupont/segments/${ONE}.sql.zst`)],
    ['encryption turned off in words only', (m) => (m.encryption = 'none')],
    ['a shop name with a slash', (m) => (m.shop = 'a/b')],
    ['a snapshot id that is none', (m) => (m.snapshot = 'latest')],
    ['the same segment twice', (m) => m.segments.push(m.segments[3])],
    ['segments out of restore order', (m) => m.segments.reverse()],
    [
      'a tar in a database',
      (m) => Object.assign(m.segments[3], { kind: 'tar', phase: 'files', key: `dupont/segments/${FOUR}.tar.zst.age` }),
    ],
    ['a phase of another kind', (m) => (m.segments[0].phase = 'rows')],
    ['rows without a load statement', (m) => delete m.segments[2].load],
    ['a load statement that is none', (m) => (m.segments[2].load.statement = 'DROP DATABASE x')],
    ['a load that reads another file', (m) => (m.segments[2].load.statement = "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE x")],
    ['a negative size', (m) => (m.segments[0].plainBytes = -1)],
    ['a fractional size', (m) => (m.segments[0].plainBytes = 1.5)],
    ['a short hash', (m) => (m.segments[0].storedSha256 = 'ab')],
    ['a day that does not exist', (m) => (m.asOf = '2026-02-30T00:00:00Z')],
    ['a local time', (m) => (m.asOf = '2026-02-20T00:00:00+01:00')],
    ['an unknown key', (m) => (m.extra = 1)],
    ['an unknown key in a segment', (m) => (m.segments[0].path = '/etc')],
    ['a missing lock', (m) => delete m.segments[0].lock],
  ];
  it.each(hostile)('%s is E_FORMAT when read and when signed', (_what, change) => {
    expect(() => decodeManifest(changed(change))).toThrow(expect.objectContaining({ code: 'E_FORMAT' }));
    const copy = structuredClone(manifest);
    change(copy);
    expect(() => signManifest(copy, privateKey as KeyObject)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^E_(FORMAT|INTERNAL)$/) }),
    );
  });

  it('files and server snapshots hold tar segments, the tail last', () => {
    const tar = (id: string, phase: 'files' | 'tail') => ({
      ...facts,
      ...stored,
      id,
      key: `dupont/segments/${id}.tar.zst.age`,
      kind: 'tar' as const,
      phase,
      name: phase,
      fresh: true,
    });
    const files: Manifest = {
      ...manifest,
      source: 'files',
      counts: { files: 1, directories: 1 },
      segments: [{ ...tar(ONE, 'files'), partial: true }, tar(TWO, 'tail')],
    };
    verifyManifest(decodeManifest(encodeManifest(signManifest(files, privateKey))), [privateKey]);
    expect(() => signManifest({ ...files, segments: [...files.segments].reverse() }, privateKey)).toThrow(
      expect.objectContaining({ code: 'E_FORMAT' }),
    );
  });
});

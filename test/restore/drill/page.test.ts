// The evidence as a page: what an auditor reads of it, in both languages, with the zone of every time.
import { expect, test } from 'vitest';
import type { Evidence, SignedEvidence } from '../../../src/restore/drill/evidence.ts';
import { evidencePage } from '../../../src/restore/drill/page.ts';

const restored = { bytes: 1e9, tables: null, rows: null, files: 3, durationMs: 70_000 };
const at = { startedAt: '2026-11-23T10:00:00Z', endedAt: '2026-11-23T10:05:00Z' };
const evidence = {
  ...{ format: 1, kind: 'drill', id: '01k', shop: 'dupont', plan: 'standard', askedBy: '<b>', signedBy: 'daemon', coffre: '1.0', ...at },
  ...{ outcome: 'passed', codes: [], phases: [], restoreMs: 70_000, totalMs: 80_000, tools: { node: 'v24' } },
  from: {
    ...{ name: 'offsite', type: 's3', endpoint: 'https://s3.example.net', region: 'fr', bucket: 'coffre', prefix: 'prod' },
    ...{ media: 'object', site: 'roubaix', offsite: true },
  },
  into: { host: 'b1', database: null, databaseVersion: null },
  sources: [
    {
      ...{ source: 'files', snapshot: 's', asOf: '2026-11-23T03:00:00Z', ageMs: 3_600_000, manifestSha256: 'm', encrypted: true },
      ...{ counts: {}, restored },
    },
  ],
  checks: [{ check: 'files', source: 'files', ok: true, code: null, detail: 'd', figures: { found: 3, expected: 3 } }],
  rto: { targetMs: 4 * 3_600_000, calendar: 'business', kept: true },
  objects: {
    count: 1,
    bytes: 5,
    digest: 'dd',
    list: [{ kind: 'manifest', source: 'files', key: 'k', versionId: 'v', bytes: 5, sha256: 'a' }],
  },
} as unknown as Evidence;
const signed = { evidence, signature: { algorithm: 'Ed25519', key: Buffer.alloc(32).toString('base64'), value: 'x' } } as SignedEvidence;

test.each([
  [
    'fr',
    'stockage objet, https://s3.example.net, compartiment coffre/prod',
    '4\u00a0h, en heures ouvrées',
    'temps universel coordonné (UTC)',
  ],
  ['en', 'object storage, https://s3.example.net, bucket coffre/prod', '4\u00a0h, counted in business hours', 'Coordinated Universal Time'],
] as const)(
  'in %s - where from and what was promised in words, each time with its zone, no markup from outside',
  (language, from, promise, zone) => {
    const page = evidencePage(signed, language);
    for (const said of [from, promise, zone, '&lt;b&gt;']) expect(page).toContain(said);
    expect(page).not.toContain('<b>');
    const times = page.slice(0, page.indexOf('<details>')).match(/\d\d:\d\d:\d\d[^<]*/g);
    expect(times).toHaveLength(3);
    for (const time of times ?? []) expect(time).toMatch(/ UTC$/);
    expect(page).toMatch(/^<!DOCTYPE html>\n<html lang="(fr|en)">/);
  },
);

test.each([
  ['en', '3 objects are named', 'The others: missing: 1, not read: 1.', '<td>missing</td><td><code>lost</code></td>'],
  ['fr', 'nomment 3 objets', '– absent\u00a0: 1, non lu\u00a0: 1.', '<td>absent</td><td><code>lost</code></td>'],
] as const)('in %s - an object that was not read is never among those read', (language, named, others, row) => {
  const [object] = evidence.objects.list;
  const lacking = [
    { ...object, key: 'lost', state: 'missing' },
    { ...object, key: 'later', state: 'not-read' },
  ];
  const objects = { ...evidence.objects, named: { count: 3, bytes: 15 }, lacking } as Evidence['objects'];
  const page = evidencePage({ ...signed, evidence: { ...evidence, objects } }, language);
  for (const said of [named, others, row]) expect(page).toContain(said);
});

// What commands say of a request: what it would mean, what its clock says, what is next and whose turn it is.
import { describe, expect, test } from 'vitest';
import { clockText, describePreview, nextText } from '../../../src/cli/request/text.ts';
import type { PreviewNow } from '../../../src/schedule/request-desk.ts';
import type { RequestClock } from '../../../src/schedule/request-document.ts';

const HOUR = 3_600_000;
const preview: PreviewNow = {
  ...{ shop: 'dupont', at: null, tables: [], paths: [], gapMs: 1.5 * HOUR, targetMs: 4 * HOUR, unattended: true },
  snapshots: [
    {
      ...{ id: 'd', source: 'database', asOf: '2026-11-23T01:30:00Z', ageMs: 8 * HOUR, plainBytes: 1.2e9, good: true, complete: true },
      ...{ files: null, tables: 312, rows: 5 },
    },
    {
      ...{ id: 'f', source: 'files', asOf: '2026-11-23T03:00:00Z', ageMs: 6.5 * HOUR, plainBytes: 4.8e9, good: false, complete: true },
      ...{ files: 61_204, tables: null, rows: null },
    },
  ],
  lost: [
    { source: 'database', since: '2026-11-23T01:30:00Z', spanMs: 8 * HOUR, newerSnapshots: 0 },
    { source: 'files', since: '2026-11-23T03:00:00Z', spanMs: 6.5 * HOUR, newerSnapshots: 2 },
  ],
  estimate: { expectedMs: 370_000, lowMs: 240_000, highMs: 580_000 },
  ...{ deadline: '2026-11-23T13:30:00Z', clockStarts: null, unknown: [], emptied: [] },
};

describe('what it would mean', () => {
  test('both sources - snapshots, gap, what is lost, how long, until when', () => {
    expect(describePreview(preview, 'Europe/Paris', 'operator').split('\n')).toEqual([
      'dupont: what would be restored',
      '  database   as of 2026-11-23 02:30:00+01:00, 8 h ago, 1.2 GB, 312 tables',
      '  files      as of 2026-11-23 04:00:00+01:00, 6 h 30 min ago, 4.8 GB, 61204 files  (not good: coffre snapshots says why)',
      '  gap        the files are newer than the database by 1 h 30 min',
      '  lost       orders, customers, everything written since 2026-11-23 02:30:00+01:00 (8 h)',
      '  lost       files added or changed since 2026-11-23 04:00:00+01:00 (6 h 30 min; 2 newer snapshots are not taken)',
      '  takes      about 6 min 10 s (4 min to 9 min 40 s)',
      '  promised   within 4 h: by 2026-11-23 14:30:00+01:00 if it is approved now',
      '  begun      by itself, as soon as it is approved',
    ]);
  });

  test('some of it, outside business hours, and nothing begins by itself', () => {
    const part = {
      ...preview,
      gapMs: null,
      tables: ['ps_cart_rule'],
      estimate: null,
      unattended: false,
      clockStarts: '2026-11-24T08:00:00Z',
      ...{ unknown: ['ps_merged'], emptied: ['ps_connections'] },
    };
    const said = describePreview(part, 'Europe/Paris', 'client');
    expect(said).toContain('  tables     ps_cart_rule\n');
    expect(said).toContain('what was written into these tables since');
    expect(said).toContain('takes      not known: no restore of this shop or host was measured');
    expect(said).toContain('if it is approved now; the clock starts at 2026-11-24 09:00:00+01:00');
    expect(said).toContain('begun      by those who look after the backups, once it is approved');
    expect(said).toContain('  emptied    ps_connections: rows of these are left out of backups, and are lost\n');
    expect(said).toContain('  not known  whether the snapshot holds ps_merged: only the restore can tell\n');
    expect(said).not.toContain('gap');
  });
});

const clock = (more: Partial<RequestClock>): RequestClock => ({
  ...{ targetMs: 4 * HOUR, deadline: '2026-11-23T13:30:00Z', state: 'running', countedMs: 0, leftMs: 3.2 * HOUR },
  ...{ resumesAt: null, holiday: null },
  ...more,
});

test.each<[Partial<RequestClock>, string]>([
  [{}, '3 h 12 min left, until 2026-11-23 14:30:00+01:00'],
  [
    { state: 'paused', resumesAt: '2026-11-23T08:00:00Z' },
    '3 h 12 min left, until 2026-11-23 14:30:00+01:00; paused until 2026-11-23 09:00:00+01:00',
  ],
  [
    { state: 'paused', resumesAt: '2026-11-23T08:00:00Z', holiday: 'Armistice 1918' },
    '3 h 12 min left, until 2026-11-23 14:30:00+01:00; paused until 2026-11-23 09:00:00+01:00 (Armistice 1918)',
  ],
  [{ state: 'kept', leftMs: HOUR }, 'kept, with 1 h left'],
  [{ state: 'broken', leftMs: -HOUR }, 'broken by 1 h: it was due at 2026-11-23 14:30:00+01:00'],
])('a clock, %j - %s', (more, said) => expect(clockText(clock(more), 'Europe/Paris')).toBe(said));

test.each([
  ['requested', 'client', true, true, 'coffre request approve ID starts it; until then nothing happens'],
  [
    'requested',
    'operator',
    true,
    true,
    'it waits for the approval of dupont’s owner; in an emergency: coffre request approve ID --reason TEXT',
  ],
  [
    'approved',
    'operator',
    true,
    false,
    'nothing begins by itself (restore.unattended is not true, or no restore unit is there to be asked), and the clock runs; as root: coffre request run ID',
  ],
  [
    'requested',
    'operator',
    true,
    false,
    'it waits for the approval of dupont’s owner; in an emergency: coffre request approve ID --reason TEXT; nothing begins by itself, so after it, as root: coffre request run ID',
  ],
  [
    'approved',
    'operator',
    false,
    true,
    'no daemon runs: it begins once one does (systemctl start coffre), and the clock runs; at once, as root: coffre request run ID',
  ],
  ['failed', 'operator', true, false, 'once the cause is mended: coffre request run ID, as root'],
  ['approved', 'client', true, false, 'those who look after the backups begin it; coffre request show ID --follow shows how it goes'],
  ['held', 'operator', true, true, 'coffre request release ID ends the hold; the clock of what is approved goes on'],
  ['approved', 'client', true, true, 'coffre request show ID --follow shows how it goes'],
  ['failed', 'operator', true, true, 'once the cause is mended: coffre request retry ID'],
  ['failed', 'client', true, true, 'those who look after the backups were told'],
  ['done', 'operator', true, true, null],
] as const)('%s, to the %s, daemon %s, unattended %s - what is next', (state, role, hasDaemon, unattended, said) => {
  expect(nextText({ id: 'ID', shop: 'dupont', state, unattended }, { role, hasDaemon })).toBe(said);
});
